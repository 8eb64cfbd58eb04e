// One value from rollouts, the same on every device.
#pragma once

#include "core/segment_value.h"
#include "launch/segment_value.h"

namespace aligndec {

ALIGNDEC_HD void segment_value_entry(const SegmentValueArgs& args, int64_t i) {
  const int64_t at = i * args.n;
  const core::SegmentValue v =
      core::segment_value(args.rewards + at, args.log_ratio ? args.log_ratio + at : nullptr, args.n,
                          static_cast<core::ValueMode>(args.mode));
  args.value[i] = v.value;
  args.ess[i] = v.ess;
  args.log_c[i] = v.log_c;
}

}  // namespace aligndec
