// Wide kept sets in one pass. A list pays as long as few tokens are kept; where a sample says that
// the first and only stage keeps a good part of the row, it also says where the cut must lie, give
// or take. The pass that weighs the row then adds up what is certainly kept and collects the band
// in between, and the exact cut, known after the pass, is found inside the band. A guess that the
// integers do not confirm is dropped, and the list takes over. Included inside the namespace of
// each build, after row_plan.h.

// What a stage asks for besides the mass of what is inside.
enum class Watched { kMass, kEntropy, kSquares };

// Weighs the row as weigh_blocks does and watches the law that decides: the scaled one, or the base
// law at temperature 1.
template <class T, bool kScaled, bool kTwoSided, Watched kWatched>
void watch_row(const RowInput<T>& in, Workspace& ws, const core::Rule& rule, const Band& band) {
  const Row<T> row(in, ws);
  const Weighing weighing(ws.top, rule.scale);
  const Simd::F low = Simd::set(band.low), high = Simd::set(band.high);
  const Simd::F inner_low = Simd::set(band.inner_low), inner_high = Simd::set(band.inner_high);
  ws.base = ws.scaled = ws.inside = Sums{};
  ws.inside_count = 0;
  ws.squares = 0.0;
  int64_t size = 0;
  for (int64_t chunk = 0, at = 0; chunk < row.blocks; chunk += kChunk / kBlock, ++at) {
    MassSum base, scaled, inside;
    const int64_t end = smaller(row.blocks, chunk + kChunk / kBlock);
    int64_t inside_lanes = 0;
    for (int64_t b = chunk; b < end; ++b) {
      Simd::F square = Simd::set(0.0f);
      for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
        const Simd::F x = row.lanes(b, v);
        const auto within = [x](Simd::F from, Simd::F to) {
          return kTwoSided ? Simd::between(x, from, to) : Simd::at_least(x, from);
        };
        const auto inner = within(inner_low, inner_high), outer = within(low, high);
        inside_lanes += __builtin_popcount(Simd::lanes(inner));
        Simd::F weight;
        if constexpr (kScaled) {
          base.template add<true>(weighing.gap<false>(x));
          weight = scaled.template add_watched<true>(weighing.gap<true>(x), inside, inner);
        } else {
          weight = base.template add_watched<kWatched == Watched::kEntropy>(weighing.gap<false>(x),
                                                                            inside, inner);
        }
        if constexpr (kWatched == Watched::kSquares) square = Simd::fma(weight, weight, square);
        size += Simd::compress(ws.band_x + size, x, Simd::but_not(outer, inner));
      }
      if constexpr (kWatched == Watched::kSquares)
        ws.squares += static_cast<double>(Simd::reduce_add(square));
    }
    const int64_t lanes = (end - chunk) * kBlock;
    ws.base_chunks[at] = MassSum::total(base.mass, lanes);
    ws.base.mass += ws.base_chunks[at];
    ws.base.entropy += MassSum::total(base.entropy, lanes);
    ws.inside_chunks[at] = MassSum::total(inside.mass, inside_lanes);
    ws.inside.mass += ws.inside_chunks[at];
    if constexpr (kScaled) {
      ws.scaled_chunks[at] = MassSum::total(scaled.mass, lanes);
      ws.scaled.mass += ws.scaled_chunks[at];
      ws.scaled.entropy += MassSum::total(scaled.entropy, lanes);
    }
    if constexpr (kScaled || kWatched == Watched::kEntropy)
      ws.inside.entropy += MassSum::total(inside.entropy, inside_lanes);
    ws.inside_count += inside_lanes;
    ws.band_end[at] = size;
  }
  ws.base_known = true;
  ws.squares_known = kWatched == Watched::kSquares;
  if constexpr (kScaled) {
    ws.scaled_known = ws.scaled_entropy_known = true;
    ws.scaled_at = rule.scale;
  }
}

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
    const uint64_t limit = core::ceil_scaled(rule.top_p, s.mass);
    if (ws.inside.mass >= limit) return false;
    const Prefix p = list_prefix(ws, true, limit - ws.inside.mass, descending_key);
    low = from_descending_key(p.bound);
    if (!p.reached) return false;
  } else if (stage == core::kTypical) {
    const uint64_t limit = core::ceil_scaled(rule.typical_p, s.mass);
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

// The kept set of a wide row; false when a list should be used.
template <class T>
bool cut_wide(const RowInput<T>& in, Workspace& ws, const core::Rule& rule, core::RowMasses& r) {
  Band band;
  const core::Stage stage = single_cut(rule);
  if (stage == core::kStages || !can_plan(ws, rule, in.n) || !is_flat(ws, rule.tau, in.n) ||
      !Forecast<T>(in, ws, rule).band(stage, band))
    return false;
  const bool scaled = !rule.scale.identity;
  constexpr Watched kMass = Watched::kMass, kSquares = Watched::kSquares;
  auto* watch = scaled ? watch_row<T, true, false, kMass> : watch_row<T, false, false, kMass>;
  if (stage == core::kTypical) {
    watch = scaled ? watch_row<T, true, true, kMass> : watch_row<T, false, true, kMass>;
  } else if (stage == core::kPLess) {
    watch = scaled ? watch_row<T, true, false, kSquares> : watch_row<T, false, false, kSquares>;
  } else if (stage == core::kTopH && !scaled) {
    watch = watch_row<T, false, false, Watched::kEntropy>;
  }
  watch(in, ws, rule, band);
  if (!settle_band(ws, rule, stage, band, r.low, r.high)) return false;
  const Sums undecided = weigh_list(ws, rule.scale, ws.top);
  r.kept = r.kept_units = ws.inside.mass + undecided.mass;
  r.kept_e = ws.inside.entropy + undecided.entropy;
  r.n_kept = ws.inside_count + ws.list_size;
  return true;
}
