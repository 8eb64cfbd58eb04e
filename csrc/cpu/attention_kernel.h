// softmax(query · keysᵀ · scale + mask) · values for the queries of one prefix. Included once per
// instruction set, inside its namespace and under its target pragma, after attention_products.h.
//
// A lane is a query. Then every number of a prefix is read where it lies and multiplied with all
// queries at once, and maximum, exponential and sum of a query's weights never leave its lane. A
// row's own columns serve its few queries only: there the lanes lie along the columns' entries.
// What a query gets does not depend on the others: one bad row harms no other, and no sum depends
// on the batch.

// The buffers of a block, and where its queries lie.
struct AttentionWork {
  const BranchedAttentionArgs& args;
  const AttentionBlock& block;
  float *asked, *asked_across, *scores, *found, *found_across;

  AttentionWork(const BranchedAttentionArgs& a, const AttentionBlock& b, float* scratch)
      : args(a), block(b) {
    asked = scratch;                                       // [queries, dim], scaled
    asked_across = asked + kQueries * args.dim;            // [dim, queries]
    scores = asked_across + kQueries * args.dim;           // [columns, queries]
    found = scores + kQueries * (args.shared + args.own);  // [queries, value_dim]
    found_across = found + kQueries * args.value_dim;      // [value_dim, queries]
  }
  static int64_t size(const BranchedAttentionArgs& a) {
    return kQueries * (2 * a.dim + a.shared + a.own + 2 * a.value_dim);
  }

  struct Place {
    int64_t row, head, token;
  };
  Place place(int64_t q) const {
    const int64_t i = block.first + q, each = args.group * args.length;
    const int64_t row = args.order[args.start[block.prefix] + i / each], in_row = i % each;
    return {row, block.kv_head * args.group + in_row / args.length, in_row % args.length};
  }

  void ask() {
    for (int64_t q = 0; q < kQueries; ++q) {
      if (q < block.count) {
        const Place at = place(q);
        const float* from = args.query.at(at.row, at.head, at.token);
        for (int64_t i = 0; i < args.dim; ++i) asked[q * args.dim + i] = from[i] * args.scale;
      }
      for (int64_t i = 0; i < args.dim; ++i)
        asked_across[i * kQueries + q] = q < block.count ? asked[q * args.dim + i] : 0.0f;
    }
  }
  // How many queries from q on belong to the same row, at most `most`.
  int64_t same_row(int64_t q, int64_t most) const {
    const int64_t each = args.group * args.length, left = each - (block.first + q) % each;
    return std::min({left, block.count - q, most});
  }
  void score_own() {
    float* to = scores + args.shared * kQueries;
    for (int64_t q = 0; q < block.count;) {
      const float *from = asked + q * args.dim,
                  *keys = args.keys.at(place(q).row, block.kv_head, 0);
      const int64_t step = args.keys.token, many = same_row(q, 4);
      if (many == 4) score_some<4>(from, args.dim, keys, step, args.own, to + q);
      if (many == 3) score_some<3>(from, args.dim, keys, step, args.own, to + q);
      if (many == 2) score_some<2>(from, args.dim, keys, step, args.own, to + q);
      if (many == 1) score_some<1>(from, args.dim, keys, step, args.own, to + q);
      q += many;
    }
    for (int64_t j = 0; j < args.own; ++j)  // lanes without a query
      std::fill(to + j * kQueries + block.count, to + (j + 1) * kQueries, 0.0f);
  }
  void mask() {
    const int64_t columns = args.shared + args.own;
    for (int64_t q = 0; q < block.count; ++q) {
      const Place at = place(q);
      const AttentionMask& m = args.mask;
      const int64_t from = at.row * m.row + at.head * m.head + at.token * m.token;
      float* to = scores + q;
      if (m.added)
        for (int64_t j = 0; j < columns; ++j) to[j * kQueries] += m.added[from + j];
      const bool* next = m.allowed ? m.allowed + from : nullptr;
      const bool* const end = next ? next + columns : nullptr;
      while (next && (next = static_cast<const bool*>(std::memchr(next, 0, end - next)))) {
        to[(next - m.allowed - from) * kQueries] = -INFINITY;
        if (++next == end) break;
      }
    }
  }
  void add_own(int64_t q) {
    const float* v = args.values.at(place(q).row, block.kv_head, 0);
    const float* w = scores + args.shared * kQueries + q;
    float* to = found + q * args.value_dim;
    const int64_t step = args.values.token;
    int64_t i = 0;
    for (; i + 4 * kLanesOfQueries <= args.value_dim; i += 4 * kLanesOfQueries)
      add_weighted<4>(w, v + i, step, args.own, to + i);
    for (; i + kLanesOfQueries <= args.value_dim; i += kLanesOfQueries)
      add_weighted<1>(w, v + i, step, args.own, to + i);
    for (; i < args.value_dim; ++i)
      for (int64_t j = 0; j < args.own; ++j)
        to[i] = __builtin_fmaf(w[j * kQueries], v[j * step + i], to[i]);
  }
};

template <int kVectors>
static void attend_with(AttentionWork& work) {
  const BranchedAttentionArgs& args = work.args;
  const AttentionBlock& block = work.block;
  work.ask();
  multiply<kVectors>(work.asked_across, args.dim,
                     args.prefix_keys.at(block.prefix, block.kv_head, 0), args.prefix_keys.token, 1,
                     args.shared, work.scores);
  work.score_own();
  work.mask();
  float sum[kQueries];
  for (int v = 0; v < kVectors; ++v) {
    const int first = v * kLanesOfQueries;
    Simd::store(sum + first, weigh(work.scores + first, args.shared + args.own));
  }
  multiply<kVectors>(work.scores, args.shared,
                     args.prefix_values.at(block.prefix, block.kv_head, 0), 1,
                     args.prefix_values.token, args.value_dim, work.found_across);
  for (int64_t q = 0; q < block.count; ++q) {
    float* found = work.found + q * args.value_dim;
    for (int64_t i = 0; i < args.value_dim; ++i) found[i] = work.found_across[i * kQueries + q];
    work.add_own(q);
    const AttentionWork::Place at = work.place(q);
    float* out =
        args.out + ((at.row * args.heads + at.head) * args.length + at.token) * args.value_dim;
    const float inverse = sum[q] == 0.0f ? 0.0f : 1.0f / sum[q];  // 0: it may see nothing
    for (int64_t i = 0; i < args.value_dim; ++i) out[i] = found[i] * inverse;
  }
}

static void attend(const BranchedAttentionArgs& args, const AttentionBlock& block, float* scratch) {
  AttentionWork work(args, block, scratch);
  if (block.count > kLanesOfQueries)
    attend_with<2>(work);
  else
    attend_with<1>(work);
}

static AttentionKernel make_attention_kernel() { return {kQueries, &AttentionWork::size, &attend}; }
