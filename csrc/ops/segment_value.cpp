// Values from rollouts: checks, allocation and launch.
#include "ops/segment_value.h"

#include "checks.h"
#include "device.h"
#include "launch/segment_value.h"

namespace aligndec {

std::tuple<Tensor, Tensor, Tensor> segment_value(const Tensor& rewards,
                                                 const OptionalTensor& log_ratio, int64_t mode) {
  constexpr const char* kOp = "segment_value";
  ALIGNDEC_CHECK(rewards.dim() == 2 && rewards.size(1) >= 1, kOp,
                 ": rewards must be [G, N >= 1], got ", rewards.sizes());
  check_doubles(kOp, "rewards", rewards, rewards.sizes(), rewards);
  if (log_ratio) check_doubles(kOp, "log_ratio", *log_ratio, rewards.sizes(), rewards);
  ALIGNDEC_CHECK(0 <= mode && mode <= 2 && (log_ratio || mode == 0), kOp,
                 ": mode must be 0, or 1 or 2 with log_ratio, got ", mode);
  const int64_t segments = rewards.size(0);
  const Tensor value = empty({segments}, ScalarType::Double, rewards);
  const Tensor ess = empty({segments}, ScalarType::Double, rewards);
  const Tensor log_c = empty({segments}, ScalarType::Double, rewards);
  SegmentValueArgs args{};
  args.rewards = rewards.const_data_ptr<double>();
  args.log_ratio = const_data_or_null<double>(log_ratio);
  args.segments = segments;
  args.n = rewards.size(1);
  args.mode = static_cast<int>(mode);
  args.value = value.mutable_data_ptr<double>();
  args.ess = ess.mutable_data_ptr<double>();
  args.log_c = log_c.mutable_data_ptr<double>();
  launch<cpu::launch_segment_value, cuda::launch_segment_value>(rewards, args);
  return {value, ess, log_c};
}

}  // namespace aligndec
