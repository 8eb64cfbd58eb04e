// The k most probable tokens on the CPU: the kept set of top_k, gathered and sorted.
#include "launch/candidates.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "cpu/isa.h"
#include "cpu/rows.h"

namespace aligndec::cpu {
namespace {

struct Candidate {
  float x;
  int64_t id;
};

// Ids [0, n) with x >= low in the order of ids, but of those with x == low the first k only:
// blocks below the cut are skipped by their maximum.
template <class T>
void gather(const RowInput<T>& row, const Workspace& ws, float low, int64_t k,
            std::vector<Candidate>& out) {
  int64_t at_low = 0;
  for (int64_t first = 0; first < row.n; first += kBlock) {
    if (ws.block_max[first / kBlock] < low) continue;
    const int64_t last = std::min(first + kBlock, row.n);
    for (int64_t id = first; id < last; ++id) {
      const float x = existing_logit(row, id);
      if (!(x >= low) || (x == low && at_low++ >= k)) continue;
      out.push_back({x, id});
    }
  }
}

}  // namespace

void launch_candidates(const CandidatesArgs& args) {
  core::Rule rule = core::top_k_rule(args.k);
  for_type(args.batch.type, [&]<class T>(const RowKernel<T>& kernel) {
    for_rows(args.batch.rows, args.batch.n, [&](Workspace& ws, int64_t first, int64_t last) {
      ws.reserve(args.batch.n);
      std::vector<Candidate> found;
      for (int64_t i = first; i < last; ++i) {
        const RowInput<T> row = row_input<T>(args.batch, i);
        kernel.scan(row, ws);
        const RowCut cut = kernel.cut(row, ws, rule);
        args.status[i] = cut.status;
        int64_t* token = args.token + i * args.k;
        double* log_p = args.log_p + i * args.k;
        if (cut.status != core::kOk) {
          std::fill_n(token, args.k, int64_t{-1});
          std::fill_n(log_p, args.k, std::numeric_limits<double>::quiet_NaN());
          continue;
        }
        found.clear();
        gather(row, ws, cut.masses.low, args.k, found);
        std::stable_sort(found.begin(), found.end(),
                         [](const Candidate& a, const Candidate& b) { return a.x > b.x; });
        const core::RowBooks books = core::row_books(cut.masses, rule.tau);
        const int64_t count = std::min<int64_t>(args.k, static_cast<int64_t>(found.size()));
        for (int64_t c = 0; c < count; ++c) {
          token[c] = found[c].id;
          log_p[c] = core::token_log_p(cut.masses, books, found[c].x);
        }
        // Tokens of probability 0 follow in the order of ids.
        for (int64_t id = 0, c = count; c < args.k; ++id) {
          if (existing_logit(row, id) >= cut.masses.low) continue;
          token[c] = id;
          log_p[c++] = -std::numeric_limits<double>::infinity();
        }
      }
    });
  });
}

}  // namespace aligndec::cpu
