// One scored token of a backward pass, the same on every device.
#pragma once

#include <cstdint>

#include "core/gradient.h"
#include "launch/adaptor_step.h"

namespace aligndec {

ALIGNDEC_HD bool entry_has_gradient(const BackwardArgs& args, int64_t i) {
  return core::has_gradient(args.status[i], args.cut[2 * args.count + i]);
}

ALIGNDEC_HD core::RowGradient entry_gradient(const BackwardArgs& args, int64_t i, bool exists) {
  const double* cut = args.cut + i;
  const bool of_kept = args.grad_log_kept != nullptr;
  return {core::Rule(args.batch.params + i * args.batch.params_stride),
          args.status[i],
          exists,
          {args.grad_log_p[i], args.grad_log_q[i], args.grad_log_z[i],
           of_kept ? args.grad_log_kept[i] : 0.0},
          {cut[0], cut[args.count], cut[2 * args.count], cut[3 * args.count],
           of_kept ? args.log_kept[i] : 0.0}};
}

}  // namespace aligndec
