// The kept set of one row and its masses. Included inside the namespace of each build, after
// row_stages.h.

// tau = 0: the most probable token, lowest id on a tie.
template <class T>
int64_t first_at_top(const RowInput<T>& in, const Workspace& ws) {
  const Row<T> row(in, const_cast<Workspace&>(ws));
  for (int64_t b = 0; b < row.blocks; ++b) {
    if (ws.block_max[b] != ws.top) continue;
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      const uint32_t hit = Simd::lanes(Simd::equal(row.lanes(b, v), Simd::set(ws.top)));
      if (hit) return b * kBlock + v + __builtin_ctz(hit);
    }
  }
  return -1;
}

// What of the row's base law a cut without a kept set has to say.
inline RowCut cut_nothing(Workspace& ws, bool edited) {
  RowCut cut{ws.status, KeptAs::kAll, {}};
  if (edited && ws.status == core::kNoToken) {
    cut.masses.top = ws.base_top;
    cut.masses.base = ws.base_sums.mass;
    cut.masses.base_e = ws.base_sums.entropy;
  }
  return cut;
}

// The logit of an existing token as it came, from the maximum of these.
template <class T>
double gap_of(const RowInput<T>& in, const core::RowMasses& r, int64_t id) {
  return static_cast<double>(static_cast<float>(in.x[id])) - core::base_top(r);
}

// The list is the kept set: weighs it for the draw, relative to its own maximum if it is far below
// the row's. `kept` are its sums relative to the row's maximum.
inline void settle_list(Workspace& ws, const core::Rule& rule, Sums kept, core::RowMasses& r) {
  r.kept_units = kept.mass;
  if (kept.mass < core::kFarMass) {
    r.kept_top = r.high;
    kept = weigh_list(ws, rule.scale, r.kept_top);
  }
  r.kept = kept.mass;
  r.kept_e = kept.entropy;
}

// Gives a rule of dynamic temperature that of the row.
template <class T>
void temper_row(const RowInput<T>& in, Workspace& ws, core::Rule& rule) {
  weigh_row(in, ws, core::Rule(), false);
  const Sums& all = ws.base;
  rule.set_temperature(core::row_temperature(rule, all.mass, all.entropy, ws.count));
}

template <class T>
RowCut cut_as_it_is(const RowInput<T>& in, Workspace& ws, core::Rule& rule) {
  RowCut cut{ws.status, KeptAs::kAll, {}};
  if (rule.dynamic()) temper_row(in, ws, rule);
  const bool all = !rule.truncates(ws.count);
  core::RowMasses& r = cut.masses;
  ws.collect_from = FLT_MAX;
  ws.squares_known = false;
  if (!all && cut_wide(in, ws, rule, r)) {
    cut.kept_as = KeptAs::kInterval;
  } else if (!all) {
    plan_collection(in, ws, rule);
  }
  weigh_row(in, ws, rule, all || (rule.needs_entropy() && !rule.cut_base));
  r.top = r.kept_top = ws.top;
  r.base = ws.base.mass;
  r.base_e = ws.base.entropy;
  if (rule.greedy()) {
    r.scaled = r.kept = r.kept_units = core::kMassOne;
    r.n_kept = 1;
    r.low = r.high = ws.top;
    r.greedy_token = first_at_top(in, ws);
    return cut;
  }
  const Sums& scaled = rule.scale.identity ? ws.base : ws.scaled;
  r.scaled = scaled.mass;
  if (cut.kept_as == KeptAs::kInterval) return cut;
  if (all) {
    r.kept = r.kept_units = scaled.mass;
    r.kept_e = scaled.entropy;
    r.n_kept = ws.count;
    r.low = -FLT_MAX;
    r.high = FLT_MAX;
    return cut;
  }
  Cutter<T> cutter(in, ws, rule);
  cutter.run();
  cut.kept_as = KeptAs::kList;
  r.n_kept = ws.list_size;
  list_range(ws, r.low, r.high);
  const bool other_law = rule.cut_base && !rule.scale.identity;
  const Sums decided{cutter.survivors().mass, cutter.survivors().entropy};
  settle_list(ws, rule, other_law ? weigh_list(ws, rule.scale, ws.top) : decided, r);
  return cut;
}

template <class T>
RowCut cut_row(const RowInput<T>& in, Workspace& ws, core::Rule& rule) {
  if (ws.status != core::kOk) return cut_nothing(ws, in.edited != nullptr);
  RowCut cut = cut_as_it_is(in, ws, rule);
  if (!in.edited) return cut;
  core::RowMasses& r = cut.masses;
  restore_base(ws, r);
  if (rule.greedy()) {
    r.greedy_gap = gap_of(in, r, r.greedy_token);
  } else {
    r.moved = moved_between(ws, rule, r);
  }
  return cut;
}
