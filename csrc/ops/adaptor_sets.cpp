// The ops that hand out kept sets as sparse rows: checks, allocation and launch. CPU only.
#include <algorithm>

#include "ops/adaptor_step.h"
#include "ops/step_tensors.h"

namespace aligndec {
namespace {

// Room for the sets of `rows` rows; memory that no set reaches is never touched.
struct Sets {
  Tensor ids, sizes, complete;

  Sets(const char* op, int64_t rows, int64_t max_ids, const Tensor& logits) {
    ALIGNDEC_CHECK(max_ids >= 1, op, ": max_ids must be >= 1, got ", max_ids);
    const int64_t most = std::min(max_ids, logits.size(1));
    ids = empty({rows, most}, ScalarType::Int, logits);
    sizes = empty({rows}, ScalarType::Long, logits);
    complete = empty({rows}, ScalarType::Bool, logits);
  }
  SetRows rows() const {
    return {ids.mutable_data_ptr<int32_t>(), ids.size(1), sizes.mutable_data_ptr<int64_t>(),
            complete.mutable_data_ptr<bool>()};
  }
  // One after the other.
  SetTensors joined() const {
    const int64_t count = sizes.size(0), stride = ids.size(1);
    const Tensor offsets = empty({count + 1}, sizes.scalar_type(), sizes);
    auto* const offset = offsets.mutable_data_ptr<int64_t>();
    const auto* const size = sizes.const_data_ptr<int64_t>();
    offset[0] = 0;
    for (int64_t i = 0; i < count; ++i) offset[i + 1] = offset[i] + size[i];
    const Tensor all = empty({offset[count]}, ids.scalar_type(), ids);
    for (int64_t i = 0; i < count; ++i)
      std::copy_n(ids.const_data_ptr<int32_t>() + i * stride, size[i],
                  all.mutable_data_ptr<int32_t>() + offset[i]);
    return {all, offsets, complete};
  }
};

}  // namespace

SetTensors adaptor_sets(const Tensor& logits, const Tensor& params, const OptionalTensor& allowed,
                        int64_t valid_vocab, const OptionalTensor& sums, int64_t max_ids,
                        const OptionalTensor& bias_ids, const OptionalTensor& bias_offsets,
                        const OptionalTensor& bias_values) {
  constexpr const char* kOp = "adaptor_sets";
  const int64_t rows = logits.size(0);
  SetsArgs args{};
  args.batch = row_batch(kOp, logits, params, allowed, valid_vocab, rows);
  if (sums) check_doubles(kOp, "sums", *sums, {core::kStateRows, rows}, logits);
  args.sums = const_data_or_null<double>(sums);
  args.bias = bias_rows(kOp, bias_ids, bias_offsets, bias_values, rows, logits);
  const Sets sets(kOp, rows, max_ids, logits);
  args.sets = sets.rows();
  cpu::launch_adaptor_sets(args);
  return sets.joined();
}

StepSetTensors adaptor_step_sets(
    const Tensor& logits, const Tensor& params, const OptionalTensor& allowed, int64_t valid_vocab,
    int64_t seed, const OptionalTensor& seeds, const OptionalTensor& sequence_ids, int64_t position,
    const OptionalTensor& positions, const OptionalTensor& uniforms, const OptionalTensor& sums,
    const OptionalTensor& length, const OptionalTensor& finished, const OptionalTensor& eos,
    int64_t pad, bool strict, int64_t max_ids, const OptionalTensor& bias_ids,
    const OptionalTensor& bias_offsets, const OptionalTensor& bias_values) {
  constexpr const char* kOp = "adaptor_step_sets";
  const int64_t rows = logits.size(0);
  StepArgs args{};
  args.batch = row_batch(kOp, logits, params, allowed, valid_vocab, rows);
  args.count = rows;
  args.bits =
      bit_source(kOp, uniforms, seeds, seed, sequence_ids, positions, position, rows, logits);
  args.state = state_ref(kOp, sums, length, finished, eos, pad, strict, rows, logits);
  args.bias = bias_rows(kOp, bias_ids, bias_offsets, bias_values, rows, logits);
  const Sets sets(kOp, rows, max_ids, logits);
  args.sets = sets.rows();
  Fields fields({rows}, logits);
  args.out = fields.pointers();
  cpu::launch_adaptor_step(args);
  return std::tuple_cat(std::move(fields).tensors(), sets.joined());
}

}  // namespace aligndec
