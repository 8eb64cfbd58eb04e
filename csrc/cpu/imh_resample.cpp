// Chains over the entries of a pool on the CPU: groups of chains over threads.
#include "launch/imh_resample.h"

#include <algorithm>
#include <vector>

#include "core/metropolis.h"
#include "core/philox.h"
#include "cpu/isa.h"
#include "parallel.h"

namespace aligndec::cpu {
namespace {

// Visits are counted when the tables of a group stay in the cache of one core.
constexpr int64_t kCountedSize = 16384;

// Sums of `values` over the states of kPoolLanes chains. Counting costs one increment a step
// whatever the number of columns, and the sums round once for an entry instead of once for a step;
// it needs a table of the pool for each chain. Both orders of summation are fixed.
class Visits {
 public:
  explicit Visits(const ResampleArgs& args)
      : size_(args.size),
        columns_(args.columns),
        counted_(args.size <= std::min(kCountedSize, args.steps - args.burn_in)),
        counts_(counted_ ? kPoolLanes * size_ : 0),
        sums_(kPoolLanes * columns_) {}

  void start(const double* values) {
    values_ = values;
    std::fill(counts_.begin(), counts_.end(), 0);
    std::fill(sums_.begin(), sums_.end(), 0.0);
  }

  // Where the kernel counts beside its own steps; null: states have to be added.
  uint32_t* counts() { return counted_ ? counts_.data() : nullptr; }

  void add(PoolStates states, int64_t steps) {
    for (int64_t n = 0; n < steps; ++n) {
      for (int lane = 0; lane < kPoolLanes; ++lane) {
        if (counted_) {
          count_visit(counts_.data(), states[n][lane], lane);
        } else {
          add_entry(lane, states[n][lane]);
        }
      }
    }
  }

  // The sums of one chain, [columns].
  const double* finish(int lane) {
    double* sum = sums_.data() + lane * columns_;
    for (int64_t s = 0; counted_ && s < columns_; ++s) sum[s] = weighted_sum(lane, s);
    return sum;
  }

 private:
  void add_entry(int lane, uint64_t entry) {
    double* sum = sums_.data() + lane * columns_;
    const double* value = values_ + static_cast<int64_t>(entry) * columns_;
    for (int64_t s = 0; s < columns_; ++s) sum[s] += value[s];
  }

  // In eight parts that do not wait for each other and are added in a fixed order. An entry that
  // was never a state may hold an infinity: it counts as 0.
  double weighted_sum(int lane, int64_t column) const {
    constexpr int64_t kParts = 8;
    double part[kParts] = {};
    for (int64_t first = 0; first < size_; first += kParts) {
      const int64_t count = std::min(kParts, size_ - first);
      for (int64_t k = 0; k < count; ++k) {
        const uint32_t n = counts_[(first + k) * kPoolLanes + lane];
        const auto bits = core::bit_cast<uint64_t>(values_[(first + k) * columns_ + column]);
        part[k] += n * core::bit_cast<double>(bits & -static_cast<uint64_t>(n > 0));
      }
    }
    for (int64_t width = kParts / 2; width > 0; width /= 2) {
      for (int64_t k = 0; k < width; ++k) part[k] += part[k + width];
    }
    return part[0];
  }

  const double* values_ = nullptr;
  int64_t size_, columns_;
  bool counted_;
  std::vector<uint32_t> counts_;  // [size, kPoolLanes]
  std::vector<double> sums_;      // [kPoolLanes, columns]
};

// Chains [first, first + kPoolLanes) of one pool, from their starts on.
void run_group(const ResampleArgs& args, const Pool& pool, RunPool run, int64_t first_sequence,
               PoolChains& chains, Visits& visits) {
  chains.seed = static_cast<uint64_t>(args.seed);
  chains.first = static_cast<uint64_t>(first_sequence);
  chains.drawn = 0;
  for (int lane = 0; lane < kPoolLanes; ++lane) {
    const uint64_t name = chains.first + static_cast<uint64_t>(lane);
    const uint64_t r2 = core::token_bits(chains.seed, name, 0, core::Stream::kChain).r2;
    chains.state[lane] = static_cast<uint64_t>(core::pool_index(r2, pool.size));
    chains.weight[lane] = pool.weight[chains.state[lane]];
    chains.accepted[lane] = 0;
  }
  alignas(64) uint64_t states[2][kPoolSteps][kPoolLanes];
  PoolStates waiting = nullptr;
  for (int64_t begin = 1, turn = 0; begin <= args.steps; begin += kPoolSteps, turn ^= 1) {
    const int64_t end = std::min(begin + kPoolSteps, args.steps + 1);
    run(pool, chains, begin, end, states[turn], waiting, visits.counts());
    const int64_t skipped = std::clamp<int64_t>(args.burn_in + 1 - begin, 0, end - begin);
    const bool later = visits.counts() && skipped == 0 && end - begin == kPoolSteps;
    waiting = later ? states[turn] : nullptr;
    if (!later) visits.add(states[turn] + skipped, end - begin - skipped);
  }
  if (waiting) visits.add(waiting, kPoolSteps);
}

}  // namespace

void launch_imh_resample(const ResampleArgs& args) {
  std::vector<double> weight(args.pools * args.size);
  for (int64_t p = 0; p < args.pools; ++p) {
    const double* log_weight = args.log_weight + p * args.size;
    const double top = *std::max_element(log_weight, log_weight + args.size);
    for (int64_t i = 0; i < args.size; ++i) {
      weight[p * args.size + i] = core::QuickAccept::weight(log_weight[i], top);
    }
  }
  const RunPool run = pool_kernel();
  const int64_t groups = (args.chains + kPoolLanes - 1) / kPoolLanes;
  parallel_for(0, args.pools * groups, 1, [&](int64_t begin, int64_t end) {
    Visits visits(args);
    PoolChains chains;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t p = task / groups, first = task % groups * kPoolLanes;
      const Pool pool{args.log_weight + p * args.size, weight.data() + p * args.size, args.size};
      visits.start(args.values + p * args.size * args.columns);
      run_group(args, pool, run, p * args.chains + first, chains, visits);
      for (int lane = 0; lane < std::min<int64_t>(kPoolLanes, args.chains - first); ++lane) {
        const int64_t row = p * args.chains + first + lane;
        const double* sums = visits.finish(lane);
        for (int64_t s = 0; s < args.columns; ++s) {
          args.mean[row * args.columns + s] = sums[s] / (args.steps - args.burn_in);
        }
        args.accepted[row] = static_cast<int64_t>(chains.accepted[lane]);
      }
    }
  });
}

}  // namespace aligndec::cpu
