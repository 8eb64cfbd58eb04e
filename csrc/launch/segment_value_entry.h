// One value from rollouts, the same on every device.
#pragma once

#include "core/segment_value.h"
#include "launch/segment_value.h"

namespace aligndec {

struct SegmentValueEntry {
  using Args = SegmentValueArgs;
  static constexpr int64_t kItemsPerThread = 4096;  // forking a CPU's threads costs 5 to 20 us
  static int64_t count(const Args& args) { return args.segments; }
  static int64_t items(const Args& args) { return args.n; }

  static ALIGNDEC_HD void run(const Args& args, int64_t i) {
    const int64_t at = i * args.n;
    const core::SegmentValue v =
        core::segment_value(args.rewards + at, args.log_ratio ? args.log_ratio + at : nullptr,
                            args.n, static_cast<core::ValueMode>(args.mode));
    args.value[i] = v.value;
    args.ess[i] = v.ess;
    args.log_c[i] = v.log_c;
  }
};

}  // namespace aligndec
