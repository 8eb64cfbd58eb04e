// The loops over a row of a tilting problem on a GPU, in logarithms from end to end: nothing of the
// size of a row is kept. A short row is a warp's, a long one that of a group of blocks.
#pragma once

#include <cmath>

#include "core/tilt/state.h"
#include "cuda/group.cuh"
#include "launch/tilt.h"

namespace aligndec::cuda {

constexpr int64_t kMostOutcomes = int64_t{1} << 31;  // of a row: 32-bit counters

struct TiltStorage {
  Exchange exchange;
  alignas(16) unsigned char total[kSlotBytes];
};

// Who works on a row; all its threads get every sum, in the same bits.
class TiltTeam {
 public:
  // The warp, or for a storage the group.
  explicit __device__ TiltTeam(TiltStorage* storage) : storage_(storage) {
    if (storage && block::thread() == 0) storage->exchange.phase = 0;
  }
  __device__ int member() const {
    return storage_ ? block::rank() * kThreads + block::thread() : block::lane();
  }
  __device__ int members() const { return storage_ ? block::peers() * kThreads : block::kWarp; }
  template <class T>
  __device__ T sum(const T& value) const {
    if (!storage_) return sum_of_warp(value);
    T& total = in_slot<T>(storage_->total);
    cuda::sum(storage_->exchange, value, total);
    return total;
  }

 private:
  TiltStorage* storage_;
};

class TiltSums {
 public:
  __device__ TiltSums(const TiltBatch& batch, int64_t row, const TiltTeam& team)
      : log_p_(batch.log_p ? at(batch, batch.log_p, row * batch.log_p_stride) : nullptr),
        r_(at(batch, batch.r, row * batch.r_stride)),
        n_(static_cast<uint32_t>(batch.n)),
        is_double_(batch.is_double),
        team_(team) {}

  __device__ core::TiltGroups groups(double sign) const {
    return each<core::TiltGroups>(sign, [&](auto& out, double a, double y) { out.count(a, y); });
  }
  __device__ core::TiltMasses masses(const core::TiltRow& row) const {
    return each<core::TiltMasses>(row.sign, [&](auto& out, double a, double y) {
      out.count(row.groups, a, y, core::gap(row, y));
    });
  }
  __device__ core::WideMasses wide(const core::TiltRow& row) const {
    return each<core::WideMasses>(row.sign, [&](auto& out, double a, double y) {
      out.count(row.groups, y, core::WideMasses::mass(row.groups, a, y));
    });
  }
  __device__ core::NearSums near(const core::TiltRow& row, double beta, double shift) const {
    return live<core::NearSums>(
        row, [&](auto& out, double a, double g) { core::count(out, row, beta, shift, a, g); });
  }
  __device__ core::FarSums far(const core::TiltRow& row, double beta, double shift) const {
    return live<core::FarSums>(
        row, [&](auto& out, double a, double g) { core::count(out, row, beta, shift, a, g); });
  }
  __device__ core::TiltDetail detail(const core::TiltRow& row, double beta, double shift,
                                     double mean) const {
    return live<core::TiltDetail>(row, [&](auto& out, double a, double g) {
      core::count(out, row, beta, shift, mean, a, g);
    });
  }
  __device__ double log_norm(const core::TiltRow& row, double beta) const {
    return live<core::TiltLogSum>(row,
                                  [&](auto& out, double a, double g) { out.count(a + beta * g); })
        .value();
  }

 private:
  static __device__ const char* at(const TiltBatch& batch, const void* values, int64_t i) {
    const int64_t bytes = batch.is_double ? sizeof(double) : sizeof(float);
    return static_cast<const char*>(values) + i * bytes;
  }
  __device__ double load(const char* values, uint32_t i) const {
    return is_double_ ? reinterpret_cast<const double*>(values)[i]
                      : static_cast<double>(reinterpret_cast<const float*>(values)[i]);
  }
  // Sums by f(sums, ln p, reward) over the outcomes that exist.
  template <class Sums, class F>
  __device__ Sums each(double sign, F f) const {
    Sums mine;
    for (uint32_t i = team_.member(); i < n_; i += team_.members()) {
      const double a = log_p_ ? load(log_p_, i) : 0.0;
      if (a > -INFINITY) f(mine, a, sign * load(r_, i));
    }
    return team_.sum(mine);
  }
  // By f(sums, ln p, g) over the live ones.
  template <class Sums, class F>
  __device__ Sums live(const core::TiltRow& row, F f) const {
    return each<Sums>(row.sign, [&](auto& mine, double a, double y) {
      if (y > -INFINITY) f(mine, core::live_log_law(row, a), core::gap(row, y));
    });
  }

  const char *log_p_, *r_;
  uint32_t n_;
  bool is_double_;
  TiltTeam team_;
};

using TiltState = core::TiltState<TiltSums>;

}  // namespace aligndec::cuda
