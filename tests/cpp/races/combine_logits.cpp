#include "cuda/combine_logits.cu"

#include "races.h"

using namespace aligndec;

void cases(races::Run& run) {
  const RowBatch x = races::rows(run, 5, 700);
  const CombineTerm terms[] = {{x.logits, x.type, x.stride, 1.0}, {x.logits, x.type, 0, -0.5}};
  const CombineArgs args{terms, 2, x.rows, x.n, run.output<double>(x.rows * x.n)};
  run.call("two terms", cuda::launch_combine_logits, args);
}
