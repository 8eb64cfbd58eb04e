// The choice among candidates on a GPU: a thread for each row.
#include "cuda/entries.cuh"
#include "launch/rescore_entry.h"

namespace aligndec::cuda {
namespace {

struct Choice {
  using Args = RescoreArgs;
  static __device__ void run(const RescoreArgs& args, int64_t i) { rescore_entry(args, i); }
};

}  // namespace

int launch_rescore(const RescoreArgs& args, CUstream_st* stream) {
  return launch_entries<Choice>(args, args.rows, stream);
}

}  // namespace aligndec::cuda
