// One scored token of a backward pass, the same on every device.
#pragma once

#include <cstdint>

#include "core/gradient.h"
#include "launch/adaptor_step.h"

namespace aligndec {

ALIGNDEC_HD bool entry_has_gradient(const BackwardArgs& args, int64_t i) {
  return core::has_gradient(args.status[i], args.cut[2 * args.count + i]);
}

// `x`: the logit of the token as it came, -inf if it does not exist.
ALIGNDEC_HD core::RowGradient entry_gradient(const BackwardArgs& args, int64_t i, float x) {
  const auto cut = [&](int row) { return args.cut[row * args.count + i]; };
  const bool of_kept = args.grad_log_kept != nullptr;
  return {core::Rule(args.batch.params + i * args.batch.params_stride),
          args.status[i],
          x,
          {args.grad_log_p[i], args.grad_log_q[i], args.grad_log_z[i],
           of_kept ? args.grad_log_kept[i] : 0.0},
          {cut(0), cut(1), cut(2), cut(3), cut(4), cut(5), cut(6)},
          of_kept ? args.log_kept[i] : 0.0};
}

}  // namespace aligndec
