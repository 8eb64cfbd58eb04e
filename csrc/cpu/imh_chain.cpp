// Independence Metropolis-Hastings on the CPU: chains over threads.

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>

#include "core/metropolis.h"
#include "cpu/isa.h"
#include "launch/imh_chain.h"
#include "parallel.h"

namespace aligndec::cpu {
namespace {

// Forking costs 5 to 20 us: a thread gets at least this many steps.
constexpr int64_t kStepsPerThread = 4096;

// Fresh outputs of this size are mapped page by page, which costs more than the chain itself.
constexpr uintptr_t kHugePage = uintptr_t{1} << 21;

void prefer_huge_pages([[maybe_unused]] void* data, [[maybe_unused]] int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + kHugePage - 1) & ~(kHugePage - 1);
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) & ~(kHugePage - 1);
  // Advice only: without huge pages nothing changes.
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
}

// Chains [first_chain, first_chain + kLanes).
template <int kLanes>
void run_lanes(const ChainArgs& args, FillLogU fill, int64_t first_chain) {
  alignas(64) double log_u[kLanes * kChainSteps];
  core::ChainState states[kLanes] = {};
  const int64_t start = first_chain * args.length;
  for (int64_t first = 0; first < args.length; first += kChainSteps) {
    const int64_t last = std::min(first + kChainSteps, args.length);
    for (int lane = 0; lane < kLanes; ++lane) {
      const int64_t chain = first_chain + lane;
      const int64_t name = args.sequence_ids ? args.sequence_ids[chain] : chain;
      fill(args.uniforms ? args.uniforms + chain * args.length + first : nullptr,
           static_cast<uint64_t>(args.seed), static_cast<uint64_t>(name), first, last - first,
           log_u + lane * kChainSteps);
    }
    core::run_chains(states, first, last, args.log_weight + start, args.length, log_u, kChainSteps,
                     args.index + start, args.accepted + start);
  }
  for (int lane = 0; lane < kLanes; ++lane) args.count[first_chain + lane] = states[lane].accepted;
}

}  // namespace

void launch_imh_chain(const ChainArgs& args) {
  const FillLogU fill = chain_kernel();
  const int64_t entries = args.chains * args.length;
  prefer_huge_pages(args.index, entries * int64_t{sizeof(int64_t)});
  prefer_huge_pages(args.accepted, entries);
  const int64_t grain = std::max<int64_t>(1, kStepsPerThread / args.length);
  parallel_for(0, args.chains, grain, [&](int64_t first, int64_t last) {
    constexpr int kLanes = 4;
    int64_t chain = first;
    for (; chain + kLanes <= last; chain += kLanes) run_lanes<kLanes>(args, fill, chain);
    for (; chain < last; ++chain) run_lanes<1>(args, fill, chain);
  });
}

}  // namespace aligndec::cpu
