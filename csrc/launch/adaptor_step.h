// Arguments and launchers of the ops on [rows, V].
#pragma once

#include <cstdint>

#include "core/logit.h"
#include "launch/bits.h"
#include "launch/sparse_rows.h"

struct CUstream_st;  // what cudaStream_t points to

namespace aligndec {

enum class LogitType : int { kFloat, kHalf, kBFloat16 };

// Logits [rows, n] (ids [0, n) can exist), their mask and the packed parameters. Strides in
// elements; 0 repeats a row.
struct RowBatch {
  const void* logits;
  LogitType type;
  int64_t rows, n, stride;
  const bool* allowed;  // or null
  int64_t allowed_stride;
  const uint32_t* allowed_bits;  // or null
  int64_t allowed_bits_stride;
  const double* params;  // core::Rule's columns
  int64_t params_stride;
};

ALIGNDEC_HD core::RowMask mask_of_row(const RowBatch& batch, int64_t row) {
  return {batch.allowed ? batch.allowed + row * batch.allowed_stride : nullptr,
          batch.allowed_bits ? batch.allowed_bits + row * batch.allowed_bits_stride : nullptr};
}

// Running sums of a batch, one entry a string; sums [core::kStateRows, batch].
struct StateRef {
  double* sums;  // null: no state
  int64_t* length;
  bool* finished;
  const int64_t* eos;
  int64_t n_eos, pad;
  bool strict;  // commit nothing when a row is bad
};

// The nine fields of a Step, each [count]; cut [7, count] (core::CutRecord) and mass [2, count]
// where wanted.
struct StepFields {
  int64_t* token;
  double *log_p, *log_q, *log_z, *log_kept, *entropy, *kl;
  int64_t *n_kept, *status;
  double* cut;
  int64_t* mass;
};

// Draws (tokens null) or scores one token for each of `count` entries; entry i looks at row
// row_of[i], or i.
struct StepArgs {
  RowBatch batch;
  int64_t count;
  const int64_t* tokens;
  const int64_t* row_of;
  BitSource bits;
  StateRef state;
  StepFields out;
  BiasRows bias;
  KeptRows kept;
  SetRows sets;
};

// Scores tokens [rows] under `adaptors` rules; fields [adaptors, rows].
struct GridArgs {
  RowBatch batch;  // params_stride steps from adaptor to adaptor
  int64_t adaptors;
  const int64_t* tokens;
  StepFields out;
  BiasRows bias;
};

// The kept set itself: mask [rows, vocab].
struct MaskArgs {
  RowBatch batch;
  bool* mask;
  int64_t vocab;
  BiasRows bias;
};

// The kept sets as sparse rows; `sums` of a state holds thresholds, or is null.
struct SetsArgs {
  RowBatch batch;
  const double* sums;
  BiasRows bias;
  SetRows sets;
};

// Gradient of log_p, log_q and log_z, and of log_kept where the set is given, with the kept set
// held fixed: grad_logits [rows, vocab], written whole.
struct BackwardArgs {
  RowBatch batch;
  int64_t count, vocab;
  const int64_t *tokens, *row_of, *status;
  const double *grad_log_p, *grad_log_q, *grad_log_z;
  const double* cut;  // core::CutRecord, [7, count]
  void* grad_logits;
  const double *grad_log_kept, *log_kept;  // null: no gradient of log_kept
  BiasRows bias;
  KeptRows kept;
};

namespace cpu {
void launch_adaptor_step(const StepArgs& args);
void launch_adaptor_grid(const GridArgs& args);
void launch_adaptor_mask(const MaskArgs& args);
void launch_adaptor_sets(const SetsArgs& args);
void launch_adaptor_score_backward(const BackwardArgs& args);
}  // namespace cpu

// These return a cudaError_t.
namespace cuda {
int launch_adaptor_step(const StepArgs& args, CUstream_st* stream);
int launch_adaptor_grid(const GridArgs& args, CUstream_st* stream);
int launch_adaptor_mask(const MaskArgs& args, CUstream_st* stream);
int launch_adaptor_score_backward(const BackwardArgs& args, CUstream_st* stream);
}  // namespace cuda

}  // namespace aligndec
