// The ops of the fused step: checks, allocation and launch.
#include "ops/adaptor_step.h"

#include "core/gradient.h"
#include "device.h"
#include "ops/step_tensors.h"

namespace aligndec {
namespace {

// The row of the logits that each entry reads. On a device only its shape is looked at: its values
// are there, and Python made them.
void check_rows(const char* op, const OptionalTensor& rows, int64_t count, const Tensor& logits) {
  check_vector(op, "rows", rows, ScalarType::Long, count, logits);
  if (!rows || !rows->is_cpu()) return;
  const int64_t* row = rows->const_data_ptr<int64_t>();
  for (int64_t i = 0; i < count; ++i)
    ALIGNDEC_CHECK(row[i] >= 0 && row[i] < logits.size(0), op, ": rows must be in [0, ",
                   logits.size(0), "), got ", row[i], " at ", i);
}

}  // namespace

StepTensors adaptor_step(const Tensor& logits, const Tensor& params, const OptionalTensor& allowed,
                         int64_t valid_vocab, const OptionalTensor& tokens, int64_t seed,
                         const OptionalTensor& seeds, const OptionalTensor& sequence_ids,
                         int64_t position, const OptionalTensor& positions,
                         const OptionalTensor& uniforms, const OptionalTensor& sums,
                         const OptionalTensor& length, const OptionalTensor& finished,
                         const OptionalTensor& eos, int64_t pad, bool strict,
                         const OptionalTensor& bias_ids, const OptionalTensor& bias_offsets,
                         const OptionalTensor& bias_values, const OptionalTensor& kept_ids,
                         const OptionalTensor& kept_offsets, const OptionalTensor& kept_complete) {
  constexpr const char* kOp = "adaptor_step";
  const int64_t rows = logits.size(0);
  StepArgs args{};
  args.batch = row_batch(kOp, logits, params, allowed, valid_vocab, rows);
  args.count = rows;
  check_vector(kOp, "tokens", tokens, ScalarType::Long, rows, logits);
  args.tokens = const_data_or_null<int64_t>(tokens);
  args.bits =
      bit_source(kOp, uniforms, seeds, seed, sequence_ids, positions, position, rows, logits);
  args.state = state_ref(kOp, sums, length, finished, eos, pad, strict, rows, logits);
  args.bias = bias_rows(kOp, bias_ids, bias_offsets, bias_values, rows, logits);
  args.kept = kept_rows(kOp, kept_ids, kept_offsets, kept_complete, rows, logits);
  Fields fields({rows}, logits);
  args.out = fields.pointers();
  launch<cpu::launch_adaptor_step, cuda::launch_adaptor_step>(logits, args);
  return std::move(fields).tensors();
}

ScoreTensors adaptor_score(const Tensor& logits, const Tensor& params,
                           const OptionalTensor& allowed, int64_t valid_vocab, const Tensor& tokens,
                           const OptionalTensor& rows, const OptionalTensor& bias_ids,
                           const OptionalTensor& bias_offsets, const OptionalTensor& bias_values,
                           const OptionalTensor& kept_ids, const OptionalTensor& kept_offsets,
                           const OptionalTensor& kept_complete) {
  constexpr const char* kOp = "adaptor_score";
  const int64_t count = tokens.numel();
  StepArgs args{};
  args.batch = row_batch(kOp, logits, params, allowed, valid_vocab, count);
  args.count = count;
  check_vector(kOp, "tokens", tokens, ScalarType::Long, rows ? count : logits.size(0), logits);
  check_rows(kOp, rows, count, logits);
  args.tokens = tokens.const_data_ptr<int64_t>();
  args.row_of = const_data_or_null<int64_t>(rows);
  args.bias = bias_rows(kOp, bias_ids, bias_offsets, bias_values, count, logits);
  args.kept = kept_rows(kOp, kept_ids, kept_offsets, kept_complete, count, logits);
  Fields fields({count}, logits);
  const Tensor cut = empty({core::CutRecord::kRows, count}, ScalarType::Double, logits);
  const Tensor mass = empty({2, count}, ScalarType::Long, logits);
  args.out = fields.pointers();
  args.out.cut = cut.mutable_data_ptr<double>();
  args.out.mass = mass.mutable_data_ptr<int64_t>();
  launch<cpu::launch_adaptor_step, cuda::launch_adaptor_step>(logits, args);
  return std::tuple_cat(std::move(fields).tensors(), std::make_tuple(cut, mass));
}

GridTensors adaptor_grid(const Tensor& logits, const Tensor& params, const OptionalTensor& allowed,
                         int64_t valid_vocab, const Tensor& tokens, const OptionalTensor& bias_ids,
                         const OptionalTensor& bias_offsets, const OptionalTensor& bias_values) {
  constexpr const char* kOp = "adaptor_grid";
  const int64_t rows = logits.size(0), adaptors = params.size(0);
  GridArgs args{};
  args.batch = row_batch(kOp, logits, params, allowed, valid_vocab, adaptors);
  args.adaptors = adaptors;
  check_vector(kOp, "tokens", tokens, ScalarType::Long, rows, logits);
  args.tokens = tokens.const_data_ptr<int64_t>();
  args.bias = bias_rows(kOp, bias_ids, bias_offsets, bias_values, rows, logits);
  Fields fields({adaptors, rows}, logits);
  const Tensor mass = empty({2, adaptors, rows}, ScalarType::Long, logits);
  args.out = fields.pointers();
  args.out.mass = mass.mutable_data_ptr<int64_t>();
  launch<cpu::launch_adaptor_grid, cuda::launch_adaptor_grid>(logits, args);
  return std::tuple_cat(std::move(fields).tensors(), std::make_tuple(mass));
}

Tensor adaptor_mask(const Tensor& logits, const Tensor& params, const OptionalTensor& allowed,
                    int64_t valid_vocab, const OptionalTensor& bias_ids,
                    const OptionalTensor& bias_offsets, const OptionalTensor& bias_values) {
  constexpr const char* kOp = "adaptor_mask";
  const int64_t rows = logits.size(0);
  MaskArgs args{};
  args.batch = row_batch(kOp, logits, params, allowed, valid_vocab, rows);
  args.bias = bias_rows(kOp, bias_ids, bias_offsets, bias_values, rows, logits);
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
                              const Tensor& status, const OptionalTensor& grad_log_kept,
                              const OptionalTensor& log_kept, const OptionalTensor& bias_ids,
                              const OptionalTensor& bias_offsets, const OptionalTensor& bias_values,
                              const OptionalTensor& kept_ids, const OptionalTensor& kept_offsets,
                              const OptionalTensor& kept_complete) {
  constexpr const char* kOp = "adaptor_score_backward";
  const int64_t count = tokens.numel();
  BackwardArgs args{};
  args.batch = row_batch(kOp, logits, params, allowed, valid_vocab, count);
  args.count = count;
  args.vocab = logits.size(1);
  check_vector(kOp, "tokens", tokens, ScalarType::Long, rows ? count : logits.size(0), logits);
  check_rows(kOp, rows, count, logits);
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
  const Tensor kept_head = grad_log_kept ? as_contiguous(*grad_log_kept) : Tensor();
  if (grad_log_kept) {
    check_vector(kOp, "grad_log_kept", kept_head, ScalarType::Double, count, logits);
    ALIGNDEC_CHECK(log_kept, kOp, ": grad_log_kept must come with log_kept, got none");
    check_vector(kOp, "log_kept", *log_kept, ScalarType::Double, count, logits);
    args.grad_log_kept = kept_head.const_data_ptr<double>();
    args.log_kept = log_kept->const_data_ptr<double>();
  }
  args.bias = bias_rows(kOp, bias_ids, bias_offsets, bias_values, count, logits);
  args.kept = kept_rows(kOp, kept_ids, kept_offsets, kept_complete, count, logits);
  const Tensor grad = empty(logits.sizes(), logits.scalar_type(), logits);
  args.grad_logits = grad.mutable_data_ptr();
  launch<cpu::launch_adaptor_score_backward, cuda::launch_adaptor_score_backward>(logits, args);
  return grad;
}

}  // namespace aligndec
