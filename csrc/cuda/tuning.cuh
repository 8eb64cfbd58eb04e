// Sizes of the kernels; each is a power of two.
#pragma once

namespace aligndec::cuda {

constexpr int kThreads = 256;              // in a block of the row kernels
constexpr int kBlocksPerSm = 2;            // that share a multiprocessor
constexpr int kMostPeers = 8;              // blocks that share a row: the portable cluster size
constexpr int kSliceBytes = 80 << 10;      // of a row in one block, where more blocks can be had
constexpr int kLeastSlice = 8 * kThreads;  // logits that are worth a block of their own
constexpr int kLoadBytes = 32;             // of the row that a thread loads at a time
constexpr int kBins = 2048;                // of a histogram of masses
constexpr int kList = 1024;                // candidates that a block keeps aside
constexpr int kGradientsPerThread = 4;     // of a row of gradients
constexpr int kChainThreads = 256;         // in a block that runs chains
constexpr int kWarpRow = 1024;             // outcomes of a row that a warp tilts
constexpr int kEntryThreads = 128;         // where a thread or a warp works alone
constexpr int kFilterThreads = 64;         // in a block that resamples a filter

}  // namespace aligndec::cuda
