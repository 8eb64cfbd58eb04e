// Independence Metropolis-Hastings on a GPU. A chain waits for its own last decision, so a block
// gives each of some chains one lane of its first warp; the other warps meanwhile fetch the
// log-weights and take the logarithms of the next steps, and write out the last ones, so that
// device memory sees whole lines.
#include "core/metropolis.h"
#include "core/philox.h"
#include "cuda/block.cuh"
#include "cuda/tuning.cuh"
#include "launch/imh_chain.h"

namespace aligndec::cuda {
namespace {

constexpr int kSteps = block::kWarp;  // of a tile
constexpr int kRow = kSteps + 1;      // lanes then meet different banks

// Two tiles in turn: one in use, one that is written out and filled again.
struct ChainTile {
  double log_weight[block::kWarp][kRow];
  union {  // a step's number is read before its state is written
    double log_u[block::kWarp][kRow];
    int64_t index[block::kWarp][kRow];
  };
  bool accepted[block::kWarp][kSteps];
};

struct ChainKernel {
  static constexpr int kThreads = kChainThreads, kBlocksPerSm = 1;
  struct Args {
    ChainArgs chain;
    int64_t per_block;  // chains
  };

  static __device__ void run(const Args& args) {
    const ChainArgs& a = args.chain;
    const int64_t first = block::group() * args.per_block, left = a.chains - first;
    const auto count = static_cast<int>(left < args.per_block ? left : args.per_block);
    auto* const tiles = reinterpret_cast<ChainTile*>(block::storage());
    const int64_t last = (a.length + kSteps - 1) / kSteps;
    const int lane = block::lane();
    core::ChainState state{};
    for (int64_t tile = -1; tile <= last; ++tile) {
      if (block::warp() > 0) {
        refill(a, first, count, tile, last, tiles[(tile + 1) & 1]);
      } else if (tile >= 0 && tile < last && lane < count) {
        ChainTile& t = tiles[tile & 1];
        for (int k = 0; k < kSteps; ++k) {
          const int64_t n = tile * kSteps + k;
          if (n >= a.length) break;
          t.accepted[lane][k] = core::step_chain(state, n, t.log_weight[lane][k], t.log_u[lane][k]);
          t.index[lane][k] = state.index;
        }
      }
      block::sync();
    }
    if (block::warp() == 0 && lane < count) a.count[first + lane] = state.accepted;
  }

  // Writes out the tile before `tile`, then fills it with the one after.
  static __device__ void refill(const ChainArgs& a, int64_t first, int count, int64_t tile,
                                int64_t last, ChainTile& t) {
    const int helpers = kThreads / block::kWarp - 1, k = block::lane();
    for (int chain = block::warp() - 1; chain < count; chain += helpers) {
      const int64_t row = (first + chain) * a.length;
      const int64_t before = (tile - 1) * kSteps + k, after = (tile + 1) * kSteps + k;
      if (tile > 0 && before < a.length) {
        a.index[row + before] = t.index[chain][k];
        a.accepted[row + before] = t.accepted[chain][k];
      }
      if (tile + 1 < last && after < a.length) {
        t.log_weight[chain][k] = a.log_weight[row + after];
        t.log_u[chain][k] = core::log_uniform(uniform(a, first + chain, row, after));
      }
    }
  }

  static __device__ double uniform(const ChainArgs& a, int64_t chain, int64_t row, int64_t n) {
    if (a.uniforms) return a.uniforms[row + n];
    const auto name = static_cast<uint64_t>(a.sequence_ids ? a.sequence_ids[chain] : chain);
    return core::uniform_from_bits(core::token_bits(static_cast<uint64_t>(a.seed), name,
                                                    static_cast<uint64_t>(n), core::Stream::kChain)
                                       .r);
  }
};

}  // namespace

int launch_imh_chain(const ChainArgs& args, CUstream_st* stream) {
  block::Device device;
  if (const int error = block::current_device(&device)) return error;
  const int64_t even = (args.chains + device.multiprocessors - 1) / device.multiprocessors;
  const int64_t per_block = even < 1 ? 1 : even < block::kWarp ? even : block::kWarp;
  const int64_t blocks = (args.chains + per_block - 1) / per_block;
  return block::launch<ChainKernel>({blocks, 1, 2 * sizeof(ChainTile)}, {args, per_block}, stream);
}

}  // namespace aligndec::cuda
