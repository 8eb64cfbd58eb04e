// The wrappers that bindings.cpp registers; the schemas stand in aligndec/_adaptor_ops.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace aligndec {

using StepTensors = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor, at::Tensor,
                               at::Tensor, at::Tensor, at::Tensor, at::Tensor>;
using GridTensors = decltype(std::tuple_cat(StepTensors{}, std::tuple<at::Tensor>{}));
using SetTensors = std::tuple<at::Tensor, at::Tensor, at::Tensor>;  // ids, offsets, complete
using StepSetTensors = decltype(std::tuple_cat(StepTensors{}, SetTensors{}));
using ScoreTensors = decltype(std::tuple_cat(StepTensors{}, std::tuple<at::Tensor, at::Tensor>{}));

StepTensors adaptor_step(
    const at::Tensor& logits, const at::Tensor& params, const std::optional<at::Tensor>& allowed,
    int64_t valid_vocab, const std::optional<at::Tensor>& tokens, int64_t seed,
    const std::optional<at::Tensor>& seeds, const std::optional<at::Tensor>& sequence_ids,
    int64_t position, const std::optional<at::Tensor>& positions,
    const std::optional<at::Tensor>& uniforms, const std::optional<at::Tensor>& sums,
    const std::optional<at::Tensor>& length, const std::optional<at::Tensor>& finished,
    const std::optional<at::Tensor>& eos, int64_t pad, bool strict,
    const std::optional<at::Tensor>& bias_ids, const std::optional<at::Tensor>& bias_offsets,
    const std::optional<at::Tensor>& bias_values, const std::optional<at::Tensor>& kept_ids,
    const std::optional<at::Tensor>& kept_offsets, const std::optional<at::Tensor>& kept_complete);
ScoreTensors adaptor_score(
    const at::Tensor& logits, const at::Tensor& params, const std::optional<at::Tensor>& allowed,
    int64_t valid_vocab, const at::Tensor& tokens, const std::optional<at::Tensor>& rows,
    const std::optional<at::Tensor>& bias_ids, const std::optional<at::Tensor>& bias_offsets,
    const std::optional<at::Tensor>& bias_values, const std::optional<at::Tensor>& kept_ids,
    const std::optional<at::Tensor>& kept_offsets, const std::optional<at::Tensor>& kept_complete);
GridTensors adaptor_grid(const at::Tensor& logits, const at::Tensor& params,
                         const std::optional<at::Tensor>& allowed, int64_t valid_vocab,
                         const at::Tensor& tokens, const std::optional<at::Tensor>& bias_ids,
                         const std::optional<at::Tensor>& bias_offsets,
                         const std::optional<at::Tensor>& bias_values);
at::Tensor adaptor_mask(const at::Tensor& logits, const at::Tensor& params,
                        const std::optional<at::Tensor>& allowed, int64_t valid_vocab,
                        const std::optional<at::Tensor>& bias_ids,
                        const std::optional<at::Tensor>& bias_offsets,
                        const std::optional<at::Tensor>& bias_values);

SetTensors adaptor_sets(const at::Tensor& logits, const at::Tensor& params,
                        const std::optional<at::Tensor>& allowed, int64_t valid_vocab,
                        const std::optional<at::Tensor>& sums, int64_t max_ids,
                        const std::optional<at::Tensor>& bias_ids,
                        const std::optional<at::Tensor>& bias_offsets,
                        const std::optional<at::Tensor>& bias_values);
StepSetTensors adaptor_step_sets(
    const at::Tensor& logits, const at::Tensor& params, const std::optional<at::Tensor>& allowed,
    int64_t valid_vocab, int64_t seed, const std::optional<at::Tensor>& seeds,
    const std::optional<at::Tensor>& sequence_ids, int64_t position,
    const std::optional<at::Tensor>& positions, const std::optional<at::Tensor>& uniforms,
    const std::optional<at::Tensor>& sums, const std::optional<at::Tensor>& length,
    const std::optional<at::Tensor>& finished, const std::optional<at::Tensor>& eos, int64_t pad,
    bool strict, int64_t max_ids, const std::optional<at::Tensor>& bias_ids,
    const std::optional<at::Tensor>& bias_offsets, const std::optional<at::Tensor>& bias_values);

at::Tensor adaptor_score_backward(
    const at::Tensor& grad_log_p, const at::Tensor& grad_log_q, const at::Tensor& grad_log_z,
    const at::Tensor& logits, const at::Tensor& params, const std::optional<at::Tensor>& allowed,
    int64_t valid_vocab, const at::Tensor& tokens, const std::optional<at::Tensor>& rows,
    const at::Tensor& cut, const at::Tensor& status, const std::optional<at::Tensor>& grad_log_kept,
    const std::optional<at::Tensor>& log_kept, const std::optional<at::Tensor>& bias_ids,
    const std::optional<at::Tensor>& bias_offsets, const std::optional<at::Tensor>& bias_values,
    const std::optional<at::Tensor>& kept_ids, const std::optional<at::Tensor>& kept_offsets,
    const std::optional<at::Tensor>& kept_complete);

}  // namespace aligndec
