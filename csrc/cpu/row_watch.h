// Wide kept sets in one pass. A list pays as long as few tokens are kept; where a sample says that
// the first and only stage keeps a good part of the row, it also says where the cut must lie, give
// or take. The pass that weighs the row then adds up what is certainly kept and collects the band
// in between, and the exact cut, known after the pass, is found inside the band. A guess that the
// integers do not confirm is dropped, and the list takes over. Included inside the namespace of
// each build, after row_plan.h.

// What a stage asks for besides the mass of what is inside.
enum class Watched { kMass, kEntropy, kSquares };
// What is weighed: the base law, the scaled one as well, or that alone (the base law is known).
enum class Laws { kBase, kBoth, kScaled };

// Weighs the row as weigh_blocks does and watches the law that decides: the scaled one, or the base
// law at temperature 1.
template <class T, Laws kLaws, bool kTwoSided, Watched kWatched>
void watch_row(const RowInput<T>& in, Workspace& ws, const core::Rule& rule, const Band& band) {
  constexpr bool kBase = kLaws != Laws::kScaled, kScaled = kLaws != Laws::kBase;
  const Row<T> row(in, ws);
  const Weighing weighing(ws.top, rule.scale);
  const Simd::F low = Simd::set(band.low), high = Simd::set(band.high);
  const Simd::F inner_low = Simd::set(band.inner_low), inner_high = Simd::set(band.inner_high);
  if constexpr (kBase) ws.base = Sums{};
  ws.scaled = ws.inside = Sums{};
  ws.inside_count = 0;
  ws.squares = 0.0;
  int64_t size = 0;
  for (int64_t chunk = 0, at = 0; chunk < row.blocks; chunk += kChunk / kBlock, ++at) {
    MassSum base, scaled, inside;
    const int64_t end = smaller(row.blocks, chunk + kChunk / kBlock);
    int64_t inside_lanes = 0;
    for (int64_t b = chunk; b < end; ++b) {
      Simd::F square = Simd::set(0.0f);
      row.visit(b, [&](const auto* logits) __attribute__((always_inline)) {
        for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
          const Simd::F x = Simd::load(logits + v);
          const auto within = [x](Simd::F from, Simd::F to) {
            return kTwoSided ? Simd::between(x, from, to) : Simd::at_least(x, from);
          };
          const auto inner = within(inner_low, inner_high), outer = within(low, high);
          inside_lanes += __builtin_popcount(Simd::lanes(inner));
          Simd::F weight;
          if constexpr (kScaled) {
            if constexpr (kBase) base.template add<true>(weighing.gap<false>(x));
            weight = scaled.template add_watched<true>(weighing.gap<true>(x), inside, inner);
          } else {
            weight = base.template add_watched<kWatched == Watched::kEntropy>(
                weighing.gap<false>(x), inside, inner);
          }
          if constexpr (kWatched == Watched::kSquares) square = Simd::fma(weight, weight, square);
          size += Simd::compress(ws.band_x + size, x, Simd::but_not(outer, inner));
        }
      });
      if constexpr (kWatched == Watched::kSquares)
        ws.squares += static_cast<double>(Simd::reduce_add(square));
    }
    const int64_t lanes = (end - chunk) * kBlock;
    if constexpr (kBase) {
      ws.base_chunks[at] = MassSum::total(base.mass, lanes);
      ws.base.mass += ws.base_chunks[at];
      ws.base.entropy += MassSum::total(base.entropy, lanes);
    }
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
