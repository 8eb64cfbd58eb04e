// The ops of the fused step: checks, allocation and launch.
#include "ops/adaptor_step.h"

#include "core/gradient.h"
#include "core/state.h"
#include "device.h"
#include "launch/adaptor_step.h"
#include "ops/logits.h"

namespace aligndec {
namespace {

// `entries` rows of parameters are wanted: one for all, or one each.
RowBatch row_batch(const char* op, const Tensor& logits, const Tensor& params,
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
  StepTensors tensors() const {
    return {token, log_p, log_q, log_z, log_kept, entropy, kl, n_kept, status};
  }
};

}  // namespace

StepTensors adaptor_step(const Tensor& logits, const Tensor& params, const OptionalTensor& allowed,
                         int64_t valid_vocab, const OptionalTensor& tokens, int64_t seed,
                         const OptionalTensor& seeds, const OptionalTensor& sequence_ids,
                         int64_t position, const OptionalTensor& positions,
                         const OptionalTensor& uniforms, const OptionalTensor& sums,
                         const OptionalTensor& length, const OptionalTensor& finished,
                         const OptionalTensor& eos, int64_t pad, bool strict) {
  constexpr const char* kOp = "adaptor_step";
  const int64_t rows = logits.size(0);
  StepArgs args{};
  args.batch = row_batch(kOp, logits, params, allowed, valid_vocab, rows);
  args.count = rows;
  check_vector(kOp, "tokens", tokens, ScalarType::Long, rows, logits);
  check_vector(kOp, "seeds", seeds, ScalarType::Long, rows, logits);
  check_vector(kOp, "sequence_ids", sequence_ids, ScalarType::Long, rows, logits);
  check_vector(kOp, "positions", positions, ScalarType::Long, rows, logits);
  check_vector(kOp, "uniforms", uniforms, ScalarType::Double, rows, logits);
  args.tokens = const_data_or_null<int64_t>(tokens);
  args.bits = {
      const_data_or_null<double>(uniforms),      const_data_or_null<int64_t>(seeds),     seed,
      const_data_or_null<int64_t>(sequence_ids), const_data_or_null<int64_t>(positions), position};
  args.state.pad = pad;
  if (sums) {
    ALIGNDEC_CHECK(length && finished, kOp, ": sums, length and finished must be given together");
    check_doubles(kOp, "sums", *sums, {core::kStateRows, rows}, logits);
    check_vector(kOp, "length", length, ScalarType::Long, rows, logits);
    check_vector(kOp, "finished", finished, ScalarType::Bool, rows, logits);
    if (eos) check_vector(kOp, "eos", eos, ScalarType::Long, eos->numel(), logits);
    args.state = {data_or_null<double>(sums),
                  data_or_null<int64_t>(length),
                  data_or_null<bool>(finished),
                  const_data_or_null<int64_t>(eos),
                  eos ? eos->numel() : 0,
                  pad,
                  strict};
  }
  const Fields fields({rows}, logits);
  args.out = fields.pointers();
  launch<cpu::launch_adaptor_step, cuda::launch_adaptor_step>(logits, args);
  return fields.tensors();
}

ScoreTensors adaptor_score(const Tensor& logits, const Tensor& params,
                           const OptionalTensor& allowed, int64_t valid_vocab, const Tensor& tokens,
                           const OptionalTensor& rows) {
  constexpr const char* kOp = "adaptor_score";
  const int64_t count = tokens.numel();
  StepArgs args{};
  args.batch = row_batch(kOp, logits, params, allowed, valid_vocab, count);
  args.count = count;
  check_vector(kOp, "tokens", tokens, ScalarType::Long, rows ? count : logits.size(0), logits);
  check_vector(kOp, "rows", rows, ScalarType::Long, count, logits);
  args.tokens = tokens.const_data_ptr<int64_t>();
  args.row_of = const_data_or_null<int64_t>(rows);
  const Fields fields({count}, logits);
  const Tensor cut = empty({core::CutRecord::kRows, count}, ScalarType::Double, logits);
  const Tensor mass = empty({2, count}, ScalarType::Long, logits);
  args.out = fields.pointers();
  args.out.cut = cut.mutable_data_ptr<double>();
  args.out.mass = mass.mutable_data_ptr<int64_t>();
  launch<cpu::launch_adaptor_step, cuda::launch_adaptor_step>(logits, args);
  return std::tuple_cat(fields.tensors(), std::make_tuple(cut, mass));
}

GridTensors adaptor_grid(const Tensor& logits, const Tensor& params, const OptionalTensor& allowed,
                         int64_t valid_vocab, const Tensor& tokens) {
  constexpr const char* kOp = "adaptor_grid";
  const int64_t rows = logits.size(0), adaptors = params.size(0);
  GridArgs args{};
  args.batch = row_batch(kOp, logits, params, allowed, valid_vocab, adaptors);
  args.adaptors = adaptors;
  check_vector(kOp, "tokens", tokens, ScalarType::Long, rows, logits);
  args.tokens = tokens.const_data_ptr<int64_t>();
  const Fields fields({adaptors, rows}, logits);
  const Tensor mass = empty({2, adaptors, rows}, ScalarType::Long, logits);
  args.out = fields.pointers();
  args.out.mass = mass.mutable_data_ptr<int64_t>();
  launch<cpu::launch_adaptor_grid, cuda::launch_adaptor_grid>(logits, args);
  return std::tuple_cat(fields.tensors(), std::make_tuple(mass));
}

Tensor adaptor_mask(const Tensor& logits, const Tensor& params, const OptionalTensor& allowed,
                    int64_t valid_vocab) {
  MaskArgs args{};
  args.batch = row_batch("adaptor_mask", logits, params, allowed, valid_vocab, logits.size(0));
  const Tensor mask = empty(logits.sizes(), ScalarType::Bool, logits);
  args.mask = mask.mutable_data_ptr<bool>();
  args.vocab = logits.size(1);
  launch<cpu::launch_adaptor_mask, cuda::launch_adaptor_mask>(logits, args);
  return mask;
}

Tensor adaptor_score_backward(const Tensor& grad_log_p, const Tensor& grad_log_q,
                              const Tensor& grad_log_z, const Tensor& logits, const Tensor& params,
                              const OptionalTensor& allowed, int64_t valid_vocab,
                              const Tensor& tokens, const OptionalTensor& rows, const Tensor& cut,
                              const Tensor& status) {
  constexpr const char* kOp = "adaptor_score_backward";
  const int64_t count = tokens.numel();
  BackwardArgs args{};
  args.batch = row_batch(kOp, logits, params, allowed, valid_vocab, count);
  args.count = count;
  args.vocab = logits.size(1);
  check_vector(kOp, "tokens", tokens, ScalarType::Long, rows ? count : logits.size(0), logits);
  check_vector(kOp, "rows", rows, ScalarType::Long, count, logits);
  check_vector(kOp, "status", status, ScalarType::Long, count, logits);
  check_doubles(kOp, "cut", cut, {core::CutRecord::kRows, count}, logits);
  const Tensor heads[] = {as_contiguous(grad_log_p), as_contiguous(grad_log_q),
                          as_contiguous(grad_log_z)};
  const char* const names[] = {"grad_log_p", "grad_log_q", "grad_log_z"};
  for (int i = 0; i < 3; ++i)
    check_vector(kOp, names[i], heads[i], ScalarType::Double, count, logits);
  args.tokens = tokens.const_data_ptr<int64_t>();
  args.row_of = const_data_or_null<int64_t>(rows);
  args.status = status.const_data_ptr<int64_t>();
  args.grad_log_p = heads[0].const_data_ptr<double>();
  args.grad_log_q = heads[1].const_data_ptr<double>();
  args.grad_log_z = heads[2].const_data_ptr<double>();
  args.cut = cut.const_data_ptr<double>();
  const Tensor grad = empty(logits.sizes(), logits.scalar_type(), logits);
  args.grad_logits = grad.mutable_data_ptr();
  launch<cpu::launch_adaptor_score_backward, cuda::launch_adaptor_score_backward>(logits, args);
  return grad;
}

}  // namespace aligndec
