// One scored token of a backward pass, the same on every device.
#pragma once

#include <cstdint>

#include "core/gradient.h"
#include "launch/adaptor_step.h"

namespace aligndec {

// `x`: the logit of the token, -inf if it does not exist.
ALIGNDEC_HD core::RowGradient entry_gradient(const BackwardArgs& args, int64_t i, float x) {
  const auto cut = [&](int row) { return args.cut[row * args.count + i]; };
  return {core::Rule(args.batch.params + i * args.batch.params_stride),
          args.status[i],
          x,
          {args.grad_log_p[i], args.grad_log_q[i], args.grad_log_z[i]},
          {cut(0), cut(1), cut(2), cut(3), cut(4), cut(5), cut(6)}};
}

}  // namespace aligndec
