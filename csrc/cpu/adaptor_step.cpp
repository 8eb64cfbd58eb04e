// The fused step on the CPU: rows over threads, or the parts of a row when rows are few and long.
#include "launch/adaptor_step.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "core/draw.h"
#include "core/mirostat.h"
#include "core/philox.h"
#include "core/state.h"
#include "cpu/isa.h"
#include "cpu/rows.h"

namespace aligndec::cpu {
namespace {

core::RandomBits random_bits(const BitSource& source, int64_t i, const int64_t* length) {
  const auto seed = static_cast<uint64_t>(source.seeds ? source.seeds[i] : source.seed);
  const auto sequence = static_cast<uint64_t>(source.sequence_ids ? source.sequence_ids[i] : i);
  const int64_t* positions = source.positions ? source.positions : length;
  const auto position = static_cast<uint64_t>(positions ? positions[i] : source.position);
  return core::token_bits(seed, sequence, position, core::Stream::kToken);
}

// Writes entry i of every field.
void write_row(const StepFields& out, int64_t i, int64_t token, const double (&floats)[6],
               int64_t n_kept, int64_t status) {
  out.token[i] = token;
  out.log_p[i] = floats[0];
  out.log_q[i] = floats[1];
  out.log_z[i] = floats[2];
  out.log_kept[i] = floats[3];
  out.entropy[i] = floats[4];
  out.kl[i] = floats[5];
  out.n_kept[i] = n_kept;
  out.status[i] = status;
}

void write_extras(const StepFields& out, int64_t count, int64_t i, double low, double high,
                  double l1, double lc, uint64_t all, uint64_t kept) {
  if (out.cut) {
    const double values[] = {low, high, l1, lc};
    for (int f = 0; f < 4; ++f) out.cut[f * count + i] = values[f];
  }
  if (out.mass) {
    out.mass[i] = static_cast<int64_t>(all);
    out.mass[count + i] = static_cast<int64_t>(kept);
  }
}

void write_empty(const StepFields& out, int64_t count, int64_t i, int64_t token, int64_t status,
                 double value) {
  const double floats[] = {value, value, value, value, value, value};
  write_row(out, i, token, floats, 0, status);
  write_extras(out, count, i, value, value, value, value, 0, 0);
}

// Books of one token of a row whose kept set is known.
template <class T>
void write_token(const RowInput<T>& row, const RowCut& cut, const core::Rule& rule,
                 const StepFields& out, int64_t count, int64_t i, int64_t token) {
  const core::RowMasses& r = cut.masses;
  const core::RowBooks books = core::row_books(r, rule.tau);
  const float x = existing_logit(row, token);
  const bool kept = rule.greedy() ? token == r.greedy_token : x >= r.low && x <= r.high;
  const double infinity = std::numeric_limits<double>::infinity();
  const double floats[] = {core::token_log_p(r, books, x),
                           kept ? core::token_log_q(r, books, x, rule.tau) : -infinity,
                           books.log_z,
                           books.log_kept,
                           books.entropy,
                           books.kl};
  write_row(out, i, token, floats, r.n_kept, kept ? core::kOk : core::kOutside);
  const double lc = rule.greedy() ? 0.0 : books.kept_log_sum + r.kept_top / rule.tau;
  write_extras(out, count, i, r.low, r.high, books.base_log_sum + r.top, lc, r.scaled,
               r.kept_units);
}

// Entries [first, last): draws or scores; neighbours with the same row and rule share the kept set.
template <class T>
void step_entries(const StepArgs& args, const RowKernel<T>& kernel, Workspace& ws, int64_t first,
                  int64_t last) {
  const RowBatch& batch = args.batch;
  ws.reserve(batch.n);
  const int64_t* length = args.state.sums ? args.state.length : nullptr;
  const double* mu = args.state.sums ? args.state.sums + core::kSums * args.count : nullptr;
  int64_t known_row = -1;
  const double* known_params = nullptr;
  RowCut cut{};
  for (int64_t i = first; i < last; ++i) {
    const int64_t token = args.tokens ? args.tokens[i] : -1;
    if ((args.state.sums && args.state.finished[i]) || (args.tokens && token < 0)) {
      write_empty(args.out, args.count, i, args.state.pad, core::kFinished, 0.0);
      continue;
    }
    const int64_t at = args.row_of ? args.row_of[i] : i;
    const double* params = batch.params + i * batch.params_stride;
    const RowInput<T> row = row_input<T>(batch, at);
    const core::Rule rule = core::string_rule(params, mu ? mu + i : nullptr);
    if (at != known_row) kernel.scan(row, ws);
    if (at != known_row || params != known_params) cut = kernel.cut(row, ws, rule);
    known_row = at;
    known_params = params;
    if (cut.status != core::kOk) {
      write_empty(args.out, args.count, i, -1, cut.status,
                  std::numeric_limits<double>::quiet_NaN());
      continue;
    }
    int64_t y = token;
    if (!args.tokens) {
      const uint64_t r = args.bits.uniforms ? core::bits_from_uniform(args.bits.uniforms[i])
                                            : random_bits(args.bits, i, length).r;
      y = kernel.draw(row, ws, cut, !rule.scale.identity, core::draw_target(r, cut.masses.kept));
    }
    write_token(row, cut, rule, args.out, args.count, i, y);
  }
}

void commit(const StepArgs& args) {
  const StateRef& state = args.state;
  const StepFields& out = args.out;
  if (state.strict && std::any_of(out.status, out.status + args.count, core::is_bad)) return;
  for (int64_t i = 0; i < args.count; ++i) {
    const double fields[] = {out.log_p[i], out.log_q[i], out.log_z[i], out.log_kept[i], out.kl[i]};
    core::commit_step(state.sums, args.count, i, state.length, state.finished, state.eos,
                      state.n_eos, out.status[i], out.token[i], fields);
    core::commit_threshold(state.sums + core::kSums * args.count + i,
                           args.batch.params + i * args.batch.params_stride, out.status[i], fields);
  }
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
        const RowInput<T> row = row_input<T>(batch, row_id);
        const int64_t token = args.tokens[row_id];
        if (token >= 0) kernel.scan(row, ws);
        for (const int64_t a : order) {
          const int64_t i = a * batch.rows + row_id;
          if (token < 0) {
            write_empty(args.out, count, i, 0, core::kFinished, 0.0);
            continue;
          }
          const core::Rule rule(batch.params + a * batch.params_stride);
          const RowCut cut = kernel.cut(row, ws, rule);
          if (cut.status != core::kOk) {
            write_empty(args.out, count, i, -1, cut.status,
                        std::numeric_limits<double>::quiet_NaN());
          } else {
            write_token(row, cut, rule, args.out, count, i, token);
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
        const RowInput<T> row = row_input<T>(args.batch, i);
        const core::Rule rule(args.batch.params + i * args.batch.params_stride);
        kernel.scan(row, ws);
        const RowCut cut = kernel.cut(row, ws, rule);
        bool* mask = args.mask + i * args.vocab;
        std::fill_n(mask, args.vocab, false);
        if (cut.status != core::kOk) continue;
        if (rule.greedy()) {
          mask[cut.masses.greedy_token] = true;
          continue;
        }
        for (int64_t id = 0; id < row.n; ++id) {
          const float x = existing_logit(row, id);
          mask[id] = x >= cut.masses.low && x <= cut.masses.high;
        }
      }
    });
  });
}

}  // namespace aligndec::cpu
