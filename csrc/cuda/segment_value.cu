// Values from rollouts on a GPU: a thread for each segment, because the order of a sum is fixed.
#include "cuda/entries.cuh"
#include "launch/segment_value_entry.h"

namespace aligndec::cuda {

int launch_segment_value(const SegmentValueArgs& args, CUstream_st* stream) {
  return launch_entries<SegmentValueEntry>(args, stream);
}

}  // namespace aligndec::cuda
