#include "cuda/smc_resample.cu"

#include "races.h"

using namespace aligndec;

// More particles than a block has threads; every scheme, and filters that are not due.
void cases(races::Run& run) {
  const int64_t filters = 3, n = 200;
  for (const int scheme : {0, 1, 2, 3})
    for (const double threshold : {1.0, 0.01}) {
      SmcResampleArgs args{};
      args.log_weight = run.normals(filters * n);
      args.filters = filters;
      args.n = n;
      args.threshold = threshold;
      args.scheme = scheme;
      args.bits.seed = 3;
      args.ancestor = run.output<int64_t>(filters * n);
      args.ess = run.output<double>(filters);
      args.log_mean = run.output<double>(filters);
      args.due = run.output<bool>(filters);
      args.keys = run.input<core::u128>(filters * n, [](int64_t) { return core::u128{0}; });
      args.copies = run.input<uint32_t>(filters * n, [](int64_t) { return 0; });
      const std::string when = threshold < 1.0 ? ", not due" : "";
      run.call("scheme " + std::to_string(scheme) + when, cuda::launch_smc_resample, args);
    }
}
