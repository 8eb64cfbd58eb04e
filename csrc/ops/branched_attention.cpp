// Attention of rows that continue a few prefixes: checks, allocation and launch. CPU only:
// elsewhere torch's products of batches of matrices are used (aligndec/reference/attention.py).
#include "ops/branched_attention.h"

#include <algorithm>
#include <vector>

#include "checks.h"
#include "launch/branched_attention.h"

namespace aligndec {
namespace {

constexpr const char* kOp = "branched_attention";

// A float32 tensor [sizes] on the CPU whose last stride is 1.
AttentionInput input(const char* name, const Tensor& t, IntArrayRef sizes) {
  ALIGNDEC_CHECK(t.scalar_type() == ScalarType::Float && t.is_cpu() && t.sizes().equals(sizes) &&
                     (t.stride(3) == 1 || t.size(3) == 1 || t.numel() == 0),
                 kOp, ": ", name, " must be float32 ", sizes,
                 " on the CPU with last stride 1, got ", t.scalar_type(), " ", t.sizes(),
                 " with strides ", t.strides(), " on ", t.device());
  return {t.const_data_ptr<float>(), t.stride(0), t.stride(1), t.stride(2)};
}

AttentionMask masked(const OptionalTensor& mask, IntArrayRef sizes) {
  if (!mask) return {};
  const Tensor& m = *mask;
  bool fits = m.dim() == 4 && m.is_cpu() && (m.stride(3) == 1 || m.size(3) == 1);
  fits = fits && (m.scalar_type() == ScalarType::Bool || m.scalar_type() == ScalarType::Float);
  for (int64_t i = 0; fits && i < 4; ++i) fits = m.size(i) == sizes[i] || (m.size(i) == 1 && i < 3);
  ALIGNDEC_CHECK(fits, kOp,
                 ": mask must be bool or float32, broadcastable to [rows, heads, length, "
                 "columns] = ",
                 sizes, " with last stride 1 and all columns, got ", m.scalar_type(), " ",
                 m.sizes());
  const auto step = [&](int64_t i) { return m.size(i) == 1 ? 0 : m.stride(i); };
  const bool flags = m.scalar_type() == ScalarType::Bool;
  return {flags ? m.const_data_ptr<bool>() : nullptr, flags ? nullptr : m.const_data_ptr<float>(),
          step(0), step(1), step(2)};
}

void check_branches(const Tensor& order, const Tensor& start, int64_t rows, int64_t prefixes,
                    const Tensor& query) {
  check_vector(kOp, "order", order, ScalarType::Long, rows, query);
  check_vector(kOp, "start", start, ScalarType::Long, prefixes + 1, query);
  const int64_t* o = order.const_data_ptr<int64_t>();
  const int64_t* s = start.const_data_ptr<int64_t>();
  std::vector<bool> seen(rows, false);
  for (int64_t i = 0; i < rows; ++i) {
    ALIGNDEC_CHECK(0 <= o[i] && o[i] < rows && !seen[o[i]], kOp,
                   ": order must hold each of 0 … rows - 1 = ", rows - 1, " once, got ", o[i]);
    seen[o[i]] = true;
  }
  ALIGNDEC_CHECK(s[0] == 0 && s[prefixes] == rows && std::is_sorted(s, s + prefixes + 1), kOp,
                 ": start must rise from 0 to rows = ", rows);
}

}  // namespace

Tensor branched_attention(const Tensor& query, const Tensor& prefix_keys,
                          const Tensor& prefix_values, const Tensor& keys, const Tensor& values,
                          const Tensor& order, const Tensor& start, const OptionalTensor& mask,
                          double scale) {
  ALIGNDEC_CHECK(query.dim() == 4 && prefix_keys.dim() == 4 && keys.dim() == 4 &&
                     values.dim() == 4 && prefix_values.dim() == 4,
                 kOp, ": query, keys and values must have 4 dimensions");
  BranchedAttentionArgs args{};
  args.rows = query.size(0);
  args.heads = query.size(1);
  args.length = query.size(2);
  args.dim = query.size(3);
  args.value_dim = values.size(3);
  args.prefixes = prefix_keys.size(0);
  args.shared = prefix_keys.size(2);
  args.own = keys.size(2);
  const int64_t kv_heads = keys.size(1);
  ALIGNDEC_CHECK(kv_heads > 0 && args.heads > 0 && args.heads % kv_heads == 0, kOp,
                 ": query must have a multiple of the ", kv_heads, " heads of keys, got ",
                 args.heads);
  args.group = args.heads / kv_heads;
  args.query = input("query", query, {args.rows, args.heads, args.length, args.dim});
  args.prefix_keys =
      input("prefix_keys", prefix_keys, {args.prefixes, kv_heads, args.shared, args.dim});
  args.prefix_values =
      input("prefix_values", prefix_values, {args.prefixes, kv_heads, args.shared, args.value_dim});
  args.keys = input("keys", keys, {args.rows, kv_heads, args.own, args.dim});
  args.values = input("values", values, {args.rows, kv_heads, args.own, args.value_dim});
  args.mask = masked(mask, {args.rows, args.heads, args.length, args.shared + args.own});
  args.scale = static_cast<float>(scale);
  check_branches(order, start, args.rows, args.prefixes, query);
  args.order = order.const_data_ptr<int64_t>();
  args.start = start.const_data_ptr<int64_t>();
  const Tensor out =
      empty({args.rows, args.heads, args.length, args.value_dim}, ScalarType::Float, query);
  args.out = out.mutable_data_ptr<float>();
  cpu::launch_branched_attention(args);
  return out;
}

}  // namespace aligndec
