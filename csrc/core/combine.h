// Logits that are combined token by token: the score of a token, and when scores have a law.
#pragma once

#include <cmath>

#include "core/hd.h"

namespace aligndec::core {

// Adds one model's logit to the score of a token. `gone`: a model of positive weight rules the
// token out, and its -inf wins over the +inf of a negative weight.
ALIGNDEC_HD void add_logit(double logit, double weight, double& score, bool& gone) {
  score += logit * weight;
  if (weight > 0.0 && logit == -INFINITY) gone = true;
}

// Whether scores of this maximum, `broken` by a NaN or not, have a law.
ALIGNDEC_HD bool has_law(double top, bool broken) {
  return !broken && top > -INFINITY && top < INFINITY;
}

}  // namespace aligndec::core
