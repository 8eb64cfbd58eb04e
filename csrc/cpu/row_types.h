// What the row kernel reads and returns, the same for every instruction set.
#pragma once

#include <cstdint>

#include "core/books.h"
#include "core/gradient.h"
#include "core/logit.h"
#include "cpu/workspace.h"
#include "launch/sparse_rows.h"

namespace aligndec::cpu {

// One row of logits: ids [0, n), of which those that the mask does not allow do not exist.
template <class T>
struct RowInput {
  const T* x;
  int64_t n;
  core::RowMask mask;
  const T* next;  // the row to come, or null
  // Blocks that a bias has edited, written out: null for each other block; null: no bias.
  const float* const* edited = nullptr;
};

// How the kept set is held: every existing token; the workspace's list, weighted; or an interval of
// which the chunks are known, with the tokens near its ends in the list.
enum class KeptAs { kAll, kList, kInterval };

// The kept set of a row and its masses; status kOk, kBadLogit or kNoToken. Where tokens exist but
// none is kept, the base law is known none the less.
struct RowCut {
  int64_t status;
  KeptAs kept_as;
  core::RowMasses masses;
  const int32_t* list_ids = nullptr;  // the ids of the list, where they are known
};

// The row kernel of one instruction set.
template <class T>
struct RowKernel {
  void (*scan)(const RowInput<T>& row, Workspace& ws);
  // After scan: adds a bias, from where on the row is the edited one.
  void (*edit)(RowInput<T>& row, Workspace& ws, const BiasRow& bias);
  // Also leaves a row's own temperature in the rule, where it asks for one.
  RowCut (*cut)(const RowInput<T>& row, Workspace& ws, core::Rule& rule);
  // In place of cut: the kept set is what exists of these ids.
  RowCut (*cut_given)(const RowInput<T>& row, Workspace& ws, core::Rule& rule,
                      const SparseRow& given);
  // Writes the ids of all tokens of [low, high], in order.
  int64_t (*list_ids)(const RowInput<T>& row, const Workspace& ws, float low, float high,
                      int32_t* out);
  // The first kept id whose cumulative mass exceeds `target`, and its logit.
  int64_t (*draw)(const RowInput<T>& row, const Workspace& ws, const RowCut& cut, bool scaled,
                  uint64_t target);
  // `given` null: the kept set is the gradient's interval.
  void (*add_gradient)(const RowInput<T>& row, Workspace& ws, const core::RowGradient& gradient,
                       const SparseRow& given);
  void (*exp_array)(const float* t, float* out, int64_t n);
};

}  // namespace aligndec::cpu
