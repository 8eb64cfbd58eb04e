// Resampling of particle filters on the CPU: filters over threads.
#include <algorithm>

#include "launch/smc_resample_entry.h"
#include "parallel.h"

namespace aligndec::cpu {
namespace {

// A thread that works on a filter alone.
struct Alone {
  int64_t rank() const { return 0; }
  int64_t size() const { return 1; }
  void sync() const {}
  double largest(double mine) const { return mine; }
  core::u128 total(core::u128 mine) const { return mine; }
  core::u128 before(core::u128) const { return 0; }
  void count(uint32_t* word, uint32_t n) const { *word += n; }
};

}  // namespace

void launch_smc_resample(const SmcResampleArgs& args) {
  constexpr int64_t kParticlesPerThread = 1024;  // forking costs 5 to 20 us
  const int64_t grain = std::max<int64_t>(1, kParticlesPerThread / args.n);
  parallel_for(0, args.filters, grain, [&](int64_t first, int64_t last) {
    Alone alone;
    for (int64_t i = first; i < last; ++i) smc_resample_entry(args, i, alone);
  });
}

}  // namespace aligndec::cpu
