// The kept set of one row: the stages in their order, each an interval of logits. Included inside the namespace of each build,
// after row_select.h.
//
// The first stage that cuts reads the row (only blocks that can hold a survivor) and leaves a list; later stages work on the
// list. Where a prefix by mass or count is wanted, a sample of the row proposes where it may end, the list is gathered there,
// and integer masses decide whether the proposal was generous enough; if not, an exact bound is used.

inline double as_double(uint64_t v) { return static_cast<double>(v); }

// The least float that is >= cut.
inline float float_at_least(double cut) {
  if (cut <= -static_cast<double>(FLT_MAX)) return -FLT_MAX;
  const float f = static_cast<float>(cut);
  return static_cast<double>(f) < cut ? nextafterf(f, INFINITY) : f;
}
inline float float_at_most(double cut) {
  if (cut <= -static_cast<double>(FLT_MAX)) return -FLT_MAX;
  const float f = static_cast<float>(cut);
  return static_cast<double>(f) > cut ? nextafterf(f, -INFINITY) : f;
}

template <class T>
class Cutter {
 public:
  Cutter(const RowInput<T>& in, Workspace& ws, const core::Rule& rule)
      : in_(in), ws_(ws), rule_(rule), cut_scale_(rule.scale) {
    if (rule.cut_base) cut_scale_ = core::Scale{true, 1.0f, 0.0f};
    const Sums& all = rule.cuts_on_base() ? ws.base : ws.scaled;
    s_ = {all.mass, all.entropy, ws.top, ws.count};
  }

  // Runs all stages. Returns whether the survivors are in the list (weighted by the deciding law).
  bool run() {
    if (rule_.has_top_k() && rule_.top_k < as_double(static_cast<uint64_t>(s_.count))) cut_top_k();
    if (rule_.has_top_p()) cut_top_p();
    if (rule_.has_min_p()) keep_from(core::min_p_cut(rule_, s_));
    if (rule_.has_typical()) cut_typical();
    if (rule_.has_epsilon()) keep_from(core::epsilon_cut(rule_, s_, ws_.top));
    if (rule_.has_eta()) keep_from(core::eta_cut(rule_, s_, ws_.top));
    if (rule_.has_sigma()) keep_from(core::sigma_cut(rule_, s_, sigma_moments()));
    return listed_;
  }

  const core::Survivors& survivors() const { return s_; }

 private:
  using Bits = uint64_t;

  void keep(float low, float high) {
    if (listed_) {
      narrow(ws_, low, high);
    } else {
      gather(in_, ws_, low, high);
      listed_ = true;
    }
    weigh();
  }
  void keep_from(double cut) { keep(float_at_least(cut), FLT_MAX); }

  Sums weigh() {
    const Sums sums = weigh_list(ws_, cut_scale_, ws_.top);
    s_.mass = sums.mass;
    s_.entropy = sums.entropy;
    s_.count = ws_.list_size;
    float least;
    list_range(ws_, least, s_.max);
    return sums;
  }

  // k-th largest survivor, ties kept.
  void cut_top_k() {
    const auto k = static_cast<uint64_t>(rule_.top_k);
    if (!listed_) gather_largest(k);
    listed_ = true;
    keep(from_descending_key(list_prefix(ws_, false, k, descending_key).bound), FLT_MAX);
  }

  // Gathers the k largest of the whole row and some more: down to the k-th largest block maximum, or to a sampled quantile
  // that a count confirms.
  void gather_largest(uint64_t k) {
    const int64_t blocks = (in_.n + kBlock - 1) / kBlock;
    if (k <= static_cast<uint64_t>(blocks)) {
      for (int64_t b = 0; b < blocks; ++b) ws_.key[b] = descending_key(ws_.block_max[b]);
      const float low = from_descending_key(find_prefix(ws_.key, nullptr, blocks, k).bound);
      return gather(in_, ws_, larger(-FLT_MAX, low), FLT_MAX);
    }
    if (blocks >= 2 * kSampleBlocks) {
      const double wanted = as_double(k) / sample_row(in_, ws_) * 1.25 + 16.0;
      if (wanted < as_double(static_cast<uint64_t>(ws_.list_size))) {
        const Prefix p = list_prefix(ws_, false, static_cast<uint64_t>(wanted), descending_key);
        gather(in_, ws_, from_descending_key(p.bound), FLT_MAX);
        if (static_cast<uint64_t>(ws_.list_size) >= k) return;
      }
    }
    gather(in_, ws_, -FLT_MAX, FLT_MAX);
  }

  // Tokens whose logit lies below this weigh together at most W - limit, so none of them is kept by a prefix of mass `limit`.
  float negligible_below(uint64_t limit) const {
    const double each = as_double(s_.mass - limit) / static_cast<double>(in_.n) - 1.0;
    if (each < 1.0) return -FLT_MAX;
    const double gap = log(each * core::kMassUnit) - 1e-3;
    return float_at_most(static_cast<double>(ws_.top) + rule_.cut_tau() * gap);
  }

  // The list as a superset of a prefix of the whole row, weighted.
  void propose(float low, float high) {
    gather(in_, ws_, low, high);
    weigh_list(ws_, cut_scale_, ws_.top);
  }

