// Independence Metropolis-Hastings over given log-weights: checks, allocation and launch.
#include "ops/imh_chain.h"

#include "checks.h"
#include "device.h"
#include "launch/imh_chain.h"

namespace aligndec {

std::tuple<Tensor, Tensor, Tensor> imh_chain(const Tensor& log_weight, int64_t seed,
                                             const OptionalTensor& sequence_ids,
                                             const OptionalTensor& uniforms) {
  constexpr const char* kOp = "imh_chain";
  ALIGNDEC_CHECK(log_weight.scalar_type() == ScalarType::Double && log_weight.dim() == 2 &&
                     log_weight.size(1) >= 1 && log_weight.is_contiguous(),
                 kOp, ": log_weight must be a contiguous float64 [C, N >= 1], got ",
                 log_weight.scalar_type(), " ", log_weight.sizes());
  if (uniforms) check_doubles(kOp, "uniforms", *uniforms, log_weight.sizes(), log_weight);
  const int64_t chains = log_weight.size(0);
  check_vector(kOp, "sequence_ids", sequence_ids, ScalarType::Long, chains, log_weight);
  const Tensor index = empty(log_weight.sizes(), ScalarType::Long, log_weight);
  const Tensor accepted = empty(log_weight.sizes(), ScalarType::Bool, log_weight);
  const Tensor count = empty({chains}, ScalarType::Long, log_weight);
  ChainArgs args{};
  args.log_weight = log_weight.const_data_ptr<double>();
  args.chains = chains;
  args.length = log_weight.size(1);
  args.seed = seed;
  args.sequence_ids = const_data_or_null<int64_t>(sequence_ids);
  args.uniforms = const_data_or_null<double>(uniforms);
  args.index = index.mutable_data_ptr<int64_t>();
  args.accepted = accepted.mutable_data_ptr<bool>();
  args.count = count.mutable_data_ptr<int64_t>();
  launch<cpu::launch_imh_chain, cuda::launch_imh_chain>(log_weight, args);
  return {index, accepted, count};
}

}  // namespace aligndec
