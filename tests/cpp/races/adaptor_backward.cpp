#include "cuda/adaptor_backward.cu"

#include "rules.h"

using namespace aligndec;

// Entries in several chunks, of rows that they share in any order or that are each their own.
void cases(races::Run& run) {
  for (const int64_t n : races::sizes(run))
    for (const bool shared : {true, false}) {
      RowBatch batch = races::rows_of_rules(run, n);
      const int64_t rules = batch.rows, repeats = shared ? 3 * cuda::kThreads / rules : 1;
      const int64_t count = repeats * rules, columns = batch.params_stride;
      const double* const params = batch.params;
      batch.params = run.input<double>(count * columns,
                                       [&](int64_t i) { return params[i % (rules * columns)]; });

      BackwardArgs args{};
      args.batch = batch;
      args.count = count;
      args.vocab = n;
      args.tokens = run.input<int64_t>(count, [&](int64_t i) { return i % n; });
      int64_t* const row_of = run.input<int64_t>(
          count, [&](int64_t i) { return shared ? (i * 7 + i / rules) % rules : i; });
      args.row_of = shared ? row_of : nullptr;
      args.status = run.input<int64_t>(count, [](int64_t) { return core::kOk; });
      args.grad_log_p = run.normals(count);
      args.grad_log_q = run.normals(count);
      args.grad_log_z = run.normals(count);
      const auto* const x = static_cast<const float*>(batch.logits);
      args.cut = run.input<double>(core::CutRecord::kRows * count, [&](int64_t i) {
        const int64_t entry = i % count, which = i / count;
        const float* const row = x + row_of[entry] * n;
        const float* const top = std::max_element(row, row + n);
        const bool greedy = core::Rule(batch.params + entry * columns).greedy();
        if (which == 4) return core::Rule(batch.params + entry * columns).tau;
        if (which > 4 || which == 2) return 12.0;
        if (which == 3) return greedy ? static_cast<double>(top - row) : 12.0;
        if (greedy) return static_cast<double>(*top);
        return which == 0 ? -1.0 : 20.0;
      });
      args.grad_logits = run.output<float>(rules * n);
      const std::string what = shared ? "gradients of shared rows" : "gradients";
      run.call(what + " of " + std::to_string(n), cuda::launch_adaptor_score_backward, args);
    }
}
