#include "cuda/adaptor_step.cu"

#include "rules.h"

using namespace aligndec;

void cases(races::Run& run) {
  for (const int64_t n : races::sizes(run)) {
    const std::string size = " of " + std::to_string(n);
    const RowBatch batch = races::rows_of_rules(run, n);
    const int64_t count = batch.rows;

    for (const bool strict : {false, true}) {
      StepArgs step{};
      step.batch = batch;
      step.count = count;
      double* const sums = run.output<double>(core::kStateRows * count);
      std::fill_n(sums + core::kSums * count, count, NAN);  // mirostat's threshold, before a token
      step.state = {sums,
                    run.output<int64_t>(count),
                    run.output<bool>(count),
                    run.input<int64_t>(2, [](int64_t i) { return 3 + 2 * i; }),
                    2,
                    0,
                    strict};
      step.bits.seed = 7;
      step.out = races::fields(run, count, false);
      const std::string name = (strict ? "strict step" : "step") + size;
      run.call(name, cuda::launch_adaptor_step, step);
      run.call(name + ", second", cuda::launch_adaptor_step, step);
    }

    StepArgs score{};
    score.batch = batch;
    score.count = count;
    score.tokens = run.input<int64_t>(count, [&](int64_t i) { return i % 5 == 4 ? -1 : i; });
    score.row_of = run.input<int64_t>(count, [&](int64_t i) { return i * 5 % count; });
    score.out = races::fields(run, count, true);
    run.call("score" + size, cuda::launch_adaptor_step, score);

    GridArgs grid{};
    grid.batch = batch;
    grid.batch.rows = 3;
    grid.adaptors = count;
    grid.tokens = run.input<int64_t>(3, [](int64_t i) { return i == 1 ? -1 : i; });
    grid.out = races::fields(run, count * 3, true);
    run.call("grid" + size, cuda::launch_adaptor_grid, grid);

    MaskArgs mask{};
    mask.batch = batch;
    mask.batch.n = n - 5;
    mask.vocab = n;
    mask.mask = run.output<bool>(count * n);
    run.call("mask" + size, cuda::launch_adaptor_mask, mask);
  }
}
