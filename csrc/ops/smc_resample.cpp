// Resampling of particle filters: checks, allocation and launch.
#include "ops/smc_resample.h"

#include <ATen/ops/empty.h>

#include "checks.h"
#include "core/resampling.h"
#include "device.h"
#include "launch/smc_resample.h"

namespace aligndec {

std::tuple<Tensor, Tensor, Tensor, Tensor> smc_resample(const Tensor& log_weight, double threshold,
                                                        int64_t scheme, int64_t seed,
                                                        const std::optional<Tensor>& sequence_ids,
                                                        int64_t position,
                                                        const std::optional<Tensor>& positions,
                                                        const std::optional<Tensor>& uniforms) {
  constexpr const char* kOp = "smc_resample";
  TORCH_CHECK_VALUE(
      log_weight.scalar_type() == at::kDouble && log_weight.dim() == 2 && log_weight.size(1) >= 1 &&
          log_weight.size(1) <= core::kMostParticles && log_weight.is_contiguous(),
      kOp, ": log_weight must be a contiguous float64 [F, N] with 1 <= N < 2^31, got ",
      c10::toString(log_weight.scalar_type()), " ", log_weight.sizes());
  TORCH_CHECK_VALUE(scheme >= 0 && scheme < 4, kOp, ": scheme must be in [0, 4), got ", scheme);
  const int64_t filters = log_weight.size(0), n = log_weight.size(1), slots = filters * n;
  const bool systematic = static_cast<core::Scheme>(scheme) == core::Scheme::kSystematic;
  check_vector(kOp, "sequence_ids", sequence_ids, at::kLong, slots, log_weight);
  check_vector(kOp, "positions", positions, at::kLong, filters, log_weight);
  check_vector(kOp, "uniforms", uniforms, at::kDouble, systematic ? filters : slots, log_weight);
  const auto whole = log_weight.options().dtype(at::kLong);
  const Tensor ancestor = at::empty(log_weight.sizes(), whole);
  const Tensor ess = at::empty({filters}, log_weight.options());
  const Tensor log_mean = at::empty({filters}, log_weight.options());
  const Tensor due = at::empty({filters}, log_weight.options().dtype(at::kBool));
  const Tensor keys = at::empty({2 * slots}, whole);
  const Tensor copies = at::empty({slots}, log_weight.options().dtype(at::kInt));
  SmcResampleArgs args{};
  args.log_weight = log_weight.const_data_ptr<double>();
  args.filters = filters;
  args.n = n;
  args.threshold = threshold;
  args.scheme = static_cast<int>(scheme);
  args.bits = {const_data_or_null<double>(uniforms),
               nullptr,
               seed,
               const_data_or_null<int64_t>(sequence_ids),
               const_data_or_null<int64_t>(positions),
               position};
  args.ancestor = ancestor.mutable_data_ptr<int64_t>();
  args.ess = ess.mutable_data_ptr<double>();
  args.log_mean = log_mean.mutable_data_ptr<double>();
  args.due = due.mutable_data_ptr<bool>();
  args.keys = keys.mutable_data_ptr();
  args.copies = reinterpret_cast<uint32_t*>(copies.mutable_data_ptr<int32_t>());
  launch<cpu::launch_smc_resample, cuda::launch_smc_resample>(log_weight, args);
  return {ancestor, ess, log_mean, due};
}

}  // namespace aligndec
