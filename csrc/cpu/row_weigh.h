// The pass that weighs a whole row. Included inside the namespace of each build, after row_scan.h
// and row_mass.h.

// Weighs blocks [first, last): the base law, the scaled one, or both in one read. Chunk masses
// serve the draw. `squares`: of the weights, of the scaled law where there is one.
template <class T, bool kBase, bool kScaled, bool kScaledEntropy, bool kCollect, bool kSquares>
void weigh_blocks(const Row<T>& row, Workspace& ws, const core::Scale& scale, double tau,
                  int64_t first, int64_t last, Sums& base, Sums& scaled, double& squares) {
  const Weighing weighing(ws.top, scale);
  const float skip = ws.top + core::kNoMass * static_cast<float>(larger(1.0, tau));
  const Simd::F floor = Simd::set(ws.collect_from);
  int64_t collected = 0;
  for (int64_t chunk = first; chunk < last; chunk += kChunk / kBlock) {
    MassSum base_sum, scaled_sum;
    int64_t added = 0;
    const int64_t end = smaller(last, chunk + kChunk / kBlock);
    for (int64_t b = chunk; b < end; ++b) {
      if (ws.block_max[b] < skip) continue;
      added += kBlock;
      if constexpr (kBase) row.prefetch_next(b);
      Simd::F square = Simd::set(0.0f);
      row.visit(b, [&](const auto* logits) __attribute__((always_inline)) {
        for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
          const Simd::F x = Simd::load(logits + v);
          Simd::F weight;
          if constexpr (kBase) weight = base_sum.template add<true>(weighing.gap<false>(x));
          if constexpr (kScaled)
            weight = scaled_sum.template add<kScaledEntropy>(weighing.gap<true>(x));
          if constexpr (kSquares) square = Simd::fma(weight, weight, square);
          if constexpr (kCollect)
            collected += Simd::compress(ws.list_x + collected, x, Simd::at_least(x, floor));
        }
      });
      if constexpr (kSquares) squares += static_cast<double>(Simd::reduce_add(square));
    }
    const int64_t at = chunk / (kChunk / kBlock);
    if constexpr (kBase) {
      ws.base_chunks[at] = MassSum::total(base_sum.mass, added);
      base.mass += ws.base_chunks[at];
      base.entropy += MassSum::total(base_sum.entropy, added);
    }
    if constexpr (kScaled) {
      ws.scaled_chunks[at] = MassSum::total(scaled_sum.mass, added);
      scaled.mass += ws.scaled_chunks[at];
      if constexpr (kScaledEntropy) scaled.entropy += MassSum::total(scaled_sum.entropy, added);
    }
  }
  if constexpr (kCollect) ws.list_size = collected;
}

template <class T, bool kBase, bool kScaled, bool kScaledEntropy, bool kSquares = false>
void weigh_in_ranges(const Row<T>& row, Workspace& ws, const core::Scale& scale, double tau) {
  Sums base[kMaxParts], scaled[kMaxParts];
  double squares[kMaxParts] = {};
  auto body = [&](int64_t first, int64_t last, int part) {
    if constexpr (kBase) {  // only the first pass over a row collects
      if (ws.collect_from < FLT_MAX)
        return weigh_blocks<T, kBase, kScaled, kScaledEntropy, true, kSquares>(
            row, ws, scale, tau, first, last, base[part], scaled[part], squares[part]);
    }
    weigh_blocks<T, kBase, kScaled, kScaledEntropy, false, kSquares>(
        row, ws, scale, tau, first, last, base[part], scaled[part], squares[part]);
  };
  for_ranges(ws.team, row.blocks, kChunk / kBlock, body);
  Sums base_total, scaled_total;
  for (int i = 0; i < kMaxParts; ++i) {
    base_total.mass += base[i].mass;
    base_total.entropy += base[i].entropy;
    scaled_total.mass += scaled[i].mass;
    scaled_total.entropy += scaled[i].entropy;
  }
  if constexpr (kSquares) {
    ws.squares = 0.0;
    for (double part : squares) ws.squares += part;
    ws.squares_known = true;
  }
  if constexpr (kBase) ws.base = base_total;
  if constexpr (kScaled) ws.scaled = scaled_total;
}

// Makes the masses of the base law, and of the scaled one where it differs, known; keeps what is
// known already.
template <class T>
void weigh_row(const RowInput<T>& in, Workspace& ws, const core::Rule& rule, bool scaled_entropy) {
  scaled_entropy = scaled_entropy || ws.all_entropies;
  const Row<T> row(in, ws);
  const core::Scale& s = rule.scale;
  const bool same = ws.scaled_known && ws.scaled_at.high == s.high && ws.scaled_at.low == s.low &&
                    (ws.scaled_entropy_known || !scaled_entropy);
  const bool scaled = !rule.greedy() && !s.identity && !same;
  const bool squares = rule.has(core::kPLess) && (!scaled || !rule.cut_base);
  if (!ws.base_known && squares && scaled) {
    weigh_in_ranges<T, true, true, true, true>(row, ws, s, rule.tau);
    scaled_entropy = true;
  } else if (!ws.base_known && squares) {
    weigh_in_ranges<T, true, false, false, true>(row, ws, s, 1.0);
  } else if (!ws.base_known && scaled && scaled_entropy) {
    weigh_in_ranges<T, true, true, true>(row, ws, s, rule.tau);
  } else if (!ws.base_known && scaled) {
    weigh_in_ranges<T, true, true, false>(row, ws, s, rule.tau);
  } else if (!ws.base_known) {
    weigh_in_ranges<T, true, false, false>(row, ws, s, 1.0);
  } else if (scaled && scaled_entropy) {
    weigh_in_ranges<T, false, true, true>(row, ws, s, rule.tau);
  } else if (scaled) {
    weigh_in_ranges<T, false, true, false>(row, ws, s, rule.tau);
  }
  ws.base_known = true;
  if (scaled) {
    ws.scaled_known = true;
    ws.scaled_entropy_known = scaled_entropy;
    ws.scaled_at = s;
  }
}
