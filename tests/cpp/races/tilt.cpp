#include "cuda/tilt.cu"

#include "races.h"

using namespace aligndec;

namespace {

template <class T>
TiltBatch laws(races::Run& run, int64_t rows, int64_t n) {
  const double each = -std::log(static_cast<double>(n));
  const T* const log_p = run.input<T>(rows * n, [&](int64_t) { return static_cast<T>(each); });
  return {log_p, run.normals<T>(rows * n), std::is_same_v<T, double>, rows, n, n, n};
}

}  // namespace

// Rows for a warp and rows for a group of blocks; more of them than a group has warps.
void cases(races::Run& run) {
  const int64_t rows = run.quick ? 5 : 11;
  for (const int64_t n : {int64_t{30}, int64_t{700}})
    for (const bool is_double : {false, true}) {
      const TiltBatch batch = is_double ? laws<double>(run, rows, n) : laws<float>(run, rows, n);
      const std::string of = (is_double ? " double rows of " : " rows of ") + std::to_string(n);
      const double* const beta = run.input<double>(rows * 2, [](int64_t) { return 0.5; });
      run.call("stats," + of, cuda::launch_tilt_stats,
               TiltStatsArgs{batch, beta, 2, run.output<double>(5 * rows * 2)});
      const double* const target = run.input<double>(rows, [](int64_t) { return 0.3; });
      for (const bool shared : {false, true})
        for (int kind = 0; kind < (shared ? 2 : 3); ++kind)
          run.call("solve " + std::to_string(kind) + (shared ? ", shared," : ",") + of,
                   cuda::launch_tilt_solve,
                   TiltSolveArgs{
                       batch, target, 1, static_cast<TiltKind>(kind), shared,
                       run.output<double>(4 * rows), run.output<int64_t>(4 * rows),
                       run.input<double>(rows * kTiltStateDoubles, [](int64_t) { return 0.0; })});
    }
}
