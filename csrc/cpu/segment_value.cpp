// Values from rollouts on the CPU: segments over threads.
#include "launch/segment_value.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "core/segment_value.h"

namespace aligndec::cpu {

void launch_segment_value(const SegmentValueArgs& args) {
  constexpr int64_t kRolloutsPerThread = 4096;  // forking costs 5 to 20 us
  const auto mode = static_cast<core::ValueMode>(args.mode);
  const int64_t grain = std::max<int64_t>(1, kRolloutsPerThread / args.n);
  at::parallel_for(0, args.segments, grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t at = i * args.n;
      const core::SegmentValue v = core::segment_value(
          args.rewards + at, args.log_ratio ? args.log_ratio + at : nullptr, args.n, mode);
      args.value[i] = v.value;
      args.ess[i] = v.ess;
      args.log_c[i] = v.log_c;
    }
  });
}

}  // namespace aligndec::cpu
