// The law of combined logits: checks, allocation and launch.
#include "ops/combine_logits.h"

#include <vector>

#include "device.h"
#include "launch/combine_logits.h"
#include "ops/logits.h"

namespace aligndec {

Tensor combine_logits(const std::vector<Tensor>& logits, const std::vector<double>& weights) {
  constexpr const char* kOp = "combine_logits";
  ALIGNDEC_CHECK(!logits.empty() && logits.size() == weights.size(), kOp,
                 ": logits and weights must be M >= 1 each, got ", logits.size(), " and ",
                 weights.size());
  ALIGNDEC_CHECK(logits[0].is_cpu() || logits.size() <= kMostTerms, kOp,
                 ": logits must be M <= ", kMostTerms, " on CUDA, got ", logits.size());
  std::vector<CombineTerm> terms;
  for (size_t m = 0; m < logits.size(); ++m) {
    const Tensor& x = logits[m];
    check_logits(kOp, x);
    ALIGNDEC_CHECK(x.sizes().equals(logits[0].sizes()) && x.device() == logits[0].device(), kOp,
                   ": logits must be of one shape and device, got ", x.sizes(), " on ", x.device(),
                   " beside ", logits[0].sizes(), " on ", logits[0].device());
    terms.push_back({x.const_data_ptr(), logit_type(kOp, x), x.stride(0), weights[m]});
  }
  const Tensor out = empty(logits[0].sizes(), ScalarType::Double, logits[0]);
  CombineArgs args{};
  args.terms = terms.data();
  args.n_terms = static_cast<int64_t>(terms.size());
  args.rows = out.size(0);
  args.vocab = out.size(1);
  args.log_probs = out.mutable_data_ptr<double>();
  if (out.numel() > 0) launch<cpu::launch_combine_logits, cuda::launch_combine_logits>(out, args);
  return out;
}

}  // namespace aligndec
