// The exact cut of a wide set, found inside the band that was watched. Included inside the
// namespace of each build, after row_watch.h.

// Moves the undecided tokens to the list, weighs them and finds the exact interval. False: the
// guess was wrong.
inline bool settle_band(Workspace& ws, const core::Rule& rule, core::Stage stage, const Band& band,
                        float& low, float& high) {
  const Sums& all = rule.scale.identity ? ws.base : ws.scaled;
  const core::Survivors s{all.mass, all.entropy, ws.top, ws.count};
  const int64_t chunks = ws.chunks;
  ws.list_size = chunks == 0 ? 0 : ws.band_end[chunks - 1];
  memcpy(ws.list_x, ws.band_x, static_cast<size_t>(ws.list_size) * sizeof(float));
  weigh_list(ws, rule.scale, ws.top);
  high = FLT_MAX;
  if (stage == core::kTopP) {
    const uint64_t limit = core::prefix_limit(rule, stage, s);
    if (ws.inside.mass >= limit) return false;
    const Prefix p = list_prefix(ws, true, limit - ws.inside.mass, descending_key);
    low = from_descending_key(p.bound);
    if (!p.reached) return false;
  } else if (stage == core::kTypical) {
    const uint64_t limit = core::prefix_limit(rule, stage, s);
    const double centre = core::typical_centre(rule, s, ws.top);
    const TypicalKey key_of{centre};
    if (ws.inside.mass >= limit || !(band.inner_low <= centre && centre <= band.inner_high))
      return false;
    const Prefix p = list_prefix(ws, true, limit - ws.inside.mass, key_of);
    // All that is inside must be closer than the last one kept, all that was left out farther.
    if (!p.reached || p.bound <= larger(key_of(band.inner_low), key_of(band.inner_high)) ||
        p.bound >= smaller(key_of(band.low), key_of(band.high)))
      return false;
    typical_interval(centre, core::bit_cast<double>(p.bound), low, high);
  } else if (stage == core::kTopH) {
    const core::EntropyTerms terms(s.mass);
    const core::u128 limit = core::floor_scaled(rule.top_h, terms.of(s.mass, s.entropy));
    float end;
    if (terms.of(ws.inside.mass, ws.inside.entropy) > limit || ws.list_size == 0 ||
        !EntropyPrefix(ws, rule.scale, terms, ws.inside, limit).end(end))
      return false;
    low = smaller(nextafterf(end, INFINITY), ws.top);
  } else if (stage == core::kPLess) {
    const SquareCuts cuts(ws, rule, s);
    low = float_at_least(cuts.low);
    if (low < band.low || float_at_least(cuts.high) > band.inner_low) return false;
    for (int64_t i = 0; i < ws.list_size; ++i)
      if (ws.list_x[i] >= low && static_cast<double>(ws.list_x[i]) < cuts.high) return false;
  } else {
    low = float_at_least(core::closed_cut(rule, stage, s, ws.top));
    if (low < band.low || low > band.inner_low) return false;
  }
  narrow(ws, low, high);
  return true;
}

// The pass that serves a rule whose only stage this is.
template <class T>
auto watch_of(const Workspace& ws, const core::Rule& rule, core::Stage stage) {
  constexpr Watched kMass = Watched::kMass, kSquares = Watched::kSquares;
  const auto of_laws = [&](auto base, auto both, auto scaled) {
    return rule.scale.identity ? base : ws.base_known ? scaled : both;
  };
  if (stage == core::kTypical)
    return of_laws(&watch_row<T, Laws::kBase, true, kMass>, &watch_row<T, Laws::kBoth, true, kMass>,
                   &watch_row<T, Laws::kScaled, true, kMass>);
  if (stage == core::kPLess)
    return of_laws(&watch_row<T, Laws::kBase, false, kSquares>,
                   &watch_row<T, Laws::kBoth, false, kSquares>,
                   &watch_row<T, Laws::kScaled, false, kSquares>);
  return of_laws(stage == core::kTopH ? &watch_row<T, Laws::kBase, false, Watched::kEntropy>
                                      : &watch_row<T, Laws::kBase, false, kMass>,
                 &watch_row<T, Laws::kBoth, false, kMass>,
                 &watch_row<T, Laws::kScaled, false, kMass>);
}

// The kept set of a wide row; false when a list should be used.
template <class T>
bool cut_wide(const RowInput<T>& in, Workspace& ws, const core::Rule& rule, core::RowMasses& r) {
  Band band;
  const core::Stage stage = single_cut(rule);
  if (stage == core::kStages || !can_plan(ws, rule, in.n) || !is_flat(ws, rule.tau, in.n) ||
      !Forecast<T>(in, ws, rule).band(stage, band))
    return false;
  (*watch_of<T>(ws, rule, stage))(in, ws, rule, band);
  if (!settle_band(ws, rule, stage, band, r.low, r.high)) return false;
  const Sums undecided = weigh_list(ws, rule.scale, ws.top);
  r.kept = r.kept_units = ws.inside.mass + undecided.mass;
  r.kept_e = ws.inside.entropy + undecided.entropy;
  r.n_kept = ws.inside_count + ws.list_size;
  return r.kept >= core::kFarMass;
}
