// One entry of a step, the same on every device: its random bits, its outputs, its running sums.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/adaptor_rules.h"
#include "core/books.h"
#include "core/gradient.h"
#include "core/mirostat.h"
#include "core/state.h"
#include "launch/adaptor_step.h"

namespace aligndec {

// The 64 bits that decide entry i.
ALIGNDEC_HD uint64_t entry_bits(const StepArgs& args, int64_t i) {
  const int64_t* length = args.state.sums ? args.state.length : nullptr;
  return bits_of_entry(args.bits, i, core::Stream::kToken, length);
}

// Whether xtc's coin of entry i comes up: r < floor(chance 2^64), always at 1. A given token's coin
// is given with it, as a chance of 0 or 1.
ALIGNDEC_HD bool xtc_coin(const StepArgs& args, double chance, int64_t i) {
  if (!(chance > 0.0) || chance >= 1.0 || args.tokens) return chance >= 1.0;
  BitSource source = args.bits;
  source.uniforms = nullptr;  // they replace the bits of the draw alone
  const int64_t* length = args.state.sums ? args.state.length : nullptr;
  return bits_of_entry(source, i, core::Stream::kXtc, length) < core::bits_from_uniform(chance);
}

// The rule of entry i, with its string's own threshold if it has one, and its coin.
ALIGNDEC_HD core::Rule entry_rule(const StepArgs& args, int64_t i) {
  const double* mu = args.state.sums ? args.state.sums + core::kSums * args.count + i : nullptr;
  core::Rule rule = core::string_rule(args.batch.params + i * args.batch.params_stride, mu);
  rule.xtc = xtc_coin(args, rule.xtc_chance, i);
  return rule;
}

// Writes entry i of every field.
ALIGNDEC_HD void write_fields(const StepFields& out, int64_t i, int64_t token,
                              const double (&floats)[6], int64_t n_kept, int64_t status) {
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

ALIGNDEC_HD void write_extras(const StepFields& out, int64_t count, int64_t i,
                              const core::CutRecord& cut, uint64_t all, uint64_t kept) {
  if (out.cut) {
    const double values[] = {cut.low, cut.high, cut.log_base, cut.log_kept,
                             cut.tau, cut.mean, cut.entropy};
    for (int f = 0; f < core::CutRecord::kRows; ++f) out.cut[f * count + i] = values[f];
  }
  if (out.mass) {
    out.mass[i] = static_cast<int64_t>(all);
    out.mass[count + i] = static_cast<int64_t>(kept);
  }
}

// A finished row, or one without a law.
ALIGNDEC_HD void write_empty(const StepFields& out, int64_t count, int64_t i, int64_t token,
                             int64_t status, double value) {
  const double floats[] = {value, value, value, value, value, value};
  write_fields(out, i, token, floats, 0, status);
  write_extras(out, count, i, {value, value, value, value, value, value, value}, 0, 0);
}
ALIGNDEC_HD void write_bad(const StepFields& out, int64_t count, int64_t i, int64_t status) {
  write_empty(out, count, i, -1, status, NAN);
}

// A row of which the base law alone is known, because no kept set is: the books of a given token
// with logit x, or of none (null).
ALIGNDEC_HD void write_without_set(const core::RowMasses& r, const StepFields& out, int64_t count,
                                   int64_t i, int64_t status, int64_t token, const float* x) {
  const core::RowBooks books = core::row_books(r, 0.0);
  const double log_p = x ? core::token_log_p(r, books, *x) : NAN;
  const double floats[] = {log_p, NAN, NAN, NAN, books.entropy, NAN};
  write_fields(out, i, x ? token : -1, floats, 0, status);
  const double l1 = books.base_log_sum + core::base_top(r);
  write_extras(out, count, i, {NAN, NAN, l1, NAN, 1.0, NAN, books.entropy}, 0, 0);
}

// The books of one token of a row whose kept set is known: its logit as it came, x (-inf: it does
// not exist), the edited one, z, and whether it is kept.
ALIGNDEC_HD void write_token(const core::RowMasses& r, const core::Rule& rule,
                             const StepFields& out, int64_t count, int64_t i, int64_t token,
                             float x, float z, bool kept) {
  const core::RowBooks books = core::row_books(r, rule.tau);
  const double infinity = INFINITY;
  const double floats[] = {core::token_log_p(r, books, x),
                           kept ? core::token_log_q(r, books, z, rule.tau) : -infinity,
                           books.log_z,
                           books.log_kept,
                           books.entropy,
                           books.kl};
  write_fields(out, i, token, floats, r.n_kept, kept ? core::kOk : core::kOutside);
  const double lc = rule.greedy() ? static_cast<double>(r.greedy_token)
                                  : books.kept_log_sum + r.kept_top / rule.tau;
  write_extras(out, count, i,
               {r.low, r.high, books.base_log_sum + core::base_top(r), lc, rule.tau,
                core::mean_of_kept(r, rule.tau), books.entropy},
               r.scaled, r.kept_units);
}

// Whether the kept set, an interval of logits, holds a token with edited logit z.
ALIGNDEC_HD bool keeps(const core::RowMasses& r, const core::Rule& rule, int64_t token, float z) {
  return rule.greedy() ? token == r.greedy_token : z >= r.low && z <= r.high;
}

// Without a bias.
ALIGNDEC_HD void write_token(const core::RowMasses& r, const core::Rule& rule,
                             const StepFields& out, int64_t count, int64_t i, int64_t token,
                             float x) {
  write_token(r, rule, out, count, i, token, x, x, keeps(r, rule, token, x));
}

// Adds entry i to its running sums.
ALIGNDEC_HD void commit_entry(const StepArgs& args, int64_t i) {
  const StateRef& state = args.state;
  const StepFields& out = args.out;
  const double fields[] = {out.log_p[i], out.log_q[i], out.log_z[i], out.log_kept[i], out.kl[i]};
  core::commit_step(state.sums, args.count, i, state.length, state.finished, state.eos, state.n_eos,
                    out.status[i], out.token[i], fields);
  core::commit_threshold(state.sums + core::kSums * args.count + i,
                         args.batch.params + i * args.batch.params_stride, out.status[i], fields,
                         args.bias.row(i).at(out.token[i]));
}

}  // namespace aligndec
