// Resampling of particle filters: checks, allocation and launch.
#include "ops/smc_resample.h"

#include "checks.h"
#include "core/resampling.h"
#include "device.h"
#include "launch/smc_resample.h"

namespace aligndec {

std::tuple<Tensor, Tensor, Tensor, Tensor> smc_resample(const Tensor& log_weight, double threshold,
                                                        int64_t scheme, int64_t seed,
                                                        const OptionalTensor& sequence_ids,
                                                        int64_t position,
                                                        const OptionalTensor& positions,
                                                        const OptionalTensor& uniforms) {
  constexpr const char* kOp = "smc_resample";
  ALIGNDEC_CHECK(log_weight.scalar_type() == ScalarType::Double && log_weight.dim() == 2 &&
                     log_weight.size(1) >= 1 && log_weight.size(1) <= core::kMostParticles &&
                     log_weight.is_contiguous(),
                 kOp, ": log_weight must be a contiguous float64 [F, N] with 1 <= N < 2^31, got ",
                 log_weight.scalar_type(), " ", log_weight.sizes());
  ALIGNDEC_CHECK(scheme >= 0 && scheme < 4, kOp, ": scheme must be in [0, 4), got ", scheme);
  const int64_t filters = log_weight.size(0), n = log_weight.size(1), slots = filters * n;
  const bool systematic = static_cast<core::Scheme>(scheme) == core::Scheme::kSystematic;
  check_vector(kOp, "sequence_ids", sequence_ids, ScalarType::Long, slots, log_weight);
  check_vector(kOp, "positions", positions, ScalarType::Long, filters, log_weight);
  check_vector(kOp, "uniforms", uniforms, ScalarType::Double, systematic ? filters : slots,
               log_weight);
  const Tensor ancestor = empty(log_weight.sizes(), ScalarType::Long, log_weight);
  const Tensor ess = empty({filters}, ScalarType::Double, log_weight);
  const Tensor log_mean = empty({filters}, ScalarType::Double, log_weight);
  const Tensor due = empty({filters}, ScalarType::Bool, log_weight);
  const Tensor keys = empty({2 * slots}, ScalarType::Long, log_weight);
  const Tensor copies = empty({slots}, ScalarType::Int, log_weight);
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
