// The law of combined logits on the CPU: rows over threads, each worked on in its output.
#include "launch/combine_logits.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "core/combine.h"
#include "core/exp64.h"
#include "core/log.h"
#include "launch/half.h"
#include "parallel.h"

namespace aligndec::cpu {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class T>
void add_term(const CombineTerm& term, int64_t row, int64_t vocab, double* out, bool* gone) {
  const T* x = static_cast<const T*>(term.logits) + row * term.stride;
  for (int64_t v = 0; v < vocab; ++v) {
    const double logit = static_cast<double>(static_cast<float>(x[v]));
    core::add_logit(logit, term.weight, out[v], gone[v]);
  }
}

void add_term(const CombineTerm& term, int64_t row, int64_t vocab, double* out, bool* gone) {
  switch (term.type) {
    case LogitType::kFloat:
      return add_term<float>(term, row, vocab, out, gone);
    case LogitType::kHalf:
      return add_term<c10::Half>(term, row, vocab, out, gone);
    case LogitType::kBFloat16:
      return add_term<c10::BFloat16>(term, row, vocab, out, gone);
  }
}

// Turns scores into log-probabilities; NaN throughout without a law.
void normalise(double* out, double* weight, int64_t vocab) {
  double top = -kInfinity;
  bool broken = false;
  for (int64_t v = 0; v < vocab; ++v) {
    broken |= std::isnan(out[v]);
    top = out[v] > top ? out[v] : top;
  }
  if (!core::has_law(top, broken)) {
    std::fill_n(out, vocab, std::numeric_limits<double>::quiet_NaN());
    return;
  }
  for (int64_t v = 0; v < vocab; ++v) weight[v] = core::exp64(out[v] - top);
  double total = 0.0;
  for (int64_t v = 0; v < vocab; ++v) total += weight[v];
  const double log_total = core::log_positive(total);
  for (int64_t v = 0; v < vocab; ++v) out[v] = (out[v] - top) - log_total;
}

}  // namespace

void launch_combine_logits(const CombineArgs& args) {
  constexpr int64_t kEntriesPerThread = int64_t{1} << 14;  // forking costs 5 to 20 us
  const int64_t grain = std::max<int64_t>(1, kEntriesPerThread / args.vocab);
  parallel_for(0, args.rows, grain, [&](int64_t first, int64_t last) {
    const auto gone = std::make_unique<bool[]>(args.vocab);
    const auto weight = std::make_unique<double[]>(args.vocab);
    for (int64_t i = first; i < last; ++i) {
      double* out = args.log_probs + i * args.vocab;
      std::fill_n(out, args.vocab, 0.0);
      std::fill_n(gone.get(), args.vocab, false);
      for (int64_t m = 0; m < args.n_terms; ++m) {
        if (args.terms[m].weight != 0.0) {
          add_term(args.terms[m], i, args.vocab, out, gone.get());
        }
      }
      for (int64_t v = 0; v < args.vocab; ++v) {
        if (gone[v]) out[v] = -kInfinity;
      }
      normalise(out, weight.get(), args.vocab);
    }
  });
}

}  // namespace aligndec::cpu
