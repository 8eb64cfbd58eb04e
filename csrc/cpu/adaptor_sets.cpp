// The kept sets of a batch on the CPU, as ids.
#include "core/mirostat.h"
#include "cpu/hand_out.h"
#include "cpu/isa.h"
#include "cpu/rows.h"
#include "launch/adaptor_step.h"

namespace aligndec::cpu {

void launch_adaptor_sets(const SetsArgs& args) {
  const RowBatch& batch = args.batch;
  for_type(batch.type, [&]<class T>(const RowKernel<T>& kernel) {
    for_rows(batch.rows, batch.n, [&](Workspace& ws, int64_t first, int64_t last) {
      ws.reserve(batch.n);
      for (int64_t i = first; i < last; ++i) {
        RowInput<T> row = row_input<T>(batch, i);
        const double* mu = args.sums ? args.sums + core::kSums * batch.rows + i : nullptr;
        core::Rule rule = core::string_rule(batch.params + i * batch.params_stride, mu);
        kernel.scan(row, ws);
        if (args.bias.ids) kernel.edit(row, ws, args.bias.row(i));
        RowCut cut = kernel.cut(row, ws, rule);
        hand_out(args.sets, i, kernel, row, ws, cut);
      }
    });
  });
}

}  // namespace aligndec::cpu
