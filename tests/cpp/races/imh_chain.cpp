#include "cuda/imh_chain.cu"

#include "races.h"

using namespace aligndec;

// Several tiles, and more chains than a block takes.
void cases(races::Run& run) {
  const int64_t chains = 70, length = 150;
  ChainArgs args{};
  args.log_weight = run.normals(chains * length);
  args.chains = chains;
  args.length = length;
  args.seed = 5;
  args.index = run.output<int64_t>(chains * length);
  args.accepted = run.output<bool>(chains * length);
  args.count = run.output<int64_t>(chains);
  run.call("chains", cuda::launch_imh_chain, args);
}
