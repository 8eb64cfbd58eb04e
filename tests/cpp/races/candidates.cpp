#include "cuda/candidates.cu"

#include "races.h"

using namespace aligndec;

void cases(races::Run& run) {
  for (const int64_t n : run.quick ? std::vector<int64_t>{300} : std::vector<int64_t>{300, 2111})
    for (const int64_t k : {int64_t{1}, int64_t{10}, int64_t{77}, n}) {
      CandidatesArgs args{};
      args.batch = races::rows(run, 5, n);
      args.k = k;
      args.token = run.output<int64_t>(5 * k);
      args.log_p = run.output<double>(5 * k);
      args.status = run.output<int64_t>(5);
      run.call(std::to_string(k) + " of " + std::to_string(n), cuda::launch_candidates, args);
    }
}
