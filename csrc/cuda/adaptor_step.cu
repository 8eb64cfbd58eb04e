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

struct RowKernel {
  static constexpr int kThreads = cuda::kThreads, kBlocksPerSm = cuda::kBlocksPerSm;
  using Args = RowArgs<RowTask>;

  static __device__ __forceinline__ void run(const Args& args) {
    const RowTask& task = args.task;
    const StepArgs& a = task.step;
    const Turn first = first_turn(task);
    if (is_skipped(a, first.entry)) {
      for (Turn turn = first; is_leader() && turn.rule < rules_of(task); turn.rule += turn.step)
        write_empty(a.out, a.count, place(task, turn), a.state.pad, core::kFinished, 0.0);
      return;
    }
    Storage& s = open_storage();
    if (thread() == 0) {
      s.turn = first;
      s.known.share = task.rules > 0;
      s.known.wants_entropy = a.out.cut != nullptr;
    }
    const auto row_id = static_cast<int>(a.row_of ? a.row_of[first.entry] : first.entry);
    const Row row(s, a.batch, row_id, args.on_chip);
    const bool good = s.seen.status() == core::kOk;
    while (good) {
      s.set_rule([&] { return rule_of(s, task); });
      cut_row(s, row);
      if (task.rules == 0) break;
      if (is_leader()) write(s, task, row_id, a.tokens[s.turn.entry]);
      const int next = s.turn.rule + s.turn.step;
      block::sync();
      if (next >= rules_of(task)) return;
      if (thread() == 0) s.turn.rule = next;
    }
    if (task.mask) {
      write_mask(s, task, row, row_id);
    } else if (good) {
      const int64_t y = a.tokens ? (block::rank() == 0 ? a.tokens[s.turn.entry] : -1)
                                 : draw(s, row, core::draw_target(s.random, s.masses.kept));
      if (thread() == 0 && y >= 0) write(s, task, row_id, y);
    } else if (is_leader()) {
      for (Turn turn = s.turn; turn.rule < rules_of(task); turn.rule += turn.step) {
        write_bad(a.out, a.count, place(task, turn), s.seen.status());
        commit(a, place(task, turn));
      }
    }
    if (!good) block::sync_peers();  // a peer may still look at what this block has seen
  }

  // Groups that share a row of a grid take turns at its rules.
  static __device__ Turn first_turn(const RowTask& task) {
    const auto group = static_cast<int>(block::group());
    const auto step = task.rules > 0 ? static_cast<int>(block::groups() / task.step.batch.rows) : 1;
    return {group / step, group % step, step};
  }
  static __device__ int rules_of(const RowTask& task) {
    return task.rules > 0 ? static_cast<int>(task.rules) : 1;
  }
  // Where the results of a turn go.
  static __device__ int64_t place(const RowTask& task, const Turn& turn) {
    return task.rules > 0 ? turn.rule * task.step.batch.rows + turn.entry : turn.entry;
  }

  static __device__ bool is_skipped(const StepArgs& a, int64_t entry) {
    return (a.state.sums && a.state.finished[entry]) || (a.tokens && a.tokens[entry] < 0);
  }

  // By one thread, and before all meet: once they have, a peer may already count the step.
  static __device__ core::Rule rule_of(Storage& s, const RowTask& task) {
    const StepArgs& a = task.step;
    if (task.rules > 0) return core::Rule(a.batch.params + s.turn.rule * a.batch.params_stride);
    if (!a.tokens && !task.mask) s.random = entry_bits(a, s.turn.entry);
    core::Rule own = entry_rule(a, s.turn.entry);
    own.xtc = own.xtc && !task.mask;  // a set is shown without the coin
    return own;
  }
  static __device__ void write(Storage& s, const RowTask& task, int row_id, int64_t y) {
    const StepArgs& a = task.step;
    const int64_t i = place(task, s.turn);
    write_token(s.masses, s.rule(), a.out, a.count, i, y, existing_logit(a.batch, row_id, y));
    commit(a, i);
  }

  // With `strict` nothing may be committed before every row is known to be good.
  static __device__ void commit(const StepArgs& a, int64_t i) {
    if (a.state.sums && !a.state.strict) commit_entry(a, i);
  }

  static __device__ void write_mask(Storage& s, const RowTask& task, const Row& row, int row_id) {
    const bool good = s.seen.status() == core::kOk;
    bool* const mask = task.mask + static_cast<int64_t>(row_id) * task.vocab;
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
