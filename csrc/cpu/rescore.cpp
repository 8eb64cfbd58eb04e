// The choice among candidates on the CPU: rows over threads.

#include <algorithm>

#include "launch/rescore_entry.h"
#include "parallel.h"

namespace aligndec::cpu {

void launch_rescore(const RescoreArgs& args) {
  constexpr int64_t kCandidatesPerThread = 2048;  // forking costs 5 to 20 us
  const int64_t grain = std::max<int64_t>(1, kCandidatesPerThread / args.k);
  parallel_for(0, args.rows, grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) rescore_entry(args, i);
  });
}

}  // namespace aligndec::cpu
