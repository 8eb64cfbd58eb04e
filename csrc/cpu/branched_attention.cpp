// Attention of rows that continue a few prefixes on the CPU: blocks of queries over threads.
#include "launch/branched_attention.h"

#include <algorithm>
#include <vector>

#include "cpu/isa.h"
#include "parallel.h"

namespace aligndec::cpu {
namespace {

// Forking costs 5 to 20 us: a thread gets at least this many products.
constexpr int64_t kProductsPerThread = int64_t{1} << 20;

// The blocks of queries of each prefix, one head of keys after the other.
class Blocks {
 public:
  Blocks(const BranchedAttentionArgs& args, int64_t width)
      : args_(args), width_(width), first_(args.prefixes + 1, 0) {
    for (int64_t b = 0; b < args.prefixes; ++b) first_[b + 1] = first_[b] + heads() * each(b);
  }

  int64_t count() const { return first_.back(); }
  AttentionBlock at(int64_t i) const {
    const int64_t b = std::upper_bound(first_.begin(), first_.end(), i) - first_.begin() - 1;
    const int64_t head = (i - first_[b]) / each(b), first = (i - first_[b]) % each(b) * width_;
    return {b, head, first, std::min(width_, queries(b) - first)};
  }

 private:
  int64_t heads() const { return args_.heads / args_.group; }
  int64_t queries(int64_t b) const {
    return (args_.start[b + 1] - args_.start[b]) * args_.group * args_.length;
  }
  int64_t each(int64_t b) const { return (queries(b) + width_ - 1) / width_; }

  const BranchedAttentionArgs& args_;
  int64_t width_;
  std::vector<int64_t> first_;
};

}  // namespace

void launch_branched_attention(const BranchedAttentionArgs& args) {
  const AttentionKernel kernel = attention_kernel();
  const Blocks blocks(args, kernel.width);
  const int64_t products = kernel.width * (args.shared + args.own) * (args.dim + args.value_dim);
  const int64_t grain = std::max<int64_t>(1, kProductsPerThread / std::max<int64_t>(1, products));
  parallel_for(0, blocks.count(), grain, [&](int64_t first, int64_t last) {
    static thread_local std::vector<float> scratch;
    const auto size = static_cast<size_t>(kernel.scratch(args));
    if (scratch.size() < size) scratch.resize(size);
    for (int64_t i = first; i < last; ++i) kernel.run(args, blocks.at(i), scratch.data());
  });
}

}  // namespace aligndec::cpu
