// Mirostat, version 2 in nats (Basu et al. 2021): a string keeps the tokens whose surprise under
// the scaled law is at most its own threshold mu, the most probable always, and mu follows the
// surprises of its tokens. So the kept set is a function of the prefix, like every other one.
#pragma once

#include "core/adaptor_rules.h"
#include "core/hd.h"
#include "core/state.h"

namespace aligndec::core {

struct Mirostat {
  double tau, lr;

  ALIGNDEC_HD explicit Mirostat(const double* p) : tau(p[0] == 0.0 ? 0.0 : p[11]), lr(p[12]) {}
  ALIGNDEC_HD bool on() const { return tau > 0.0; }
  // mu of a string; NaN stands for a string without a token yet.
  ALIGNDEC_HD double threshold(double mu) const { return mu != mu ? 2.0 * tau : mu; }
};

// The rule of one string: -ln p <= mu is p >= epsilon with ln epsilon = -mu. `mu` may be null for
// rules without mirostat.
ALIGNDEC_HD Rule string_rule(const double* params, const double* mu) {
  Rule rule(params);
  const Mirostat mirostat(params);
  if (mirostat.on() && mu) rule.ln_epsilon = 0.0 - mirostat.threshold(*mu);
  return rule;
}

// mu -= lr (surprise - tau), where -ln p_tau(y) = (log_z - log_kept) - (log_p + bias) / temperature
// also of a token outside of the kept set; `bias` is what was added to its logit.
ALIGNDEC_HD void commit_threshold(double* mu, const double* params, int64_t status,
                                  const double (&fields)[kSums], float bias) {
  const Mirostat mirostat(params);
  if (!mirostat.on() || status == kFinished || is_bad(status)) return;
  const double log_p = fields[0] + static_cast<double>(bias);
  const double surprise = (fields[2] - fields[3]) - log_p / params[0];
  *mu = mirostat.threshold(*mu) - mirostat.lr * (surprise - mirostat.tau);
}

}  // namespace aligndec::core
