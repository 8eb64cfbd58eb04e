// Work whose entries know nothing of each other, a thread for each.
#pragma once

#include "cuda/block.cuh"
#include "cuda/tuning.cuh"

namespace aligndec::cuda {

template <class Entry>
struct EntriesKernel {
  static constexpr int kThreads = kEntryThreads, kBlocksPerSm = 1;
  struct Args {
    typename Entry::Args op;
    int64_t count;
  };

  static __device__ void run(const Args& args) {
    const int64_t i = block::group() * kThreads + block::thread();
    if (i < args.count) Entry::run(args.op, i);
  }
};

// Calls Entry::run(args, i) for i in [0, Entry::count(args)).
template <class Entry>
int launch_entries(const typename Entry::Args& args, CUstream_st* stream) {
  const int64_t count = Entry::count(args), blocks = (count + kEntryThreads - 1) / kEntryThreads;
  return block::launch<EntriesKernel<Entry>>({blocks, 1, 0}, {args, count}, stream);
}

}  // namespace aligndec::cuda
