// Work whose entries know nothing of each other, over threads.
#pragma once

#include <algorithm>

#include "parallel.h"

namespace aligndec::cpu {

// Calls Entry::run(args, i) for i in [0, Entry::count(args)).
template <class Entry>
void launch_entries(const typename Entry::Args& args) {
  const int64_t grain = std::max<int64_t>(1, Entry::kItemsPerThread / Entry::items(args));
  parallel_for(0, Entry::count(args), grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) Entry::run(args, i);
  });
}

}  // namespace aligndec::cpu
