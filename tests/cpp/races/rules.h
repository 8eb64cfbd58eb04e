// Rules that take every stage of the row kernel, one to a row of a batch.
#pragma once

#include "core/adaptor_rules.h"
#include "core/gradient.h"
#include "races.h"

namespace races {

// In the order of core::Rule's columns; what follows stands as in `no_rule`.
inline std::vector<std::vector<double>> every_rule() {
  const double off = -INFINITY, cold = 0.7, hot = 1.5, icy = 0.001;
  const auto inverse = [](double tau) { return static_cast<double>(static_cast<float>(1 / tau)); };
  return {
      {1, 1, 0, 0, 1, off, 1, off, off, 0},                        // all tokens
      {1, 1, 0, 20, 1, off, 1, off, off, 0},                       // top_k
      {1, 1, 0, 0, 0.9, off, 1, off, off, 0},                      // top_p
      {1, 1, 0, 0, 1, -3, 1, off, off, 0},                         // min_p
      {1, 1, 0, 0, 1, off, 0.9, off, off, 0},                      // typical_p
      {1, 1, 0, 0, 1, off, 1, -5, off, 0},                         // epsilon
      {1, 1, 0, 0, 1, off, 1, off, -5, 0},                         // eta
      {1, 1, 0, 0, 1, off, 1, off, off, 1},                        // top_n_sigma
      {cold, inverse(cold), 0, 0, 0.9, off, 1, off, off, 0},       // under another temperature
      {hot, inverse(hot), 0, 50, 0.9, -4, 0.8, off, off, 0, 1},    // several, on the base law
      {0, 0, 0, 0, 1, off, 1, off, off, 0},                        // greedy
      {1, 1, 0, 0, 1, off, 1, off, off, 0, 0, 2, 1},               // mirostat
      {icy, inverse(icy), 0, 0, 1, off, 0.2, off, off, 0, 1},      // a kept set without mass
      {1, 1, 0, 0, 1, off, 1, off, off, 0, 0, 0, 0, -1},           // top_a
      {1, 1, 0, 0, 1, off, 1, off, off, 0, 0, 0, 0, off, 2},       // p_less
      {1, 1, 0, 0, 1, off, 1, off, off, 0, 0, 0, 0, off, 3},       // by powers
      {1, 1, 0, 0, 1, off, 1, off, off, 0, 0, 0, 0, off, 0, 0.7},  // top_h
      {1, 1, 0, 0, 0.9, off, 1, off, off, 0, 0, 0, 0, off, 0, 0, 0.5, 1.5, 1.5},  // dynamic
      {1, 1, 0, 0, 1, off, 1, off, off, 0, 0, 0, 0, off, 0, 0, 1, 1, 0, -3, 1},   // xtc
  };
}

// The columns of a rule that keeps all tokens.
inline std::vector<double> no_rule() {
  const double off = -INFINITY;
  return {1, 1, 0, 0, 1, off, 1, off, off, 0, 0, 0, 0, off, 0, 0, 1, 1, 0, off, 0};
}

// A batch of one row for each rule, and a bad one.
inline aligndec::RowBatch rows_of_rules(Run& run, int64_t n) {
  const auto rules = every_rule();
  const auto off = no_rule();
  aligndec::RowBatch batch = rows(run, static_cast<int64_t>(rules.size()) + 1, n);
  constexpr int64_t columns = aligndec::core::kRuleColumns;
  if (off.size() != columns) throw std::runtime_error("no_rule has other columns than core::Rule");
  batch.params = run.input<double>(batch.rows * columns, [&](int64_t i) {
    const auto& rule = rules[static_cast<size_t>(i / columns) % rules.size()];
    const auto column = static_cast<size_t>(i % columns);
    return column < rule.size() ? rule[column] : off[column];
  });
  batch.params_stride = columns;
  return batch;
}

inline aligndec::StepFields fields(Run& run, int64_t count, bool extras) {
  const auto real = [&] { return run.output<double>(count); };
  const auto whole = [&] { return run.output<int64_t>(count); };
  aligndec::StepFields out{whole(), real(),  real(),  real(),  real(), real(),
                           real(),  whole(), whole(), nullptr, nullptr};
  if (!extras) return out;
  out.cut = run.output<double>(aligndec::core::CutRecord::kRows * count);
  out.mass = run.output<int64_t>(2 * count);
  return out;
}

// Sizes of a row: one slice, and several.
inline std::vector<int64_t> sizes(const Run& run) {
  return run.quick ? std::vector<int64_t>{300} : std::vector<int64_t>{300, 2111};
}

}  // namespace races
