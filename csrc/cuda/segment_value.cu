// Values from rollouts on a GPU: a thread for each segment, because the order of a sum is fixed.
#include "cuda/entries.cuh"
#include "launch/segment_value_entry.h"

namespace aligndec::cuda {
namespace {

struct Segment {
  using Args = SegmentValueArgs;
  static __device__ void run(const SegmentValueArgs& args, int64_t i) {
    segment_value_entry(args, i);
  }
};

}  // namespace

int launch_segment_value(const SegmentValueArgs& args, CUstream_st* stream) {
  return launch_entries<Segment>(args, args.segments, stream);
}

}  // namespace aligndec::cuda
