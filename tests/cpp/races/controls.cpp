// Whether the race detector can tell: kernels that each lack one thing, which the first word names,
// and a sound one.
#include "cuda/block.cuh"
#include "races.h"

namespace {

namespace block = aligndec::cuda::block;

enum class Lack {
  kNothing,
  kBlockBarrier,   // a warp reads what another wrote
  kWarpBarrier,    // a lane reads what another wrote; a shuffle is no barrier
  kGroupBarrier,   // a block reads what a peer wrote
  kLastBarrier,    // a block ends while a peer reads from it
  kAtomic,         // threads count in one word
  kOwnPlace,       // groups write to one place of device memory
  kLaunchBetween,  // a group reads what another wrote to device memory
  kRestOfBarrier,  // half of a block waits
};
const std::vector<std::string> kNames = {
    "nothing", "block barrier", "warp barrier",   "group barrier",     "last barrier",
    "atomic",  "own place",     "launch between", "rest of a barrier",
};

struct Control {
  static constexpr int kThreads = 64;
  struct Args {
    Lack lack;
    int64_t* out;  // [groups]
  };
  struct Storage {
    int64_t value[kThreads];
    uint32_t count;
  };

  static void run(const Args& args) {
    const auto has = [&](Lack lack) { return args.lack != lack; };
    auto& s = *reinterpret_cast<Storage*>(block::storage());
    const int i = block::thread(), other = i ^ block::kWarp;
    if (i == 0) s.count = 0;
    s.value[i] = i;
    if (has(Lack::kWarpBarrier)) block::sync_warp();
    int64_t sum = s.value[i ^ 1] + block::from_lane(int64_t{1}, i % block::kWarp ^ 1);
    if (has(Lack::kBlockBarrier)) block::sync();
    sum += s.value[other];
    has(Lack::kAtomic) ? block::add(&s.count, 1u) : ++s.count;
    if (has(Lack::kGroupBarrier)) block::sync_peers();
    const int peer = (block::rank() + 1) % block::peers();
    sum += *block::of_peer(&s.value[i], peer) + *block::of_peer(&s.count, peer);
    if (has(Lack::kLastBarrier)) block::sync_peers();
    if (!has(Lack::kRestOfBarrier) && i < 32) block::sync();
    const int64_t place = has(Lack::kOwnPlace) ? block::group() : 0;
    if (i == 0 && block::rank() == 0) args.out[place] = sum;
    const int64_t neighbour = (place + 1) % block::groups();
    if (!has(Lack::kLaunchBetween) && i == 1) s.value[i] = args.out[neighbour];
  }
};

int launch(const Control::Args& args, CUstream_st* stream) {
  return block::launch<Control>({2, 2, sizeof(Control::Storage)}, args, stream);
}

}  // namespace

void cases(races::Run& run) {
  for (size_t lack = 0; lack < kNames.size(); ++lack)
    if (kNames[lack] == run.word)
      run.call(run.word, launch, {static_cast<Lack>(lack), run.output<int64_t>(2)});
}
