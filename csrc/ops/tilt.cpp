// Numbers and roots of tilted laws: checks, allocation and launch.
#include "ops/tilt.h"

#include "checks.h"
#include "device.h"
#include "launch/tilt.h"

namespace aligndec {
namespace {

TiltBatch batch_of(const char* op, const OptionalTensor& log_p, const Tensor& r) {
  const auto check = [&](const char* name, const Tensor& t) {
    ALIGNDEC_CHECK(
        (t.scalar_type() == ScalarType::Float || t.scalar_type() == ScalarType::Double) &&
            t.dim() == 2 && t.size(1) >= 1 && (t.size(1) == 1 || t.stride(1) == 1) &&
            t.scalar_type() == r.scalar_type() && t.sizes().equals(r.sizes()) &&
            t.device() == r.device(),
        op, ": ", name, " must be float32 or float64 [R, V >= 1] of last stride 1, all alike, got ",
        t.scalar_type(), " ", t.sizes());
  };
  check("r", r);
  if (log_p) check("log_p", *log_p);
  TiltBatch batch{};
  batch.log_p = log_p ? log_p->const_data_ptr() : nullptr;
  batch.r = r.const_data_ptr();
  batch.is_double = r.scalar_type() == ScalarType::Double;
  batch.rows = r.size(0);
  batch.n = r.size(1);
  batch.log_p_stride = log_p ? log_p->stride(0) : 0;
  batch.r_stride = r.stride(0);
  return batch;
}

}  // namespace

Tensor tilt_stats(const OptionalTensor& log_p, const Tensor& r, const Tensor& beta) {
  TiltStatsArgs args{};
  args.batch = batch_of("tilt_stats", log_p, r);
  check_doubles("tilt_stats", "beta", beta, {r.size(0), -1}, r);
  const Tensor out = empty({5, beta.size(0), beta.size(1)}, ScalarType::Double, beta);
  args.beta = beta.const_data_ptr<double>();
  args.count = beta.size(1);
  args.out = out.mutable_data_ptr<double>();
  launch<cpu::launch_tilt_stats, cuda::launch_tilt_stats>(r, args);
  return out;
}

std::tuple<Tensor, Tensor> tilt_solve(const OptionalTensor& log_p, const Tensor& r,
                                      const Tensor& target, int64_t kind, bool shared) {
  TiltSolveArgs args{};
  args.batch = batch_of("tilt_solve", log_p, r);
  ALIGNDEC_CHECK(kind >= 0 && kind <= 2 && !(shared && kind == 2),
                 "tilt_solve: kind must be 0 or 1, or 2 without shared, got ", kind);
  check_doubles("tilt_solve", "target", target, {shared ? 1 : r.size(0), -1}, r);
  ALIGNDEC_CHECK(!shared || (target.size(1) == 1 && r.size(0) > 0),
                 "tilt_solve: target must be [1, 1] and r not empty when shared, got ",
                 target.sizes(), " and ", r.sizes());
  const Tensor values = empty({4, r.size(0), target.size(1)}, ScalarType::Double, target);
  const Tensor flags = empty(values.sizes(), ScalarType::Long, values);
  args.target = target.const_data_ptr<double>();
  args.count = target.size(1);
  args.kind = static_cast<TiltKind>(kind);
  args.shared = shared;
  args.values = values.mutable_data_ptr<double>();
  args.flags = flags.mutable_data_ptr<int64_t>();
  Tensor workspace;
  if (shared && r.is_cuda()) {
    workspace = empty({r.size(0), kTiltStateDoubles}, ScalarType::Double, target);
    args.workspace = workspace.mutable_data_ptr<double>();
  }
  launch<cpu::launch_tilt_solve, cuda::launch_tilt_solve>(r, args);
  return {values, flags};
}

}  // namespace aligndec
