// Small sizes, so that short rows already take every path of the kernels.
#pragma once

namespace aligndec::cuda {

constexpr int kThreads = 64;
constexpr int kBlocksPerSm = 1;
constexpr int kMostPeers = 4;
constexpr int kSliceBytes = 1024;
constexpr int kLeastSlice = 64;
constexpr int kLoadBytes = 8;
constexpr int kBins = 64;
constexpr int kList = 16;
constexpr int kGradientsPerThread = 2;
constexpr int kChainThreads = 96;
constexpr int kWarpRow = 40;
constexpr int kEntryThreads = 64;
constexpr int kFilterThreads = 64;

}  // namespace aligndec::cuda
