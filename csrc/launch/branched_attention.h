// Arguments and launcher of branched_attention.
#pragma once

#include <cstdint>

namespace aligndec {

// One of the tensors [rows or prefixes, heads, tokens, dim]: steps in floats; the last one is 1.
struct AttentionInput {
  const float* data;
  int64_t row, head, token;

  const float* at(int64_t r, int64_t h, int64_t t) const {
    return data + r * row + h * head + t * token;
  }
};

// What each query may see: at most one of the two; steps are 0 where all see the same.
struct AttentionMask {
  const bool* allowed;
  const float* added;
  int64_t row, head, token;
};

struct BranchedAttentionArgs {
  // A head of keys and values serves `group` heads of queries; `length` tokens are asked at once.
  int64_t prefixes, rows, heads, group, length, dim, value_dim;
  int64_t shared, own;  // columns of a prefix, and of each row's own
  AttentionInput query, prefix_keys, prefix_values, keys, values;
  AttentionMask mask;
  float scale;
  // Rows order[start[b]], …, order[start[b + 1] - 1] continue prefix b.
  const int64_t *order, *start;
  float* out;  // [rows, heads, length, value_dim]
};

namespace cpu {
void launch_branched_attention(const BranchedAttentionArgs& args);
}  // namespace cpu

}  // namespace aligndec
