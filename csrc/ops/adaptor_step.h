// The wrappers that library.cpp registers; the schemas stand in aligndec/ops/adaptor.py.
#pragma once

#include "tensor.h"

namespace aligndec {

using StepTensors =
    std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;
using GridTensors = decltype(std::tuple_cat(StepTensors{}, std::tuple<Tensor>{}));
using SetTensors = std::tuple<Tensor, Tensor, Tensor>;  // ids, offsets, complete
using StepSetTensors = decltype(std::tuple_cat(StepTensors{}, SetTensors{}));
using ScoreTensors = decltype(std::tuple_cat(StepTensors{}, std::tuple<Tensor, Tensor>{}));

StepTensors adaptor_step(const Tensor& logits, const Tensor& params, const OptionalTensor& allowed,
                         int64_t valid_vocab, const OptionalTensor& tokens, int64_t seed,
                         const OptionalTensor& seeds, const OptionalTensor& sequence_ids,
                         int64_t position, const OptionalTensor& positions,
                         const OptionalTensor& uniforms, const OptionalTensor& sums,
                         const OptionalTensor& length, const OptionalTensor& finished,
                         const OptionalTensor& eos, int64_t pad, bool strict,
                         const OptionalTensor& bias_ids, const OptionalTensor& bias_offsets,
                         const OptionalTensor& bias_values, const OptionalTensor& kept_ids,
                         const OptionalTensor& kept_offsets, const OptionalTensor& kept_complete);
ScoreTensors adaptor_score(const Tensor& logits, const Tensor& params,
                           const OptionalTensor& allowed, int64_t valid_vocab, const Tensor& tokens,
                           const OptionalTensor& rows, const OptionalTensor& bias_ids,
                           const OptionalTensor& bias_offsets, const OptionalTensor& bias_values,
                           const OptionalTensor& kept_ids, const OptionalTensor& kept_offsets,
                           const OptionalTensor& kept_complete);
GridTensors adaptor_grid(const Tensor& logits, const Tensor& params, const OptionalTensor& allowed,
                         int64_t valid_vocab, const Tensor& tokens, const OptionalTensor& bias_ids,
                         const OptionalTensor& bias_offsets, const OptionalTensor& bias_values);
Tensor adaptor_mask(const Tensor& logits, const Tensor& params, const OptionalTensor& allowed,
                    int64_t valid_vocab, const OptionalTensor& bias_ids,
                    const OptionalTensor& bias_offsets, const OptionalTensor& bias_values);

SetTensors adaptor_sets(const Tensor& logits, const Tensor& params, const OptionalTensor& allowed,
                        int64_t valid_vocab, const OptionalTensor& sums, int64_t max_ids,
                        const OptionalTensor& bias_ids, const OptionalTensor& bias_offsets,
                        const OptionalTensor& bias_values);
StepSetTensors adaptor_step_sets(
    const Tensor& logits, const Tensor& params, const OptionalTensor& allowed, int64_t valid_vocab,
    int64_t seed, const OptionalTensor& seeds, const OptionalTensor& sequence_ids, int64_t position,
    const OptionalTensor& positions, const OptionalTensor& uniforms, const OptionalTensor& sums,
    const OptionalTensor& length, const OptionalTensor& finished, const OptionalTensor& eos,
    int64_t pad, bool strict, int64_t max_ids, const OptionalTensor& bias_ids,
    const OptionalTensor& bias_offsets, const OptionalTensor& bias_values);

Tensor adaptor_score_backward(const Tensor& grad_log_p, const Tensor& grad_log_q,
                              const Tensor& grad_log_z, const Tensor& logits, const Tensor& params,
                              const OptionalTensor& allowed, int64_t valid_vocab,
                              const Tensor& tokens, const OptionalTensor& rows, const Tensor& cut,
                              const Tensor& status, const OptionalTensor& grad_log_kept,
                              const OptionalTensor& log_kept, const OptionalTensor& bias_ids,
                              const OptionalTensor& bias_offsets, const OptionalTensor& bias_values,
                              const OptionalTensor& kept_ids, const OptionalTensor& kept_offsets,
                              const OptionalTensor& kept_complete);

}  // namespace aligndec
