// The choice among candidates on the CPU: rows over threads.
#include "launch/rescore.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "core/philox.h"
#include "core/rescore.h"

namespace aligndec::cpu {

void launch_rescore(const RescoreArgs& args) {
  constexpr int64_t kCandidatesPerThread = 2048;  // forking costs 5 to 20 us
  const BitSource& source = args.bits;
  const int64_t grain = std::max<int64_t>(1, kCandidatesPerThread / args.k);
  at::parallel_for(0, args.rows, grain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t at = i * args.k;
      const core::RescoreRow row{args.log_p + at, args.value + at, args.k,
                                 args.alpha[i * args.alpha_stride]};
      uint64_t bits = 0;
      if (source.uniforms) {
        bits = core::bits_from_uniform(source.uniforms[i]);
      } else if (!args.greedy) {
        const int64_t sequence = source.sequence_ids ? source.sequence_ids[i] : i;
        const int64_t position = source.positions ? source.positions[i] : source.position;
        bits = core::token_bits(static_cast<uint64_t>(source.seed), static_cast<uint64_t>(sequence),
                                static_cast<uint64_t>(position), core::Stream::kRescore)
                   .r;
      }
      const core::RescoreChoice choice = core::rescore_row(row, args.greedy, bits);
      args.index[i] = choice.index;
      args.log_ref[i] = choice.log_ref;
      args.log_alg[i] = choice.log_alg;
      args.kl[i] = choice.kl;
    }
  });
}

}  // namespace aligndec::cpu
