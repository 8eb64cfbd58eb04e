// A sparse bias on a row. Included inside the namespace of each build, after row_list.h.
//
// The blocks that a bias touches are written out, edited; every pass then reads those in place of
// the row's own, and is otherwise the same. The base law is of the logits as they came: where their
// maximum is that of the edited ones, its masses differ in the edited tokens alone, and those are
// put right; where it is not, the row is weighed as it came first.

// Writes out block b, and edits it with the entries [first, last) of the bias; returns its maximum.
// Tokens that do not exist stay so.
template <class T>
float edit_block(const Row<T>& row, Workspace& ws, int64_t b, const BiasRow& bias, int64_t first,
                 int64_t last) {
  float* const out = ws.edited_x + ws.edited_blocks * kBlock;
  for (int64_t v = 0; v < kBlock; v += Simd::kLanes) Simd::store(out + v, row.lanes(b, v));
  for (int64_t i = first; i < last; ++i) {
    float& x = out[bias.ids[i] % kBlock];
    if (x == -INFINITY) continue;
    ws.edit_from[ws.edits] = x;
    x += bias.values[i];
    ws.edit_to[ws.edits++] = x;
  }
  ws.edited[b] = out;
  ws.edited_block[ws.edited_blocks++] = b;
  Simd::F most = Simd::load(out);
  for (int64_t v = Simd::kLanes; v < kBlock; v += Simd::kLanes)
    most = Simd::max(Simd::load(out + v), most);
  return Simd::reduce_max(most);
}

inline float largest_of(const float* x, int64_t n) {
  float most = -INFINITY;
  for (int64_t i = 0; i < n; ++i) most = x[i] > most ? x[i] : most;
  return most;
}

// Makes the row the edited one: its blocks, maxima, count and status.
template <class T>
void edit_row(RowInput<T>& in, Workspace& ws, const BiasRow& bias) {
  for (int64_t i = 0; i < ws.edited_blocks; ++i) ws.edited[ws.edited_block[i]] = nullptr;
  ws.edited_blocks = ws.edits = 0;
  ws.base_top = ws.top;
  ws.base_sums_known = false;
  if (ws.status != core::kOk) return;
  const Row<T> row(in, ws);
  float* const block_max = ws.band_x;  // of the edited blocks, until all are known
  for (int64_t i = 0; i < bias.size && bias.ids[i] < in.n;) {
    const int64_t first = i, b = bias.ids[i] / kBlock;
    while (i < bias.size && bias.ids[i] < in.n && bias.ids[i] / kBlock == b) ++i;
    const int64_t at = ws.edited_blocks;
    block_max[at] = edit_block(row, ws, b, bias, first, i);
  }
  int64_t gone = 0;
  bool bad = false;
  for (int64_t i = 0; i < ws.edits; ++i) {
    gone += ws.edit_to[i] == -INFINITY;
    bad = bad || !(ws.edit_to[i] < INFINITY);
  }
  // The maximum after, while the maxima are those before: edited blocks trade places twice.
  const auto trade = [&ws, block_max] {
    for (int64_t i = 0; i < ws.edited_blocks; ++i) {
      const float before = ws.block_max[ws.edited_block[i]];
      ws.block_max[ws.edited_block[i]] = block_max[i];
      block_max[i] = before;
    }
  };
  trade();
  const float top = largest_of(ws.block_max, row.blocks);
  if (top != ws.top) {
    trade();
    weigh_in_ranges<T, true, false, false>(row, ws, core::Scale{true, 1.0f, 0.0f}, 1.0);
    ws.base_sums = ws.base;
    ws.base_sums_known = true;
    trade();
  }
  ws.top = top;
  ws.count -= gone;
  if (bad) {
    ws.status = core::kBadLogit;
  } else if (ws.count == 0) {
    ws.status = core::kNoToken;
  }
  in.edited = ws.edited;
}

// Puts the base law, which was weighed from the edited logits, back to the logits as they came.
inline void restore_base(Workspace& ws, core::RowMasses& r) {
  const core::Scale one{true, 1.0f, 0.0f};
  pad(ws.edit_from, ws.edits);
  pad(ws.edit_to, ws.edits);
  if (!ws.base_sums_known) {
    const Sums before = weigh_array(ws.edit_from, ws.edits, ws.key, one, ws.top);
    const Sums after = weigh_array(ws.edit_to, ws.edits, ws.key, one, ws.top);
    ws.base_sums = {ws.base.mass - after.mass + before.mass,
                    ws.base.entropy - after.entropy + before.entropy};
    ws.base_sums_known = true;
  }
  r.edited = true;
  r.base = ws.base_sums.mass;
  r.base_e = ws.base_sums.entropy;
  r.base_shift = static_cast<double>(ws.top) - static_cast<double>(ws.base_top);
}

// Adds up by how much the bias moved the tokens of an interval, each by its weight.
inline double moved_between(Workspace& ws, const core::Rule& rule, const core::RowMasses& r) {
  weigh_array(ws.edit_to, ws.edits, ws.key, rule.scale, r.kept_top);
  double moved = 0.0;
  for (int64_t i = 0; i < ws.edits; ++i) {
    if (!(ws.edit_to[i] >= r.low && ws.edit_to[i] <= r.high)) continue;
    const double by = static_cast<double>(ws.edit_to[i]) - static_cast<double>(ws.edit_from[i]);
    moved += as_double(ws.key[i]) * by;
  }
  return moved;
}
