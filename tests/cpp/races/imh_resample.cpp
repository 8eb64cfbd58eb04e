#include "cuda/imh_resample.cu"

#include "races.h"

using namespace aligndec;

// More columns than a warp has lanes.
void cases(races::Run& run) {
  const int64_t pools = 2, size = 50, columns = 40, chains = 5;
  ResampleArgs args{};
  args.log_weight = run.normals(pools * size);
  args.values = run.normals(pools * size * columns);
  args.pools = pools;
  args.size = size;
  args.columns = columns;
  args.chains = chains;
  args.steps = 200;
  args.burn_in = 20;
  args.seed = 3;
  args.mean = run.output<double>(pools * chains * columns);
  args.accepted = run.output<int64_t>(pools * chains);
  run.call("chains over pools", cuda::launch_imh_resample, args);
}
