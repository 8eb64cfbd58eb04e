// What the row loops of the tilting kernel read and give, the same for every instruction set.
#pragma once

#include <cstdint>

#include "core/tilt/groups.h"
#include "core/tilt/tilt.h"

namespace aligndec::cpu {

// A row as it was given; rewards count as sign * r.
template <class T>
struct TiltInput {
  const T *log_p, *r;  // log_p may be null: equally likely outcomes
  int64_t n;
  double sign;
};

// The row with its law: p >= 0 up to the factor `norm`, 0 on outcomes that do not count.
template <class T>
struct TiltLaw {
  TiltInput<T> input;
  double* p;
  double norm, best, per_scale;
};

struct TiltRange {
  double most, least;  // of ln p over the outcomes that exist
  double best, worst;  // of the rewards > -inf of those; inf and -inf when there are none
};

template <class T>
struct TiltKernel {
  core::WideMasses (*wide)(const TiltInput<T>&, const core::TiltGroups&);
  TiltRange (*range)(const TiltInput<T>&);
  // Writes p = exp(log_p - most), not normalised; masses relative to exp(most).
  core::TiltMasses (*weigh)(const TiltLaw<T>&, double most);
  core::NearSums (*near)(const TiltLaw<T>&, double beta, double shift, double centre);
  core::FarSums (*far)(const TiltLaw<T>&, double beta);
  core::TiltDetail (*detail)(const TiltLaw<T>&, double beta, double shift, double centre,
                             double mean);
};

}  // namespace aligndec::cpu
