// The choice among candidates: checks, allocation and launch.
#include "ops/rescore.h"

#include "checks.h"
#include "device.h"
#include "launch/rescore.h"

namespace aligndec {

std::tuple<Tensor, Tensor, Tensor, Tensor> rescore(const Tensor& log_p, const Tensor& value,
                                                   const Tensor& alpha, bool greedy, int64_t seed,
                                                   const OptionalTensor& sequence_ids,
                                                   int64_t position,
                                                   const OptionalTensor& positions,
                                                   const OptionalTensor& uniforms) {
  constexpr const char* kOp = "rescore";
  ALIGNDEC_CHECK(log_p.dim() == 2 && log_p.size(1) >= 1, kOp, ": log_p must be [B, k >= 1], got ",
                 log_p.sizes());
  check_doubles(kOp, "log_p", log_p, log_p.sizes(), log_p);
  check_doubles(kOp, "value", value, log_p.sizes(), log_p);
  const int64_t rows = log_p.size(0), alphas = alpha.numel() == 1 ? 1 : rows;
  check_vector(kOp, "alpha", alpha, ScalarType::Double, alphas, log_p);
  check_vector(kOp, "sequence_ids", sequence_ids, ScalarType::Long, rows, log_p);
  check_vector(kOp, "positions", positions, ScalarType::Long, rows, log_p);
  check_vector(kOp, "uniforms", uniforms, ScalarType::Double, rows, log_p);
  const Tensor index = empty({rows}, ScalarType::Long, log_p);
  const Tensor log_ref = empty({rows}, ScalarType::Double, log_p);
  const Tensor log_alg = empty({rows}, ScalarType::Double, log_p);
  const Tensor kl = empty({rows}, ScalarType::Double, log_p);
  RescoreArgs args{};
  args.log_p = log_p.const_data_ptr<double>();
  args.value = value.const_data_ptr<double>();
  args.alpha = alpha.const_data_ptr<double>();
  args.alpha_stride = alpha.numel() == 1 ? 0 : 1;
  args.rows = rows;
  args.k = log_p.size(1);
  args.greedy = greedy;
  args.bits = {const_data_or_null<double>(uniforms),
               nullptr,
               seed,
               const_data_or_null<int64_t>(sequence_ids),
               const_data_or_null<int64_t>(positions),
               position};
  args.index = index.mutable_data_ptr<int64_t>();
  args.log_ref = log_ref.mutable_data_ptr<double>();
  args.log_alg = log_alg.mutable_data_ptr<double>();
  args.kl = kl.mutable_data_ptr<double>();
  launch<cpu::launch_rescore, cuda::launch_rescore>(log_p, args);
  return {index, log_ref, log_alg, kl};
}

}  // namespace aligndec
