// One filter's decision to resample, the same on every device.
#pragma once

#include "core/resampling.h"
#include "launch/smc_resample.h"

namespace aligndec {

template <class Team>
ALIGNDEC_D void smc_resample_entry(const SmcResampleArgs& args, int64_t filter, Team& team) {
  const int64_t first = filter * args.n;
  const core::Particles particles{args.log_weight + first, args.n,
                                  static_cast<core::u128*>(args.keys) + first, args.copies + first};
  const core::FilterMass mass = core::weigh(particles, team);
  const bool due = mass.total > 0 && mass.ess < args.threshold * static_cast<double>(args.n);
  if (team.rank() == 0) {
    args.ess[filter] = mass.ess;
    args.log_mean[filter] = mass.log_mean;
    args.due[filter] = due;
  }
  int64_t* const ancestor = args.ancestor + first;
  if (!due) {
    for (int64_t k = team.rank(); k < args.n; k += team.size()) ancestor[k] = k;
    return;
  }
  const auto scheme = static_cast<core::Scheme>(args.scheme);
  const bool one = scheme == core::Scheme::kSystematic;
  const auto bits = [&](int64_t k) {
    const BitSource& source = args.bits;
    if (source.uniforms) return core::bits_from_uniform(source.uniforms[one ? filter : first + k]);
    const int64_t slot = first + k;
    const int64_t name = source.sequence_ids ? source.sequence_ids[slot] : slot;
    const int64_t position = source.positions ? source.positions[filter] : source.position;
    return core::token_bits(static_cast<uint64_t>(source.seed), static_cast<uint64_t>(name),
                            static_cast<uint64_t>(position), core::Stream::kResampling)
        .r;
  };
  core::draw_ancestors(particles, mass, scheme, bits, team, ancestor);
}

}  // namespace aligndec
