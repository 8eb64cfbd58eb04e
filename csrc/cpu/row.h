// One row, block by block, and small helpers. Included inside the namespace of each build, after
// its Simd.

// Own small helpers: a std algorithm instantiated under a target pragma could be linked into
// another build.
template <class V>
V smaller(V a, V b) {
  return b < a ? b : a;
}
template <class V>
V larger(V a, V b) {
  return a < b ? b : a;
}

inline double as_double(uint64_t v) { return static_cast<double>(v); }

using core::float_at_least;
using core::float_at_most;

template <class T>
struct Row {
  const RowInput<T>& in;
  const T* tail;  // the last, short block, padded with -inf and masked
  int64_t whole;  // blocks that are read from the row itself
  int64_t blocks;
  bool plain;  // neither masked nor edited

  Row(const RowInput<T>& input, Workspace& ws)
      : in(input),
        tail(reinterpret_cast<const T*>(ws.tail)),
        whole(input.n / kBlock),
        blocks((input.n + kBlock - 1) / kBlock),
        plain(!input.mask.flags && !input.mask.bits && !input.edited) {}

  // Asks for the same block of the row to come, while this one keeps the arithmetic busy.
  void prefetch_next(int64_t block) const {
    if (!in.next || block >= whole) return;
    const auto* p = reinterpret_cast<const char*>(in.next + block * kBlock);
    for (size_t line = 0; line < kBlock * sizeof(T); line += 64) __builtin_prefetch(p + line, 0, 2);
  }

  Simd::F lanes(int64_t block, int64_t lane) const {
    if (in.edited && in.edited[block]) return Simd::load(in.edited[block] + lane);
    if (block == whole) return Simd::load(tail + lane);
    const int64_t id = block * kBlock + lane;
    const Simd::F x = Simd::load(in.x + id);
    if (plain) return x;
    if (in.mask.flags) return Simd::allow(x, in.mask.flags + id);
    if (in.mask.bits) return Simd::allow_bits(x, in.mask.bits, id);
    return x;
  }

  // Calls body(x) with the 64 logits of a block where they lie, or written out: what there is to
  // ask about a block (its end, an edit, a mask) is asked once, not for every vector. `body` must
  // be inlined: its sums live in registers.
  template <class Body>
  void visit(int64_t block, const Body& body) const {
    float out[kBlock];
    if constexpr (std::is_same_v<T, float>) {
      body(found(block, out));
    } else if (plain || !(in.mask.flags || in.mask.bits || in.edited[block])) {
      body(block == whole ? tail : in.x + block * kBlock);
    } else {
      body(found(block, out));
    }
  }

 private:
  const float* found(int64_t block, float* out) const {
    if (in.edited && in.edited[block]) return in.edited[block];
    if constexpr (std::is_same_v<T, float>) {
      if (block == whole) return tail;
      if (plain || !(in.mask.flags || in.mask.bits)) return in.x + block * kBlock;
    }
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) Simd::store(out + v, lanes(block, v));
    return out;
  }
};

template <class T>
void fill_tail(const RowInput<T>& in, Workspace& ws) {
  T* tail = reinterpret_cast<T*>(ws.tail);
  const int64_t first = in.n / kBlock * kBlock;
  for (int64_t i = 0; i < kBlock; ++i) {
    const int64_t id = first + i;
    const bool exists = id < in.n && in.mask.allows(id);
    tail[i] = exists ? in.x[id] : static_cast<T>(-INFINITY);
  }
}

// Calls body(first, last) on ranges that cover [0, n), whole multiples of `unit` but for the last:
// one range, or one for each member of the team.
template <class Body>
void for_ranges(const Team& team, int64_t n, int64_t unit, Body& body) {
  if (team.parts <= 1 || !team.run) {
    body(int64_t{0}, n, 0);
    return;
  }
  struct Context {
    Body* body;
    int64_t n, step;
  };
  const int64_t units = (n + unit - 1) / unit;
  Context context{&body, n, (units + team.parts - 1) / team.parts * unit};
  team.run(team.parts, &context, [](void* opaque, int part) {
    auto& c = *static_cast<Context*>(opaque);
    const int64_t first = smaller(c.n, part * c.step);
    (*c.body)(first, smaller(c.n, first + c.step), part);
  });
}
