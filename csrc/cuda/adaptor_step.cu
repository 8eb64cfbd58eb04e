// The fused step on a GPU: a group of blocks for each row.
#include "cuda/plan.cuh"
#include "cuda/row_draw.cuh"
#include "launch/adaptor_step.h"
#include "launch/step_entry.h"

namespace aligndec::cuda {
namespace {

// One kernel for all ops over rows, because they share all but what is done with the kept set.
struct RowTask {
  StepArgs step;
  int64_t rules;  // of a grid: entry i is rule i / rows of row i % rows; 0: entry i has its own
  bool* mask;     // wanted instead of entries, or null
  int64_t vocab;
};

template <class T>
struct RowKernel {
  static constexpr int kThreads = cuda::kThreads, kBlocksPerSm = cuda::kBlocksPerSm;
  using Args = RowArgs<RowTask>;

  static __device__ void run(const Args& args) {
    const RowTask& task = args.task;
    const StepArgs& a = task.step;
    // Groups that share a row of a grid take turns at its rules.
    const int64_t step = task.rules > 0 ? block::groups() / a.batch.rows : 1;
    const int64_t entry = block::group() / step;
    const int64_t first = block::group() % step, rules = task.rules > 0 ? task.rules : 1;
    const auto place = [&](int64_t rule) {
      return task.rules > 0 ? rule * a.batch.rows + entry : entry;
    };
    if (is_skipped(a, entry)) {
      for (int64_t rule = first; is_leader() && rule < rules; rule += step)
        write_empty(a.out, a.count, place(rule), a.state.pad, core::kFinished, 0.0);
      return;
    }
    const int64_t row_id = a.row_of ? a.row_of[entry] : entry;
    Storage& s = open_storage();
    const Row<T> row(s, a.batch, row_id, args.on_chip);
    const bool good = s.seen.status() == core::kOk;
    for (int64_t rule = first; rule < rules; rule += step) {
      const int64_t i = place(rule);
      if (good) {
        s.set_rule([&] {
          if (task.rules > 0) return core::Rule(a.batch.params + rule * a.batch.params_stride);
          core::Rule own = entry_rule(a, entry);
          own.xtc = own.xtc && !task.mask;  // a set is shown without the coin
          return own;
        });
        cut_row(s, row);
      }
      if (task.mask) {
        write_mask(s, task, row, row_id, good);
      } else if (good) {
        write_entry(s, a, row, row_id, i, entry);
      } else if (is_leader()) {
        write_bad(a.out, a.count, i, s.seen.status());
        commit(a, i);
      }
    }
    block::sync_peers();  // a peer may still read this block's storage
  }

  static __device__ bool is_skipped(const StepArgs& a, int64_t entry) {
    return (a.state.sums && a.state.finished[entry]) || (a.tokens && a.tokens[entry] < 0);
  }

  static __device__ void write_entry(Storage& s, const StepArgs& a, const Row<T>& row,
                                     int64_t row_id, int64_t i, int64_t entry) {
    int64_t y = -1;
    if (a.tokens) {
      if (block::rank() == 0) y = a.tokens[entry];
    } else {
      // A greedy row draws nothing, and its first thread may already count the step.
      const uint64_t r = s.masses.greedy_token < 0 ? entry_bits(a, i) : 0;
      y = draw(s, row, core::draw_target(r, s.masses.kept));
    }
    if (thread() != 0 || y < 0) return;
    write_token(s.masses, s.rule(), a.out, a.count, i, y, existing_logit<T>(a.batch, row_id, y));
    commit(a, i);
  }

  // With `strict` nothing may be committed before every row is known to be good.
  static __device__ void commit(const StepArgs& a, int64_t i) {
    if (a.state.sums && !a.state.strict) commit_entry(a, i);
  }

  static __device__ void write_mask(Storage& s, const RowTask& task, const Row<T>& row,
                                    int64_t row_id, bool good) {
    bool* const mask = task.mask + row_id * task.vocab;
    const float low = good ? s.masses.low : INFINITY, high = good ? s.masses.high : -INFINITY;
    const int64_t only = good ? s.masses.greedy_token : -1;
    row.for_ids([&](int i) {
      const float x = row.at(i);
      mask[row.first + i] = x >= low && x <= high && (only < 0 || row.first + i == only);
    });
    if (block::rank() > 0) return;
    for (int64_t id = task.step.batch.n + thread(); id < task.vocab; id += kThreads)
      mask[id] = false;
  }
};

struct AnyBad {
  int value = 0;
  __device__ void add(const AnyBad& o) { value |= o.value; }
};

// Commits a whole batch, or nothing of it.
struct StrictCommitKernel {
  static constexpr int kThreads = cuda::kThreads, kBlocksPerSm = 1;
  using Args = StepArgs;

  static __device__ void run(const StepArgs& a) {
    auto& e = *reinterpret_cast<Exchange*>(block::storage());
    auto& any = *reinterpret_cast<AnyBad*>(block::storage() + sizeof(Exchange));
    if (thread() == 0) e.phase = 0;
    AnyBad bad;
    for (int64_t i = thread(); i < a.count; i += kThreads)
      bad.value |= core::is_bad(a.out.status[i]);
    sum(e, bad, any);
    if (any.value) return;
    for (int64_t i = thread(); i < a.count; i += kThreads) commit_entry(a, i);
  }
};

int launch(const RowTask& task, int64_t groups, const block::Device& device, CUstream_st* stream) {
  return launch_rows<RowKernel>(task, task.step.batch, groups, device, stream);
}

}  // namespace

int launch_adaptor_step(const StepArgs& args, CUstream_st* stream) {
  block::Device device;
  if (const int error = block::current_device(&device)) return error;
  const int error = launch({args, 0, nullptr, 0}, args.count, device, stream);
  if (error || !args.state.sums || !args.state.strict) return error;
  return block::launch<StrictCommitKernel>({1, 1, sizeof(Exchange) + sizeof(AnyBad)}, args, stream);
}

int launch_adaptor_grid(const GridArgs& args, CUstream_st* stream) {
  block::Device device;
  if (const int error = block::current_device(&device)) return error;
  const int64_t rows = args.batch.rows;
  if (rows == 0 || args.adaptors == 0) return 0;
  StepArgs step{};
  step.batch = args.batch;
  step.count = args.adaptors * rows;
  step.tokens = args.tokens;
  step.out = args.out;
  const int64_t wanted = device.multiprocessors * kBlocksPerSm / rows;
  const int64_t share = wanted < 1 ? 1 : wanted < args.adaptors ? wanted : args.adaptors;
  return launch({step, args.adaptors, nullptr, 0}, rows * share, device, stream);
}

int launch_adaptor_mask(const MaskArgs& args, CUstream_st* stream) {
  block::Device device;
  if (const int error = block::current_device(&device)) return error;
  StepArgs step{};
  step.batch = args.batch;
  return launch({step, 0, args.mask, args.vocab}, args.batch.rows, device, stream);
}

}  // namespace aligndec::cuda