  // Samples the row and returns the key at which the sample has shed a bit less than the mass that the prefix leaves out, in the
  // order of key_of, worst first; false when there is nothing to go by.
  template <class Key>
  bool sampled_end(uint64_t limit, Key key_of, Bits& end) {
    if (in_.n < 2 * kSampleBlocks * kBlock) return false;
    const double shed = 0.85 * as_double(s_.mass - limit) / sample_row(in_, ws_);
    if (shed < 1.0 || ws_.list_size == 0) return false;
    weigh_list(ws_, cut_scale_, ws_.top);
    end = list_prefix(ws_, true, static_cast<uint64_t>(shed), key_of).bound;
    return true;
  }

  // Most probable first until the mass is reached; the token that crosses stays, with ties.
  void cut_top_p() {
    const uint64_t limit = core::ceil_scaled(rule_.top_p, s_.mass);
    Prefix p{0, false};
    if (listed_) {
      p = list_prefix(ws_, true, limit, descending_key);
    } else {
      const auto ascending = [](float x) { return uint64_t{0xffffffffu} - descending_key(x); };
      const float floor = negligible_below(limit);
      Bits end;
      if (sampled_end(limit, ascending, end)) {
        propose(larger(floor, from_descending_key(uint64_t{0xffffffffu} - end)), FLT_MAX);
        p = list_prefix(ws_, true, limit, descending_key);
      }
      if (!p.reached) {
        propose(floor, FLT_MAX);
        p = list_prefix(ws_, true, limit, descending_key);
      }
    }
    listed_ = true;
    keep(from_descending_key(p.bound), FLT_MAX);
  }

  // Closest to the entropy first.
  void cut_typical() {
    const uint64_t limit = core::ceil_scaled(rule_.typical_p, s_.mass);
    const double centre = core::typical_centre(rule_, s_, ws_.top);
    const auto key_of = [centre](float x) { return core::bit_cast<Bits>(core::typical_key(centre, x)); };
    Prefix p{0, false};
    if (listed_) {
      p = list_prefix(ws_, true, limit, key_of);
    } else {
      const auto farthest_first = [key_of](float x) { return ~key_of(x); };
      Bits end;
      if (sampled_end(limit, farthest_first, end)) {
        const double radius = core::bit_cast<double>(~end);
        const float low = float_at_most(centre - radius), high = float_at_least(centre + radius);
        propose(low, high);
        p = list_prefix(ws_, true, limit, key_of);
        // What was left out is at least this far from the centre.
        p.reached = p.reached && p.bound < smaller(key_of(low), key_of(high));
      }
      if (!p.reached) {
        // A token below the mirror image of the maximum has every heavier one closer to the centre.
        const double mirror = 2.0 * centre - static_cast<double>(ws_.top) - 1e-3 * (1.0 + fabs(centre));
        propose(smaller(float_at_most(mirror), negligible_below(limit)), FLT_MAX);
        p = list_prefix(ws_, true, limit, key_of);
      }
    }
    listed_ = true;
    const double radius = core::bit_cast<double>(p.bound);
    keep(typical_edge(centre, radius, -FLT_MAX, static_cast<float>(centre)),
         typical_edge(centre, radius, FLT_MAX, static_cast<float>(centre)));
  }

  // The outermost float between `inner` and `outer` whose key is at most `radius`; keys grow outwards, with ties.
  static float typical_edge(double centre, double radius, float outer, float inner) {
    if (core::typical_key(centre, outer) <= radius) return outer;
    uint64_t in = descending_key(inner), out = descending_key(outer);
    while (in + 1 < out || out + 1 < in) {
      const uint64_t middle = in < out ? in + (out - in) / 2 : in - (in - out) / 2;
      const bool kept = core::typical_key(centre, from_descending_key(middle)) <= radius;
      (kept ? in : out) = middle;
    }
    return from_descending_key(in);
  }

  const core::GapMoments& sigma_moments() {
    if (!ws_.sigma_known) ws_.gaps = gap_moments(in_, ws_);
    ws_.sigma_known = true;
    return ws_.gaps;
  }

  const RowInput<T>& in_;
  Workspace& ws_;
  const core::Rule& rule_;
  core::Scale cut_scale_;
  core::Survivors s_;
  bool listed_ = false;
};

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

template <class T>
RowCut cut_row(const RowInput<T>& in, Workspace& ws, const core::Rule& rule) {
  RowCut cut{ws.status, false, {}};
  if (cut.status != core::kOk) return cut;
  const bool all = !rule.truncates();
  weigh_row(in, ws, rule, all || (rule.needs_entropy() && !rule.cut_base));
  core::RowMasses& r = cut.masses;
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
  Cutter<T> cutter(in, ws, rule);
  cut.listed = !all && cutter.run();
  if (!cut.listed) {
    r.kept = r.kept_units = scaled.mass;
    r.kept_e = scaled.entropy;
    r.n_kept = ws.count;
    r.low = -FLT_MAX;
    r.high = FLT_MAX;
    return cut;
  }
  r.n_kept = ws.list_size;
  list_range(ws, r.low, r.high);
  Sums kept{cutter.survivors().mass, cutter.survivors().entropy};
  if (rule.cut_base && !rule.scale.identity) {
    kept = weigh_list(ws, rule.scale, ws.top);
    r.kept_units = kept.mass;
    if (kept.mass == 0) {  // the scaled law gives the kept set less than a unit: take it relative to its own maximum
      r.kept_top = r.high;
      kept = weigh_list(ws, rule.scale, r.kept_top);
    }
  }
  r.kept = kept.mass;
  r.kept_e = kept.entropy;
  if (r.kept_top == r.top) r.kept_units = r.kept;
  return cut;
}
