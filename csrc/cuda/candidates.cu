// The k most probable tokens on a GPU: the kept set of top_k gives the least logit among them; they
// are gathered in any order and sorted, on the chip where they have room in place of the bins that
// found them, else in the outputs.
#include "cuda/plan.cuh"
#include "cuda/row_draw.cuh"
#include "launch/candidates.h"

namespace aligndec::cuda {
namespace {

// Tokens and their logits, as they are gathered and sorted.
template <class Id, class Logit>
struct Found {
  Id* id;
  Logit* x;

  __device__ void put(uint32_t c, int64_t token, float logit) const {
    id[c] = static_cast<Id>(token);
    x[c] = static_cast<Logit>(logit);
  }
  // Whether c comes before d: the larger logit first, then the lower id.
  __device__ bool precedes(int64_t c, int64_t d) const {
    return x[c] > x[d] || (x[c] == x[d] && id[c] < id[d]);
  }
  __device__ void exchange(int64_t c, int64_t d) const {
    const Logit logit = x[c];
    const Id token = id[c];
    x[c] = x[d];
    id[c] = id[d];
    x[d] = logit;
    id[d] = token;
  }
};

struct CandidatesKernel {
  static constexpr int kThreads = cuda::kThreads, kBlocksPerSm = cuda::kBlocksPerSm;
  using Args = RowArgs<CandidatesArgs>;

  static __device__ void run(const Args& args) {
    const CandidatesArgs& a = args.task;
    const auto row_id = static_cast<int>(block::group());
    int64_t* const token = a.token + block::group() * a.k;
    double* const log_p = a.log_p + block::group() * a.k;
    Storage& s = open_storage();
    const Row row(s, a.batch, row_id, args.on_chip);
    const int64_t status = s.seen.status();
    if (is_leader()) a.status[row_id] = status;
    if (status != core::kOk) {
      block::sync_peers();  // a peer may still look at what this block has seen
      for (int64_t c = thread(); block::rank() == 0 && c < a.k; c += kThreads) {
        token[c] = -1;
        log_p[c] = static_cast<double>(NAN);
      }
      return;
    }
    s.set_rule([&] { return core::top_k_rule(a.k); });
    cut_row(s, row);
    if (a.k <= kBins) {
      auto* const x = reinterpret_cast<float*>(block::of_peer(s.bin_high, 0));
      choose(s, row, a.k, Found<uint32_t, float>{block::of_peer(s.bin_low, 0), x}, token, log_p);
    } else {
      choose(s, row, a.k, Found<int64_t, double>{token, log_p}, token, log_p);
    }
  }

  // Gathers and sorts in `found`, and writes from there.
  template <class Id, class Logit>
  static __device__ void choose(Storage& s, const Row& row, int64_t k,
                                const Found<Id, Logit>& found, int64_t* token, double* log_p) {
    gather(s, row, k, found);
    block::sync_peers();
    if (block::rank() > 0) return;
    sort(k, found);
    const core::RowBooks books = core::row_books(s.masses, 1.0);
    for (int64_t c = thread(); c < k; c += kThreads) {
      const auto x = static_cast<float>(found.x[c]);
      token[c] = static_cast<int64_t>(found.id[c]);
      log_p[c] = core::token_log_p(s.masses, books, x);
    }
  }

  // Puts k tokens in `found`: all above the least logit that is wanted, and the first ones at it.
  // Tokens of probability 0 make up the number.
  template <class Id, class Logit>
  static __device__ void gather(Storage& s, const Row& row, int64_t k,
                                const Found<Id, Logit>& found) {
    const float low = s.masses.n_kept < k ? -INFINITY : s.masses.low;
    Mass above, at;
    row.for_ids([&](int i) {
      above.value += row.at(i) > low;
      at.value += row.at(i) == low;
    });
    at = sum_of_warp(at);
    if (block::lane() == 0) s.mass_of_warp[block::warp()] = at.value;
    if (thread() == 0) s.list_size = 0;
    sum(s.exchange, above, s.above);
    const uint64_t wanted = static_cast<uint64_t>(k) - s.above.value;  // >= 1
    const int64_t last = first_beyond(s, row.first, row.size, wanted - 1, [&](int i) {
      return static_cast<uint64_t>(row.at(i) == low);
    });
    if (last >= 0 && thread() == 0)
      for (int peer = 0; peer < block::peers(); ++peer) *block::of_peer(&s.last, peer) = last;
    block::sync_peers();
    uint32_t* const filled = block::of_peer(&s.list_size, 0);
    row.for_ids([&](int i) {
      const float x = row.at(i);
      if (!(x > low || (x == low && row.first + i <= s.last))) return;
      found.put(block::add(filled, 1u), row.first + i, x);
    });
  }

  // Batcher's bitonic network in the form that only compares upwards, so that a length which is not
  // a power of two needs no padding.
  template <class Id, class Logit>
  static __device__ void sort(int64_t k, const Found<Id, Logit>& found) {
    const auto order = [&](int64_t i, int64_t j) {
      if (j > i && j < k && !found.precedes(i, j)) found.exchange(i, j);
    };
    for (int64_t size = 2; size < 2 * k; size *= 2) {
      for (int64_t i = thread(); i < k; i += kThreads) order(i, i ^ (size - 1));
      block::sync();
      for (int64_t step = size / 4; step > 0; step /= 2) {
        for (int64_t i = thread(); i < k; i += kThreads) order(i, i ^ step);
        block::sync();
      }
    }
  }
};

}  // namespace

int launch_candidates(const CandidatesArgs& args, CUstream_st* stream) {
  block::Device device;
  if (const int error = block::current_device(&device)) return error;
  return launch_rows<CandidatesKernel>(args, args.batch, args.batch.rows, device, stream);
}

}  // namespace aligndec::cuda
