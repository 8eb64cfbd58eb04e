// What tokens weigh: one pass over a row that adds up masses, and on the way puts them in the bins
// in which a later cut is found.
#pragma once

#include "core/logit.h"
#include "cuda/row_bins.cuh"

namespace aligndec::cuda {

// Which tokens a pass adds up: all of the row, those of an interval, or both.
enum class Over { kRow, kSet, kBoth };
enum class Binned { kNothing, kMasses, kCounts };

// Temperature 1, with nothing to scale.
struct PlainGap {
  float top;
  __device__ float operator()(float x) const { return fmaxf(x - top, core::kLowestLogit); }
};

// Any temperature.
struct ScaledGap {
  float top;
  core::Scale scale;

  __device__ ScaledGap(float from, const core::Scale& at)
      : top(from), scale{false, at.identity ? 1.0f : at.high, at.identity ? 0.0f : at.low} {}
  __device__ explicit ScaledGap(const Law& law) : ScaledGap(law.top, law.scale) {}
  __device__ float operator()(float x) const { return core::scaled_gap(x - top, scale); }
};

// Sums of some tokens in a thread: words that are emptied in time.
template <bool kEntropy>
struct ThreadSums {
  core::HalvesSum mass, entropy;
  uint32_t count = 0;  // since they were emptied
  Sums total;

  __device__ void add(const core::Halves& w, const core::Halves& e) {
    mass.add(w);
    if constexpr (kEntropy) entropy.add(e);
  }
  __device__ void settle(uint32_t added) {
    total.mass += mass.total(added);
    if constexpr (kEntropy) total.entropy += entropy.total(added);
    total.count += count;
    *this = {{}, {}, 0, total};
  }
};

// Weighs tokens under the law whose gaps Gap gives: all of the row, those of [low, high], or both
// (and then high is the maximum).
// The bins get what the whole row, or the interval alone, weighs or counts.
template <bool kEntropy, Over kOver, Binned kBinned, bool kAround, class Gap>
__device__ __forceinline__ RowAndSet weigh_slice(Storage& s, const Row& row, const Gap& gap,
                                                 float low, float high, const Distance& distance) {
  ThreadSums<kEntropy> all, inside;
  const float drop = kBeyond + static_cast<float>(block::lane());
  row.for_logits(
      [&](const auto& x) {
        if constexpr (kOver == Over::kSet) {  // often there is nothing at all
          bool any = false;
#pragma unroll
          for (const float each : x) any |= each >= low && each <= high;
          if (!any) return;
        }
#pragma unroll
        for (const float each : x) {
          [[maybe_unused]] const bool in =
              kOver == Over::kRow || (each >= low && (kOver == Over::kBoth || each <= high));
          core::Halves w{}, e{};
          if constexpr (kOver != Over::kSet || kBinned != Binned::kCounts) {
            const float t = gap(each), scaled = core::scaled_weight(t);
            w = core::mass_halves(scaled);
            if constexpr (kEntropy) e = core::entropy_halves(scaled, t);
          }
          if constexpr (kOver != Over::kSet) all.add(w, e);
          if constexpr (kOver != Over::kRow) {
            inside.count += in;
            if (in) inside.add(w, e);
          }
          if constexpr (kBinned != Binned::kNothing) {
            const float bin = in ? distance.bin<kAround>(each) : kBeyond + block::kWarp;
            if constexpr (kBinned == Binned::kMasses) add_halves(s, bin, drop, w);
            if constexpr (kBinned == Binned::kCounts) add_one(s, bin, drop);
          }
        }
      },
      [&](int turns) {
        all.settle(static_cast<uint32_t>(turns));
        inside.settle(inside.count);
      });
  return {all.total, inside.total};
}

}  // namespace aligndec::cuda
