// Values from rollouts on the CPU: segments over threads.

#include <algorithm>

#include "launch/segment_value_entry.h"
#include "parallel.h"

namespace aligndec::cpu {

void launch_segment_value(const SegmentValueArgs& args) {
  constexpr int64_t kRolloutsPerThread = 4096;  // forking costs 5 to 20 us
  const int64_t grain = std::max<int64_t>(1, kRolloutsPerThread / args.n);
  parallel_for(0, args.segments, grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) segment_value_entry(args, i);
  });
}

}  // namespace aligndec::cpu
