// The fused step on the CPU: rows over threads, or the parts of a row when rows are few and long.
#include "launch/adaptor_step.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/draw.h"
#include "cpu/hand_out.h"
#include "cpu/isa.h"
#include "cpu/rows.h"
#include "launch/step_entry.h"

namespace aligndec::cpu {
namespace {

// The books of entry i's token.
template <class T>
void write_entry(const StepArgs& args, const core::Rule& rule, const RowInput<T>& row,
                 const RowCut& cut, const SparseRow& given, int64_t i, int64_t y) {
  const core::RowMasses& r = cut.masses;
  const float x = existing_logit(row, y), z = edited_logit(row, y);
  bool kept = keeps(r, rule, y, z);
  if (given.ids && !rule.greedy())
    kept = given.find(y) >= 0 && z > -std::numeric_limits<float>::infinity();
  write_token(r, rule, args.out, args.count, i, y, x, z, kept);
}

// Entries [first, last): draws or scores; neighbours with the same row and rule share the kept set.
template <class T>
void step_entries(const StepArgs& args, const RowKernel<T>& kernel, Workspace& ws, int64_t first,
                  int64_t last) {
  const RowBatch& batch = args.batch;
  ws.reserve(batch.n);
  int64_t known_row = -1;
  const double* known_params = nullptr;
  RowCut cut{};
  core::Rule rule;
  for (int64_t i = first; i < last; ++i) {
    const int64_t token = args.tokens ? args.tokens[i] : -1;
    if ((args.state.sums && args.state.finished[i]) || (args.tokens && token < 0)) {
      write_empty(args.out, args.count, i, args.state.pad, core::kFinished, 0.0);
      if (args.sets.ids) args.sets.complete[i] = true, args.sets.sizes[i] = 0;
      continue;
    }
    const int64_t at = args.row_of ? args.row_of[i] : i;
    const double* params = batch.params + i * batch.params_stride;
    RowInput<T> row = row_input<T>(batch, at);
    const SparseRow given = args.kept.row(i);
    const bool new_row = at != known_row || args.bias.ids;
    if (new_row) kernel.scan(row, ws);
    if (args.bias.ids) kernel.edit(row, ws, args.bias.row(i));
    if (given.ids) {
      rule = entry_rule(args, i);
      const bool complete = args.kept.complete[i];
      cut = kernel.cut_given(row, ws, rule, complete ? given : SparseRow{given.ids, 0});
      const bool unknown = cut.status == core::kNoToken && cut.masses.base != 0 && !complete;
      if (unknown) cut.status = core::kUnknownSet;
    } else if (new_row || params != known_params) {
      rule = entry_rule(args, i);
      cut = kernel.cut(row, ws, rule);
    }
    known_row = at;
    known_params = params;
    hand_out(args.sets, i, kernel, row, ws, cut);
    if (cut.status != core::kOk) {
      if (cut.masses.base == 0) {
        write_bad(args.out, args.count, i, cut.status);
      } else {
        const float x = args.tokens ? existing_logit(row, token) : 0.0f;
        write_without_set(cut.masses, args.out, args.count, i, cut.status, token,
                          args.tokens ? &x : nullptr);
      }
      continue;
    }
    int64_t y = token;
    if (!args.tokens) {
      const uint64_t r = entry_bits(args, i);
      y = kernel.draw(row, ws, cut, !rule.scale.identity, core::draw_target(r, cut.masses.kept));
    }
    write_entry(args, rule, row, cut, given, i, y);
  }
}

void commit(const StepArgs& args) {
  const StateRef& state = args.state;
  const int64_t* status = args.out.status;
  if (state.strict && std::any_of(status, status + args.count, core::is_bad)) return;
  for (int64_t i = 0; i < args.count; ++i) commit_entry(args, i);
}

}  // namespace

void launch_adaptor_step(const StepArgs& args) {
  for_type(args.batch.type, [&]<class T>(const RowKernel<T>& kernel) {
    for_rows(args.count, args.batch.n, [&](Workspace& ws, int64_t first, int64_t last) {
      step_entries<T>(args, kernel, ws, first, last);
    });
  });
  if (args.state.sums) commit(args);
}

void launch_adaptor_grid(const GridArgs& args) {
  // Adaptors of one temperature follow each other, so that each scaled law is weighed once.
  const RowBatch& batch = args.batch;
  std::vector<int64_t> order(args.adaptors);
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return batch.params[a * batch.params_stride] < batch.params[b * batch.params_stride];
  });
  for_type(batch.type, [&]<class T>(const RowKernel<T>& kernel) {
    for_rows(batch.rows, batch.n, [&](Workspace& ws, int64_t first, int64_t last) {
      ws.reserve(batch.n);
      ws.all_entropies = args.adaptors > 1;
      const int64_t count = args.adaptors * batch.rows;
      for (int64_t row_id = first; row_id < last; ++row_id) {
        RowInput<T> row = row_input<T>(batch, row_id);
        const int64_t token = args.tokens[row_id];
        if (token >= 0) kernel.scan(row, ws);
        if (token >= 0 && args.bias.ids) kernel.edit(row, ws, args.bias.row(row_id));
        for (const int64_t a : order) {
          const int64_t i = a * batch.rows + row_id;
          if (token < 0) {
            write_empty(args.out, count, i, 0, core::kFinished, 0.0);
            continue;
          }
          core::Rule rule(batch.params + a * batch.params_stride);
          const RowCut cut = kernel.cut(row, ws, rule);
          const float x = existing_logit(row, token), z = edited_logit(row, token);
          if (cut.status == core::kOk) {
            const bool kept = keeps(cut.masses, rule, token, z);
            write_token(cut.masses, rule, args.out, count, i, token, x, z, kept);
          } else if (cut.masses.base == 0) {
            write_bad(args.out, count, i, cut.status);
          } else {
            write_without_set(cut.masses, args.out, count, i, cut.status, token, &x);
          }
        }
      }
      ws.all_entropies = false;
    });
  });
}

void launch_adaptor_mask(const MaskArgs& args) {
  for_type(args.batch.type, [&]<class T>(const RowKernel<T>& kernel) {
    for_rows(args.batch.rows, args.batch.n, [&](Workspace& ws, int64_t first, int64_t last) {
      ws.reserve(args.batch.n);
      for (int64_t i = first; i < last; ++i) {
        RowInput<T> row = row_input<T>(args.batch, i);
        core::Rule rule(args.batch.params + i * args.batch.params_stride);
        kernel.scan(row, ws);
        if (args.bias.ids) kernel.edit(row, ws, args.bias.row(i));
        const RowCut cut = kernel.cut(row, ws, rule);
        bool* mask = args.mask + i * args.vocab;
        std::fill_n(mask, args.vocab, false);
        if (cut.status != core::kOk) continue;
        if (rule.greedy()) {
          mask[cut.masses.greedy_token] = true;
          continue;
        }
        for (int64_t id = 0; id < row.n; ++id) {
          const float z = edited_logit(row, id);
          mask[id] = z >= cut.masses.low && z <= cut.masses.high;
        }
      }
    });
  });
}

}  // namespace aligndec::cpu
