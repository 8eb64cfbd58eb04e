// The one look at a row in device memory.
#pragma once

#include "cuda/row.cuh"

namespace aligndec::cuda {

template <class T>
__device__ Scan Row::scan() {
  constexpr int kEach = kInVector<T>, kTogether = 4;
  const T* const x = static_cast<const T*>(batch_.logits) + row_ * batch_.stride + first;
  lead_ = static_cast<int>(reinterpret_cast<uintptr_t>(x) / sizeof(T) % kEach);
  const int end = lead_ + size;
  padded_ = (end + kEach - 1) / kEach * kEach;
  float* const logits = chip();
  const bool keep = on_chip_;
  Scan mine;
  const core::RowMask mask = mask_of_row(batch_, row_);
  // One by one: a row with a mask, and the ends of any other.
  const auto one = [&](int c) {
    const int i = c - lead_;
    const bool exists = i >= 0 && i < size;
    const float value = exists && mask.allows(first + i) ? static_cast<float>(x[i]) : -INFINITY;
    if (keep) logits[c] = value;
    if (!exists) return;
    if (!(value < INFINITY)) mine.bad = 1;
    mine.top = fmaxf(mine.top, value);
    mine.least = fminf(mine.least, value);
  };
  const bool single = batch_.allowed || batch_.allowed_bits;
  const int from = single || size == 0 ? padded_ / kEach : (lead_ + kEach - 1) / kEach;
  const int to = single || size == 0 ? from : end / kEach;
  if (from >= to) {
#pragma unroll 1
    for (int c = thread(); c < padded_; c += kThreads) one(c);
    return mine;
  }
  if (thread() < from * kEach) one(thread());
  if (to * kEach + thread() < padded_) one(to * kEach + thread());
  const auto* const vectors = reinterpret_cast<const Vector<T>*>(x - lead_);
  // Loads go out together: a store between them would make each wait for the one before.
  VectorExtent<T> extent;
  const auto together = [&](int v, auto within) {
    Vector<T> four[kTogether];
#pragma unroll
    for (int k = 0; k < kTogether; ++k)
      if (within(v + k * kThreads)) four[k] = vectors[v + k * kThreads];
#pragma unroll
    for (int k = 0; k < kTogether; ++k) {
      if (!within(v + k * kThreads)) continue;
      extent.add(four[k]);
      auto* const there = reinterpret_cast<Four*>(logits + (v + k * kThreads) * kEach);
#pragma unroll
      for (int part = 0; part < kEach / 4; ++part)
        if (keep) there[part] = four[k].four(part);
    }
  };
  int v = from + thread();
  for (; v + (kTogether - 1) * kThreads < to; v += kTogether * kThreads)  // hot: scan
    together(v, [](int) { return true; });
  together(v, [to](int i) { return i < to; });
  const float most = extent.most();
  if (!(most < INFINITY)) mine.bad = 1;
  mine.top = fmaxf(mine.top, most);
  mine.least = fminf(mine.least, extent.least());
  return mine;
}

__device__ __forceinline__ Row::Row(Storage& s, const RowBatch& batch, int row, bool on_chip)
    : batch_(batch), row_(row), on_chip_(on_chip) {
  const auto n = static_cast<int>(batch.n);
  const auto slice = static_cast<int>(Slice::length(n, block::peers()));
  const int left = n - block::rank() * slice;
  first = block::rank() * slice;
  size = left < 0 ? 0 : left < slice ? left : slice;
  Scan mine;
  if (batch.type == LogitType::kFloat) mine = scan<float>();
  if (batch.type == LogitType::kHalf) mine = scan<c10::Half>();
  if (batch.type == LogitType::kBFloat16) mine = scan<c10::BFloat16>();
  sum(s.exchange, mine, s.seen);
  Mass existing;
  if (s.seen.least > -INFINITY) {
    if (thread() == 0) s.existing.value = static_cast<uint64_t>(batch.n);
  } else if (s.seen.status() == core::kOk) {
    for_logits(
        [&](const auto& x) {
          for (const float each : x) existing.value += each > -INFINITY;
        },
        [](int) {});
    send_sum(s.exchange, existing, s.existing, [] {}, [](int, const Mass&) {});
  }
}

}  // namespace aligndec::cuda
