// The k most probable tokens: checks, allocation and launch.
#include "ops/candidates.h"

#include "device.h"
#include "launch/candidates.h"
#include "ops/logits.h"

namespace aligndec {

std::tuple<Tensor, Tensor, Tensor> candidates(const Tensor& logits, int64_t k,
                                              int64_t valid_vocab) {
  constexpr const char* kOp = "candidates";
  check_logits(kOp, logits);
  ALIGNDEC_CHECK(1 <= k && k <= valid_vocab && valid_vocab <= logits.size(1), kOp,
                 ": k must be in [1, valid_vocab] and valid_vocab in [1, ", logits.size(1),
                 "], got ", k, " and ", valid_vocab);
  const int64_t rows = logits.size(0);
  const Tensor token = empty({rows, k}, ScalarType::Long, logits);
  const Tensor log_p = empty({rows, k}, ScalarType::Double, logits);
  const Tensor status = empty({rows}, ScalarType::Long, logits);
  CandidatesArgs args{};
  args.batch = batch_of_logits(kOp, logits, valid_vocab);
  args.k = k;
  args.token = token.mutable_data_ptr<int64_t>();
  args.log_p = log_p.mutable_data_ptr<double>();
  args.status = status.mutable_data_ptr<int64_t>();
  launch<cpu::launch_candidates, cuda::launch_candidates>(logits, args);
  return {token, log_p, status};
}

}  // namespace aligndec
