// The choice among candidates on a GPU: a thread for each row.
#include "cuda/entries.cuh"
#include "launch/rescore_entry.h"

namespace aligndec::cuda {

int launch_rescore(const RescoreArgs& args, CUstream_st* stream) {
  return launch_entries<RescoreEntry>(args, stream);
}

}  // namespace aligndec::cuda
