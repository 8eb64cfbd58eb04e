#include "cuda/rescore.cu"

#include "races.h"

using namespace aligndec;

void cases(races::Run& run) {
  const int64_t count = 70, k = 10;
  RescoreArgs args{};
  args.log_p = run.normals(count * k);
  args.value = run.normals(count * k);
  args.alpha = run.input<double>(count, [](int64_t i) { return 0.01 * (1.0 + i); });
  args.rows = count;
  args.k = k;
  args.alpha_stride = 1;
  args.index = run.output<int64_t>(count);
  args.log_ref = run.output<double>(count);
  args.log_alg = run.output<double>(count);
  args.kl = run.output<double>(count);
  run.call("choices", cuda::launch_rescore, args);
}
