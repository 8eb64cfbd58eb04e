// The law of combined logits on a GPU: a block for each row, worked on in its output.

#include <cmath>

#include "core/combine.h"
#include "core/exp64.h"
#include "core/log.h"
#include "cuda/group.cuh"
#include "launch/combine_logits.h"
#include "launch/half.h"

namespace aligndec::cuda {
namespace {

struct Top {
  double value = -INFINITY;
  int64_t broken = 0;
  __device__ void add(const Top& o) {
    value = value < o.value ? o.value : value;
    broken |= o.broken;
  }
};

struct Total {
  double value = 0.0;
  __device__ void add(const Total& o) { value += o.value; }
};

struct CombineStorage {
  Exchange exchange;
  Top top;
  Total total;
};

struct CombineKernel {
  static constexpr int kThreads = cuda::kThreads, kBlocksPerSm = cuda::kBlocksPerSm;
  struct Args {
    CombineTerm terms[kMostTerms];
    int64_t n_terms, vocab;
    double* log_probs;
  };

  static __device__ void run(const Args& a) {
    const int64_t row = block::group();
    double* const out = a.log_probs + row * a.vocab;
    auto& s = *reinterpret_cast<CombineStorage*>(block::storage());
    if (block::thread() == 0) s.exchange.phase = 0;
    Top mine;
    for (int64_t v = block::thread(); v < a.vocab; v += kThreads) {
      const double score = score_of(a, row, v);
      out[v] = score;
      mine.add({score, score != score});
    }
    sum(s.exchange, mine, s.top);
    const double top = s.top.value;
    const bool lawful = core::has_law(top, s.top.broken);
    Total part;
    for (int64_t v = block::thread(); v < a.vocab; v += kThreads)
      if (lawful) part.value += core::exp64(out[v] - top);
    sum(s.exchange, part, s.total);
    const double log_total = core::log_positive(s.total.value);
    for (int64_t v = block::thread(); v < a.vocab; v += kThreads)
      out[v] = lawful ? (out[v] - top) - log_total : static_cast<double>(NAN);
  }

  static __device__ double score_of(const Args& a, int64_t row, int64_t v) {
    double score = 0.0;
    bool gone = false;
    for (int64_t m = 0; m < a.n_terms; ++m) {
      const CombineTerm& term = a.terms[m];
      if (term.weight == 0.0) continue;
      core::add_logit(logit(term, row * term.stride + v), term.weight, score, gone);
    }
    return gone ? -INFINITY : score;
  }
  static __device__ double logit(const CombineTerm& term, int64_t at) {
    if (term.type == LogitType::kFloat) return static_cast<const float*>(term.logits)[at];
    return term.type == LogitType::kHalf
               ? static_cast<float>(static_cast<const c10::Half*>(term.logits)[at])
               : static_cast<float>(static_cast<const c10::BFloat16*>(term.logits)[at]);
  }
};

}  // namespace

int launch_combine_logits(const CombineArgs& args, CUstream_st* stream) {
  if (args.n_terms > kMostTerms) return block::kBadArgument;
  CombineKernel::Args all{{}, args.n_terms, args.vocab, args.log_probs};
  for (int64_t m = 0; m < args.n_terms; ++m) all.terms[m] = args.terms[m];
  return block::launch<CombineKernel>({args.rows, 1, sizeof(CombineStorage)}, all, stream);
}

}  // namespace aligndec::cuda
