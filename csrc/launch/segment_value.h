// Arguments and launcher of segment_value.
#pragma once

#include <cstdint>

struct CUstream_st;  // what cudaStream_t points to

namespace aligndec {

// Rewards [segments, n] and their ln-weights, or null; fields [segments].
struct SegmentValueArgs {
  const double *rewards, *log_ratio;
  int64_t segments, n;
  int mode;  // core::ValueMode
  double *value, *ess, *log_c;
};

namespace cpu {
void launch_segment_value(const SegmentValueArgs& args);
}  // namespace cpu

namespace cuda {
int launch_segment_value(const SegmentValueArgs& args, CUstream_st* stream);  // cudaError_t
}  // namespace cuda

}  // namespace aligndec
