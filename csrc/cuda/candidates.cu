// The k most probable tokens on a GPU: the kept set of top_k gives the least logit among them; they
// are gathered in the outputs in any order and sorted there.
#include "cuda/plan.cuh"
#include "cuda/row_draw.cuh"
#include "launch/candidates.h"

namespace aligndec::cuda {
namespace {

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
    if (status == core::kOk) {
      s.set_rule([&] { return core::top_k_rule(a.k); });
      cut_row(s, row);
      gather(s, row, a.k, token, log_p);
    }
    block::sync_peers();
    if (block::rank() > 0) return;
    if (status == core::kOk) sort(a.k, token, log_p);
    const core::RowBooks books = core::row_books(s.masses, 1.0);
    for (int64_t c = thread(); c < a.k; c += kThreads) {
      if (status != core::kOk) token[c] = -1;
      log_p[c] = status == core::kOk
                     ? core::token_log_p(s.masses, books, static_cast<float>(log_p[c]))
                     : static_cast<double>(NAN);
    }
  }

  // Puts k ids and their logits in the outputs: all above the least logit that is wanted, and the
  // first ones at it. Tokens of probability 0 make up the number.
  static __device__ void gather(Storage& s, const Row& row, int64_t k, int64_t* token,
                                double* log_p) {
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
      const uint32_t c = block::add(filled, 1u);
      token[c] = row.first + i;
      log_p[c] = static_cast<double>(x);
    });
  }

  // Largest logit first, then lowest id: Batcher's bitonic network in the form that only compares
  // upwards, so that a length which is not a power of two needs no padding.
  static __device__ void sort(int64_t k, int64_t* token, double* log_p) {
    const auto order = [&](int64_t i, int64_t j) {
      if (j <= i || j >= k) return;
      const bool right = log_p[i] > log_p[j] || (log_p[i] == log_p[j] && token[i] < token[j]);
      if (right) return;
      const double x = log_p[i];
      const int64_t id = token[i];
      log_p[i] = log_p[j];
      token[i] = token[j];
      log_p[j] = x;
      token[j] = id;
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
