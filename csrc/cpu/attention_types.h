// What the attention kernel is called with, the same for every instruction set.
#pragma once

#include "launch/branched_attention.h"

namespace aligndec::cpu {

// Queries of one prefix and one head of keys: `count` of them from `first` on, in the order of
// rows, then heads, then tokens.
struct AttentionBlock {
  int64_t prefix, kv_head, first, count;
};

struct AttentionKernel {
  int64_t width;  // most queries of a block
  // Floats of `scratch` for one block.
  int64_t (*scratch)(const BranchedAttentionArgs& args);
  void (*run)(const BranchedAttentionArgs& args, const AttentionBlock& block, float* scratch);
};

}  // namespace aligndec::cpu
