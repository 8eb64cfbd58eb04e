// Arguments and launchers of the tilting ops.
#pragma once

#include <cstdint>

struct CUstream_st;  // what cudaStream_t points to

namespace aligndec {

enum class TiltKind : int { kKlMax, kKlMin, kReward };

// Laws and rewards [rows, n]; strides in elements, 0 repeats a row. All float32 or all float64.
struct TiltBatch {
  const void* log_p;  // or null: equally likely outcomes
  const void* r;
  bool is_double;
  int64_t rows, n, log_p_stride, r_stride;
};

// Numbers of `count` tilts per row: out [5, rows, count], beta [rows, count].
struct TiltStatsArgs {
  TiltBatch batch;
  const double* beta;
  int64_t count;
  double* out;
};

// What a device keeps of a row from step to step of a shared search.
inline constexpr int64_t kTiltStateDoubles = 40;

// Tilts that reach target [rows, count], or (shared) [1, count] as a mean over the rows.
struct TiltSolveArgs {
  TiltBatch batch;
  const double* target;
  int64_t count;
  TiltKind kind;
  bool shared;
  double* values;     // [4, rows, count]: beta, KL, largest KL, reward
  int64_t* flags;     // [4, rows, count]: saturated, constant, impossible, iterations
  double* workspace;  // [rows, kTiltStateDoubles] for a shared search on a device, or null
};

namespace cpu {
void launch_tilt_stats(const TiltStatsArgs& args);
void launch_tilt_solve(const TiltSolveArgs& args);
}  // namespace cpu

namespace cuda {  // each a cudaError_t
int launch_tilt_stats(const TiltStatsArgs& args, CUstream_st* stream);
int launch_tilt_solve(const TiltSolveArgs& args, CUstream_st* stream);
}  // namespace cuda

}  // namespace aligndec
