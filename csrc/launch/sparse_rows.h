// What comes with the logits as sparse rows, one for each entry of a step: a bias on some logits,
// and given kept sets. Row i holds [offsets[i], offsets[i + 1]); ids ascend within a row. Ids that
// are not of the row are passed over.
#pragma once

#include <cstdint>

#include "core/hd.h"

namespace aligndec {

// One row; ids null: there is none.
struct SparseRow {
  const int32_t* ids = nullptr;
  int64_t size = 0;

  // Where an id stands, or -1.
  ALIGNDEC_HD int64_t find(int64_t id) const {
    int64_t first = 0, last = size;
    while (first < last) {
      const int64_t middle = first + (last - first) / 2;
      if (ids[middle] < id) {
        first = middle + 1;
      } else {
        last = middle;
      }
    }
    return first < size && ids[first] == id ? first : -1;
  }
};

struct BiasRow : SparseRow {
  const float* values = nullptr;

  // What is added to the logit of a token.
  ALIGNDEC_HD float at(int64_t id) const {
    const int64_t i = find(id);
    return i < 0 ? 0.0f : values[i];
  }
};

struct BiasRows {
  const int32_t* ids;  // null: no bias
  const int64_t* offsets;
  const float* values;

  ALIGNDEC_HD BiasRow row(int64_t i) const {
    if (!ids) return {};
    return {{ids + offsets[i], offsets[i + 1] - offsets[i]}, values + offsets[i]};
  }
};

struct KeptRows {
  const int32_t* ids;  // null: the stages decide
  const int64_t* offsets;
  const bool* complete;  // false: the set is unknown

  ALIGNDEC_HD SparseRow row(int64_t i) const {
    if (!ids) return {};
    return {ids + offsets[i], offsets[i + 1] - offsets[i]};
  }
};

// Kept sets that are handed out: row i has sizes[i] ids from ids + i * stride on; sets of more than
// `stride` tokens are not stored.
struct SetRows {
  int32_t* ids;  // null: not wanted
  int64_t stride;
  int64_t* sizes;
  bool* complete;
};

}  // namespace aligndec
