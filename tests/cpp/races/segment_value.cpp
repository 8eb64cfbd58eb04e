#include "cuda/segment_value.cu"

#include "races.h"

using namespace aligndec;

void cases(races::Run& run) {
  const int64_t segments = 90, n = 6;
  for (const int mode : {0, 1, 2})
    run.call("values in mode " + std::to_string(mode), cuda::launch_segment_value,
             SegmentValueArgs{run.normals(segments * n), run.normals(segments * n), segments, n,
                              mode, run.output<double>(segments), run.output<double>(segments),
                              run.output<double>(segments)});
}
