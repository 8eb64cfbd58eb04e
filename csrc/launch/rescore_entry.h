// One choice among candidates, the same on every device.
#pragma once

#include "core/rescore.h"
#include "launch/rescore.h"

namespace aligndec {

struct RescoreEntry {
  using Args = RescoreArgs;
  static constexpr int64_t kItemsPerThread = 2048;  // forking a CPU's threads costs 5 to 20 us
  static int64_t count(const Args& args) { return args.rows; }
  static int64_t items(const Args& args) { return args.k; }

  static ALIGNDEC_HD void run(const Args& args, int64_t i) {
    const int64_t at = i * args.k;
    const core::RescoreRow row{args.log_p + at, args.value + at, args.k,
                               args.alpha[i * args.alpha_stride]};
    const uint64_t bits = bits_of_entry(args.bits, i, core::Stream::kRescore);
    const core::RescoreChoice choice = core::rescore_row(row, args.greedy, bits);
    args.index[i] = choice.index;
    args.log_ref[i] = choice.log_ref;
    args.log_alg[i] = choice.log_alg;
    args.kl[i] = choice.kl;
  }
};

}  // namespace aligndec
