// The tensors of the fused step, read and allocated.
#pragma once

#include "core/adaptor_rules.h"
#include "core/state.h"
#include "launch/adaptor_step.h"
#include "ops/adaptor_step.h"
#include "ops/logits.h"
#include "ops/sparse_rows.h"

namespace aligndec {

// `entries` rows of parameters are wanted: one for all, or one each.
inline RowBatch row_batch(const char* op, const Tensor& logits, const Tensor& params,
                          const OptionalTensor& allowed, int64_t valid_vocab, int64_t entries) {
  check_logits(op, logits);
  const int64_t rows = logits.size(0), vocab = logits.size(1);
  ALIGNDEC_CHECK(0 <= valid_vocab && valid_vocab <= vocab, op, ": valid_vocab must be in [0, ",
                 vocab, "], got ", valid_vocab);
  ALIGNDEC_CHECK(params.scalar_type() == ScalarType::Double && params.dim() == 2 &&
                     (params.size(0) == 1 || params.size(0) == entries) &&
                     params.size(1) == core::kRuleColumns && params.is_contiguous() &&
                     params.device() == logits.device(),
                 op, ": params must be a contiguous float64 [1 or ", entries, ", ",
                 core::kRuleColumns, "], got ", params.sizes());
  RowBatch batch = batch_of_logits(op, logits, valid_vocab);
  batch.params = params.const_data_ptr<double>();
  batch.params_stride = params.size(0) == 1 ? 0 : core::kRuleColumns;
  if (allowed) {
    const bool bits = allowed->scalar_type() == ScalarType::Int;
    const int64_t width = bits ? (vocab + 31) / 32 : vocab;
    ALIGNDEC_CHECK((bits || allowed->scalar_type() == ScalarType::Bool) && allowed->dim() == 2 &&
                       (allowed->size(0) == 1 || allowed->size(0) == rows) &&
                       allowed->size(1) == width && (width <= 1 || allowed->stride(1) == 1) &&
                       allowed->device() == logits.device(),
                   op, ": allowed must be bool [R, V] or int32 [R, ceil(V/32)], got ",
                   allowed->scalar_type(), " ", allowed->sizes());
    const int64_t stride = allowed->size(0) == 1 ? 0 : allowed->stride(0);
    if (bits) {
      batch.allowed_bits = reinterpret_cast<const uint32_t*>(allowed->const_data_ptr<int32_t>());
      batch.allowed_bits_stride = stride;
    } else {
      batch.allowed = allowed->const_data_ptr<bool>();
      batch.allowed_stride = stride;
    }
  }
  return batch;
}

// Where the random bits of `rows` entries come from.
inline BitSource bit_source(const char* op, const OptionalTensor& uniforms,
                            const OptionalTensor& seeds, int64_t seed,
                            const OptionalTensor& sequence_ids, const OptionalTensor& positions,
                            int64_t position, int64_t rows, const Tensor& logits) {
  check_vector(op, "seeds", seeds, ScalarType::Long, rows, logits);
  check_vector(op, "sequence_ids", sequence_ids, ScalarType::Long, rows, logits);
  check_vector(op, "positions", positions, ScalarType::Long, rows, logits);
  check_vector(op, "uniforms", uniforms, ScalarType::Double, rows, logits);
  return {
      const_data_or_null<double>(uniforms),      const_data_or_null<int64_t>(seeds),     seed,
      const_data_or_null<int64_t>(sequence_ids), const_data_or_null<int64_t>(positions), position};
}

// The running sums of `rows` strings; without sums there are none, and a pad token alone.
inline StateRef state_ref(const char* op, const OptionalTensor& sums, const OptionalTensor& length,
                          const OptionalTensor& finished, const OptionalTensor& eos, int64_t pad,
                          bool strict, int64_t rows, const Tensor& logits) {
  StateRef state{};
  state.pad = pad;
  if (!sums) return state;
  ALIGNDEC_CHECK(length && finished, op, ": sums, length and finished must be given together");
  check_doubles(op, "sums", *sums, {core::kStateRows, rows}, logits);
  check_vector(op, "length", length, ScalarType::Long, rows, logits);
  check_vector(op, "finished", finished, ScalarType::Bool, rows, logits);
  if (eos) check_vector(op, "eos", eos, ScalarType::Long, eos->numel(), logits);
  return {data_or_null<double>(sums),
          data_or_null<int64_t>(length),
          data_or_null<bool>(finished),
          const_data_or_null<int64_t>(eos),
          eos ? eos->numel() : 0,
          pad,
          strict};
}

// The nine tensors of a Step.
struct Fields {
  Tensor token, log_p, log_q, log_z, log_kept, entropy, kl, n_kept, status;

  Fields(IntArrayRef shape, const Tensor& logits) {
    for (Tensor* t : {&token, &n_kept, &status}) *t = empty(shape, ScalarType::Long, logits);
    for (Tensor* t : {&log_p, &log_q, &log_z, &log_kept, &entropy, &kl})
      *t = empty(shape, ScalarType::Double, logits);
  }
  StepFields pointers() const {
    const auto real = [](const Tensor& t) { return t.mutable_data_ptr<double>(); };
    const auto whole = [](const Tensor& t) { return t.mutable_data_ptr<int64_t>(); };
    return {whole(token), real(log_p),   real(log_q),   real(log_z), real(log_kept), real(entropy),
            real(kl),     whole(n_kept), whole(status), nullptr,     nullptr};
  }
  StepTensors tensors() && {
    return {std::move(token), std::move(log_p),    std::move(log_q),
            std::move(log_z), std::move(log_kept), std::move(entropy),
            std::move(kl),    std::move(n_kept),   std::move(status)};
  }
};

}  // namespace aligndec
