// What the row kernel reads and returns, the same for every instruction set.
#pragma once

#include <cstdint>

#include "core/books.h"
#include "core/gradient.h"
#include "core/logit.h"
#include "cpu/workspace.h"

namespace aligndec::cpu {

// One row of logits: ids [0, n), of which those that the mask does not allow do not exist.
template <class T>
struct RowInput {
  const T* x;
  int64_t n;
  core::RowMask mask;
  const T* next;  // the row to come, or null
};

// How the kept set is held: every existing token; the workspace's list, weighted; or an interval of
// which the chunks are known, with the tokens near its ends in the list.
enum class KeptAs { kAll, kList, kInterval };

// The kept set of a row and its masses; status kOk, kBadLogit or kNoToken.
struct RowCut {
  int64_t status;
  KeptAs kept_as;
  core::RowMasses masses;
};

// The row kernel of one instruction set.
template <class T>
struct RowKernel {
  void (*scan)(const RowInput<T>& row, Workspace& ws);
  // Also leaves a row's own temperature in the rule, where it asks for one.
  RowCut (*cut)(const RowInput<T>& row, Workspace& ws, core::Rule& rule);
  // The first kept id whose cumulative mass exceeds `target`, and its logit.
  int64_t (*draw)(const RowInput<T>& row, const Workspace& ws, const RowCut& cut, bool scaled,
                  uint64_t target);
  void (*add_gradient)(const RowInput<T>& row, Workspace& ws, const core::RowGradient& gradient);
  void (*exp_array)(const float* t, float* out, int64_t n);
};

}  // namespace aligndec::cpu
