// The gradient of scored tokens on the CPU: one read of the logits and one write of their gradient
// for each row.
#include <algorithm>
#include <numeric>
#include <vector>

#include "cpu/isa.h"
#include "cpu/rows.h"
#include "launch/adaptor_step.h"
#include "launch/gradient_entry.h"

namespace aligndec::cpu {
namespace {

// Entries in the order of their rows, and where each row's entries start.
struct ByRow {
  std::vector<int64_t> entry, first;

  ByRow(const int64_t* row_of, int64_t count, int64_t rows) : entry(count), first(rows + 1, 0) {
    const auto row = [row_of](int64_t i) { return row_of ? row_of[i] : i; };
    for (int64_t i = 0; i < count; ++i) ++first[row(i) + 1];
    std::partial_sum(first.begin(), first.end(), first.begin());
    std::vector<int64_t> next(first.begin(), first.end() - 1);
    for (int64_t i = 0; i < count; ++i) entry[next[row(i)]++] = i;
  }
};

template <class T>
void add_entry(const BackwardArgs& args, const RowKernel<T>& kernel, RowInput<T> row, Workspace& ws,
               int64_t i) {
  if (!entry_has_gradient(args, i)) return;
  const int64_t token = args.tokens[i];
  const float x = existing_logit(row, token);
  if (args.bias.ids) {
    kernel.scan(row, ws);
    kernel.edit(row, ws, args.bias.row(i));
  }
  const core::RowGradient gradient = entry_gradient(args, i, x);
  kernel.add_gradient(row, ws, gradient, args.kept.row(i));
  if (x > -std::numeric_limits<float>::infinity()) ws.list_x[token] += gradient.token_weight;
  if (gradient.top >= 0 && gradient.top < args.batch.n)
    ws.list_x[gradient.top] += gradient.top_weight;
}

}  // namespace

void launch_adaptor_score_backward(const BackwardArgs& args) {
  const RowBatch& batch = args.batch;
  const ByRow by_row(args.row_of, args.count, batch.rows);
  for_type(batch.type, [&]<class T>(const RowKernel<T>& kernel) {
    for_rows(batch.rows, batch.n, [&](Workspace& ws, int64_t first, int64_t last) {
      ws.reserve(batch.n);
      for (int64_t r = first; r < last; ++r) {
        const RowInput<T> row = row_input<T>(batch, r);
        std::fill_n(ws.list_x, (batch.n + kBlock - 1) / kBlock * kBlock, 0.0f);
        kernel.scan(row, ws);
        for (int64_t e = by_row.first[r]; e < by_row.first[r + 1]; ++e)
          add_entry(args, kernel, row, ws, by_row.entry[e]);
        T* out = static_cast<T*>(args.grad_logits) + r * args.vocab;
        for (int64_t id = 0; id < batch.n; ++id) out[id] = static_cast<T>(ws.list_x[id]);
        std::fill(out + batch.n, out + args.vocab, static_cast<T>(0.0f));
      }
    });
  });
}

}  // namespace aligndec::cpu
