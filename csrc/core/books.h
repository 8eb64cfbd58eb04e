// The books of one step: what semantics' section 1.1 returns, from the integer masses of one row.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/fixed_point.h"
#include "core/hd.h"
#include "core/log.h"

namespace aligndec::core {

enum Status : int64_t {
  kOk = 0,
  kBadLogit = 1,
  kNoToken = 2,
  kOutside = 3,
  kFinished = 4,
  kUnknownSet = 5  // a given kept set that was not stored
};

// A kept mass below this has too few digits: the set is then weighed relative to its own maximum.
constexpr uint64_t kFarMass = uint64_t{1} << 20;

// What a row's passes leave behind. Masses in units of 2^-43. Where a bias is added, all but the
// base law is of the edited logits.
struct RowMasses {
  float top = 0;                  // maximum over the existing tokens
  float kept_top = 0;             // what the kept weights are relative to: top, or if far its own
  uint64_t base = 0, base_e = 0;  // W and E at temperature 1, all tokens as they came
  uint64_t scaled = 0;            // W of the scaled law, all tokens
  uint64_t kept = 0, kept_e = 0;  // W and E of the scaled law over the kept set
  uint64_t kept_units = 0;        // kept mass relative to top
  int64_t n_kept = 0;
  float low = 0, high = 0;    // the kept set is {low <= x <= high}
  int64_t greedy_token = -1;  // tau = 0
  double greedy_gap = 0;      // its logit as it came, from the maximum of these
  bool edited = false;        // a bias was added:
  double base_shift = 0;      // top less the maximum of the logits as they came
  double moved = 0;           // sum of W times the bias over the kept tokens, in units
};

struct RowBooks {
  double log_z, log_kept, entropy, kl;
  double base_log_sum, kept_log_sum;  // relative to top and to kept_top
};

// ln(kept / all), accurate when little was removed.
ALIGNDEC_HD double log_kept_share(uint64_t kept, uint64_t all, double log_ratio) {
  const uint64_t removed = all - kept;
  return removed < kept ? log1p_negative(-mass_ratio(removed, all)) : log_ratio;
}

ALIGNDEC_HD RowBooks row_books(const RowMasses& r, double tau) {
  RowBooks b;
  b.base_log_sum = log_mass(r.base);
  const double entropy = b.base_log_sum + mass_ratio(r.base_e, r.base);
  b.entropy = entropy > 0.0 ? entropy : 0.0;
  if (tau == 0.0) {
    b.log_z = b.log_kept = r.greedy_gap - b.base_log_sum;
    b.kl = 0.0 - b.log_z;
    b.kept_log_sum = 0.0;
    return b;
  }
  b.kept_log_sum = log_mass(r.kept);
  const double shift = static_cast<double>(r.kept_top) - static_cast<double>(r.top);
  const double log_kept_sum = b.kept_log_sum + shift / tau;
  b.log_kept = log_kept_share(r.kept_units, r.scaled, log_kept_sum - log_mass(r.scaled));
  if (tau == 1.0 && !r.edited) {
    b.log_z = b.log_kept;
    b.kl = 0.0 - b.log_kept;
    return b;
  }
  const double from_base = shift + r.base_shift;
  b.log_z = (b.kept_log_sum + from_base / tau) - b.base_log_sum / tau;
  double kl =
      (b.base_log_sum - b.kept_log_sum - from_base) + (tau - 1.0) * mass_ratio(r.kept_e, r.kept);
  if (r.edited) kl += r.moved / static_cast<double>(r.kept);
  b.kl = kl > 0.0 ? kl : 0.0;
  return b;
}

// The mean of the edited logits under q.
ALIGNDEC_HD double mean_of_kept(const RowMasses& r, double tau) {
  if (tau == 0.0) return static_cast<double>(r.top);
  return static_cast<double>(r.kept_top) - tau * mass_ratio(r.kept_e, r.kept);
}

// The maximum of the logits as they came.
ALIGNDEC_HD double base_top(const RowMasses& r) {
  return static_cast<double>(r.top) - r.base_shift;
}

// ln p(y) of a token whose logit came as x, and ln q(y) of a kept one whose edited logit is z.
ALIGNDEC_HD double token_log_p(const RowMasses& r, const RowBooks& b, float x) {
  return (static_cast<double>(x) - base_top(r)) - b.base_log_sum;
}
ALIGNDEC_HD double token_log_q(const RowMasses& r, const RowBooks& b, float z, double tau) {
  if (tau == 0.0) return 0.0;
  return (static_cast<double>(z) - static_cast<double>(r.kept_top)) / tau - b.kept_log_sum;
}

}  // namespace aligndec::core
