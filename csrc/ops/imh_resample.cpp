// Chains over the entries of pools: checks, allocation and launch.
#include "ops/imh_resample.h"

#include "checks.h"
#include "device.h"
#include "launch/imh_resample.h"

namespace aligndec {

std::tuple<Tensor, Tensor> imh_resample(const Tensor& log_weight, const Tensor& values,
                                        int64_t n_chains, int64_t n_steps, int64_t burn_in,
                                        int64_t seed) {
  constexpr const char* kOp = "imh_resample";
  ALIGNDEC_CHECK(log_weight.scalar_type() == ScalarType::Double && log_weight.dim() == 2 &&
                     log_weight.size(1) >= 1 && log_weight.size(1) < (int64_t{1} << 31) &&
                     log_weight.is_contiguous(),
                 kOp, ": log_weight must be a contiguous float64 [P, 1 <= N < 2^31], got ",
                 log_weight.scalar_type(), " ", log_weight.sizes());
  check_doubles(kOp, "values", values, {log_weight.size(0), log_weight.size(1), -1}, log_weight);
  ALIGNDEC_CHECK(n_chains >= 0, kOp, ": n_chains must be >= 0, got ", n_chains);
  ALIGNDEC_CHECK(0 <= burn_in && burn_in < n_steps && n_steps < (int64_t{1} << 32), kOp,
                 ": burn_in and n_steps must be 0 <= burn_in < n_steps < 2^32, got ", burn_in,
                 " and ", n_steps);
  const int64_t pools = log_weight.size(0), columns = values.size(2);
  const Tensor mean = empty({pools, n_chains, columns}, ScalarType::Double, log_weight);
  const Tensor accepted = empty({pools, n_chains}, ScalarType::Long, log_weight);
  ResampleArgs args{};
  args.log_weight = log_weight.const_data_ptr<double>();
  args.values = values.const_data_ptr<double>();
  args.pools = pools;
  args.size = log_weight.size(1);
  args.columns = columns;
  args.chains = n_chains;
  args.steps = n_steps;
  args.burn_in = burn_in;
  args.seed = seed;
  args.mean = mean.mutable_data_ptr<double>();
  args.accepted = accepted.mutable_data_ptr<int64_t>();
  launch<cpu::launch_imh_resample, cuda::launch_imh_resample>(log_weight, args);
  return {mean, accepted};
}

}  // namespace aligndec
