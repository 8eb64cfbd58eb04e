// Kept sets as ids: a given one in place of the stages, and the ids of one that was found. Included
// inside the namespace of each build, after row_cut.h.

// The logits of the given tokens as the list, -inf where one does not exist: it weighs nothing and
// is never drawn.
template <class T>
void gather_given(const RowInput<T>& in, Workspace& ws, const SparseRow& given) {
  int64_t size = 0;
  for (; size < given.size && given.ids[size] < in.n; ++size) {
    const int64_t id = given.ids[size];
    if (in.edited && in.edited[id / kBlock]) {
      ws.list_x[size] = in.edited[id / kBlock][id % kBlock];
    } else {
      ws.list_x[size] = in.mask.allows(id) ? static_cast<float>(in.x[id]) : -INFINITY;
    }
  }
  ws.list_size = size;
}

// By how much the bias moved the tokens of the list, each by its weight.
template <class T>
double moved_in_list(const RowInput<T>& in, const Workspace& ws, const SparseRow& given) {
  double moved = 0.0;
  for (int64_t i = 0; i < ws.list_size; ++i) {
    const int64_t id = given.ids[i];
    if (!in.edited[id / kBlock] || !(ws.list_x[i] > -INFINITY)) continue;
    const auto x = static_cast<float>(in.x[id]);
    moved += as_double(ws.list_weight[i]) * (static_cast<double>(ws.list_x[i]) - x);
  }
  return moved;
}

// The kept set is what exists of the given ids.
template <class T>
RowCut cut_given(const RowInput<T>& in, Workspace& ws, core::Rule& rule, const SparseRow& given) {
  if (ws.status != core::kOk) return cut_nothing(ws, in.edited != nullptr);
  if (rule.dynamic()) temper_row(in, ws, rule);
  RowCut cut{ws.status, KeptAs::kList, {}, given.ids};
  core::RowMasses& r = cut.masses;
  ws.collect_from = FLT_MAX;
  weigh_row(in, ws, rule, false);
  r.top = r.kept_top = ws.top;
  r.base = ws.base.mass;
  r.base_e = ws.base.entropy;
  if (in.edited) restore_base(ws, r);
  gather_given(in, ws, given);
  r.n_kept = count_between(ws.list_x, ws.list_size, -FLT_MAX, FLT_MAX);
  if (r.n_kept == 0) {
    cut.status = core::kNoToken;
    return cut;
  }
  list_range(ws, r.low, r.high);
  if (rule.greedy()) {
    int64_t first = 0;
    while (ws.list_x[first] != r.high) ++first;
    r.scaled = r.kept = r.kept_units = core::kMassOne;
    r.n_kept = 1;
    r.low = r.high;
    r.greedy_token = given.ids[first];
    r.greedy_gap = gap_of(in, r, r.greedy_token);
    return cut;
  }
  r.scaled = (rule.scale.identity ? ws.base : ws.scaled).mass;
  settle_list(ws, rule, weigh_list(ws, rule.scale, ws.top), r);
  if (in.edited) r.moved = moved_in_list(in, ws, given);
  return cut;
}

// The ids of the tokens in [low, high]; blocks whose maximum lies below are not read.
template <class T>
int64_t list_ids(const RowInput<T>& in, const Workspace& ws, float low, float high, int32_t* out) {
  const Row<T> row(in, const_cast<Workspace&>(ws));
  const Simd::F lo = Simd::set(low), hi = Simd::set(high);
  int64_t size = 0;
  for (int64_t b = 0; b < row.blocks; ++b) {
    if (ws.block_max[b] < low) continue;
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      uint32_t kept = Simd::lanes(Simd::between(row.lanes(b, v), lo, hi));
      for (const auto first = static_cast<int32_t>(b * kBlock + v); kept != 0; kept &= kept - 1)
        out[size++] = first + __builtin_ctz(kept);
    }
  }
  return size;
}
