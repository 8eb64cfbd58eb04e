// Tilted laws on a GPU: all of a row's search in one launch, by a warp or by a group of blocks.
#include "core/tilt/means.h"
#include "cuda/tilt_sums.cuh"
#include "launch/tilt_entry.h"

namespace aligndec::cuda {
namespace {

// Op: Args, and run(args, row, state, writes).
template <class Op>
struct TiltKernel {
  // The search keeps a row's numbers and its bracket in registers: two blocks would spill them.
  static constexpr int kThreads = cuda::kThreads, kBlocksPerSm = 1;
  struct Args {
    typename Op::Args op;
    bool by_warps;
  };

  static __device__ void run(const Args& args) {
    TiltStorage* const storage =
        args.by_warps ? nullptr : reinterpret_cast<TiltStorage*>(block::storage());
    const TiltTeam team(storage);
    const int64_t row = storage ? block::group() : block::group() * kWarps + block::warp();
    if (row >= args.op.batch.rows) return;
    TiltState state(TiltSums(args.op.batch, row, team));
    Op::run(args.op, row, state, team.member() == 0);
    if (storage) block::sync_peers();  // a peer may still read from this block
  }
};

struct Stats {
  using Args = TiltStatsArgs;
  static __device__ void run(const Args& args, int64_t row, TiltState& state, bool writes) {
    measure_tilts(args, row, state, writes);
  }
};

struct Solve {
  using Args = TiltSolveArgs;
  static __device__ void run(const Args& args, int64_t row, TiltState& state, bool writes) {
    solve_tilts(args, row, state, writes);
  }
};

// The largest of some numbers >= 0.
struct Largest {
  double value = 0.0;
  __device__ void add(const Largest& o) { value = fmax(value, o.value); }
};

// The rows of a batch under one beta, as a law: its numbers are the means of theirs. One group of
// blocks, a warp to a row; states lie in device memory between the steps.
class Together {
 public:
  __device__ Together(const TiltSolveArgs& args, TiltStorage& storage)
      : args_(args), storage_(storage) {
    if (block::thread() == 0) storage.exchange.phase = 0;
    const double sign = args.kind == TiltKind::kKlMax ? 1.0 : -1.0;
    const double span = over<Largest, true>([&](Largest& most, int64_t, TiltState& state) {
                          state.scan(sign);
                          most.add({state.span()});
                        }).value;
    row_ = over<core::TiltMeans>([&](core::TiltMeans& means, int64_t, TiltState& state) {
             state.weigh(span);
             means.count(state.row());
           }).row(args.batch.rows, span);
  }

  __device__ const core::TiltRow& row() const { return row_; }
  __device__ const core::TiltPoint& at(double beta, bool upper) {
    return point_ = over<core::TiltPointMeans>([&](core::TiltPointMeans& means, int64_t,
                                                   TiltState& state) {
                      means.count(state.at(beta, upper));
                    }).point(args_.batch.rows);
  }
  __device__ void settle(double beta, double change) {
    visit([&](int64_t, TiltState& state) { state.settle(beta, change); });
  }
  __device__ core::TiltEnds ends() const {
    return over<core::TiltEndMeans>([&](core::TiltEndMeans& means, int64_t, TiltState& state) {
             means.count(state.ends());
           })
        .ends(args_.batch.rows);
  }
  __device__ void write(const core::TiltFound& found) const {
    visit([&](int64_t row, TiltState& state) {
      if (block::lane() == 0) write_tilt(args_, row, found, state);
    });
  }

 private:
  // Calls f(row, state) for each row of this warp; the first time without a state to go on from.
  template <bool first_time = false, class F>
  __device__ void visit(F f) const {
    auto* const states = reinterpret_cast<TiltState*>(args_.workspace);
    const int64_t first = int64_t{block::rank()} * kWarps + block::warp();
    for (int64_t row = first; row < args_.batch.rows; row += int64_t{block::peers()} * kWarps) {
      TiltState state(TiltSums(args_.batch, row, TiltTeam(nullptr)));
      if (!first_time) state = states[row];
      f(row, state);
      block::sync_warp();
      if (block::lane() == 0) states[row] = state;
      block::sync_warp();
    }
  }
  // Sums by f(sums, row, state) over the rows.
  template <class Sums, bool first_time = false, class F>
  __device__ Sums over(F f) const {
    Sums mine;
    visit<first_time>([&](int64_t row, TiltState& state) { f(mine, row, state); });
    Sums& total = in_slot<Sums>(storage_.total);
    sum_of_warps(storage_.exchange, mine, total);
    return total;
  }

  const TiltSolveArgs& args_;
  TiltStorage& storage_;
  core::TiltRow row_{};
  core::TiltPoint point_{};
};

struct TogetherKernel {
  static constexpr int kThreads = cuda::kThreads, kBlocksPerSm = 1;
  using Args = TiltSolveArgs;

  static __device__ void run(const Args& args) {
    static_assert(sizeof(TiltState) <= kTiltStateDoubles * sizeof(double));
    Together rows(args, *reinterpret_cast<TiltStorage*>(block::storage()));
    rows.write(core::find_tilt(rows, args.target[0], false));
    block::sync_peers();
  }
};

// Launches Kernel with `peers` blocks to a group, or alone where a cluster has no room.
template <class Kernel>
int launch_groups(int64_t groups, int peers, const typename Kernel::Args& args,
                  CUstream_st* stream) {
  const auto run = [&](int blocks) {
    return block::launch<Kernel>({groups, blocks, sizeof(TiltStorage)}, args, stream);
  };
  const int error = run(peers);
  return error == block::kNoRoomForCluster ? run(1) : error;
}

template <class Op>
int launch_tilts(const typename Op::Args& args, CUstream_st* stream) {
  block::Device device;
  if (const int error = block::current_device(&device)) return error;
  const int64_t rows = args.batch.rows, n = args.batch.n;
  if (n > kMostOutcomes) return block::kBadArgument;
  const bool by_warps = n <= kWarpRow;
  const int most = device.clusters && !by_warps ? kMostPeers : 1;
  int peers = 1;
  while (peers < most && rows * peers < device.multiprocessors && n > peers * kLeastSlice)
    peers *= 2;
  const int64_t groups = by_warps ? (rows + kWarps - 1) / kWarps : rows;
  return launch_groups<TiltKernel<Op>>(groups, peers, {args, by_warps}, stream);
}

}  // namespace

int launch_tilt_stats(const TiltStatsArgs& args, CUstream_st* stream) {
  return launch_tilts<Stats>(args, stream);
}

int launch_tilt_solve(const TiltSolveArgs& args, CUstream_st* stream) {
  if (!args.shared) return launch_tilts<Solve>(args, stream);
  if (args.batch.n > kMostOutcomes) return block::kBadArgument;
  block::Device device;
  if (const int error = block::current_device(&device)) return error;
  return launch_groups<TogetherKernel>(1, device.clusters ? kMostPeers : 1, args, stream);
}

}  // namespace aligndec::cuda
