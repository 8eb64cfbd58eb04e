// The stages of a kept set in their order, each an interval of logits. Included inside the
// namespace of each build, after row_watch.h.
//
// The first stage that cuts reads the row (only blocks that can hold a survivor) and leaves a list;
// later stages work on the list. Where a prefix by mass or count is wanted, a sample of the row
// proposes where it may end, the list is gathered there, and integer masses decide whether the
// proposal was generous enough; if not, an exact bound is used.
//
// Not split: the stages share the list and its order.

template <class T>
class Cutter {
 public:
  Cutter(const RowInput<T>& in, Workspace& ws, const core::Rule& rule)
      : in_(in), ws_(ws), rule_(rule), cut_scale_(rule.scale) {
    if (rule.cut_base) cut_scale_ = core::Scale{true, 1.0f, 0.0f};
    const Sums& all = rule.cuts_on_base() ? ws.base : ws.scaled;
    s_ = {all.mass, all.entropy, ws.top, ws.count};
  }

  // Runs all stages, of which one cuts at least; the survivors are then in the list, weighted by
  // the deciding law.
  void run() {
    if (rule_.cuts_top_k(s_.count)) cut_top_k();
    if (rule_.has_top_p()) cut_top_p();
    if (rule_.has_min_p()) keep_from(core::min_p_cut(rule_, s_));
    if (rule_.has_typical()) cut_typical();
    if (rule_.has_epsilon()) keep_from(core::epsilon_cut(rule_, s_, ws_.top));
    if (rule_.has_eta()) keep_from(core::eta_cut(rule_, s_, ws_.top));
    if (rule_.has_sigma()) keep_from(core::sigma_cut(rule_, s_, sigma_moments()));
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

  void weigh() {
    const Sums sums = weigh_list(ws_, cut_scale_, ws_.top);
    s_.mass = sums.mass;
    s_.entropy = sums.entropy;
    s_.count = ws_.list_size;
    float least;
    list_range(ws_, least, s_.max);
  }

  // k-th largest survivor, ties kept.
  void cut_top_k() {
    const auto k = static_cast<uint64_t>(rule_.top_k);
    if (!listed_) gather_largest(k);
    listed_ = true;
    keep(from_descending_key(list_prefix(ws_, false, k, descending_key).bound), FLT_MAX);
  }

  // Gathers the k largest of the whole row and some more: down to the k-th largest block maximum,
  // or to a sampled quantile that a count confirms.
  void gather_largest(uint64_t k) {
    const int64_t blocks = (in_.n + kBlock - 1) / kBlock;
    if (k <= static_cast<uint64_t>(blocks)) {
      for (int64_t b = 0; b < blocks; ++b) ws_.key[b] = descending_key(ws_.block_max[b]);
      const float low = from_descending_key(find_prefix(ws_.key, nullptr, blocks, k).bound);
      return gather(in_, ws_, larger(-FLT_MAX, low), FLT_MAX);
    }
    // Logits of real vocabularies cluster by id, so a first guess may fall short; a bolder one
    // still beats the whole row.
    for (const uint64_t generosity : {uint64_t{6}, uint64_t{16}}) {
      if (in_.n < kSampleFrom) break;
      const Sample sample = sample_row(in_, ws_);
      for (int64_t i = 0; i < ws_.list_size; ++i)
        ws_.list_weight[i] = i < sample.exact ? 1 : sample.share;
      ws_.list_mass = static_cast<uint64_t>(sample.exact) +
                      static_cast<uint64_t>(ws_.list_size - sample.exact) * sample.share;
      const Prefix p = list_prefix(ws_, true, k * generosity / 4 + 64, descending_key);
      if (!p.reached) break;
      gather(in_, ws_, from_descending_key(p.bound), FLT_MAX);
      if (static_cast<uint64_t>(ws_.list_size) >= k) return;
    }
    gather(in_, ws_, -FLT_MAX, FLT_MAX);
  }

  // Tokens whose logit lies below this weigh together at most W - limit, so none of them is kept by
  // a prefix of mass `limit`.
  float negligible_below(uint64_t limit) const {
    const double each = as_double(s_.mass - limit) / static_cast<double>(in_.n) - 1.0;
    if (each < 1.0) return -FLT_MAX;
    const double gap = log(each * core::kMassUnit) - 1e-3;
    return float_at_most(static_cast<double>(ws_.top) + rule_.cut_tau() * gap);
  }

  // Whether the weighing pass left what the first stage needs in the list; weighs it.
  bool collected() {
    if (ws_.collect_from == FLT_MAX) return false;
    weigh_list(ws_, cut_scale_, ws_.top);
    return true;
  }

  // The list as a superset of a prefix of the whole row, weighted.
  void propose(float low, float high) {
    gather(in_, ws_, low, high);
    weigh_list(ws_, cut_scale_, ws_.top);
  }

  // Samples the row and returns the key at which the sample has shed a bit less than the mass that
  // the prefix leaves out, in the order of key_of, worst first; false when there is nothing to go
  // by.
  template <class Key>
  bool sampled_end(uint64_t limit, Key key_of, Bits& end) {
    const double shed = 0.85 * as_double(s_.mass - limit);
    if (in_.n < kSampleFrom || shed < 1.0) return false;
    weigh_sample(ws_, cut_scale_, sample_row(in_, ws_));
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
      if (collected()) {
        p = list_prefix(ws_, true, limit, descending_key);
      } else if (sampled_end(limit, ascending, end)) {
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
    const auto key_of = [centre](float x) {
      return core::bit_cast<Bits>(core::typical_key(centre, x));
    };
    Prefix p{0, false};
    if (listed_) {
      p = list_prefix(ws_, true, limit, key_of);
    } else {
      const auto farthest_first = [key_of](float x) { return ~key_of(x); };
      Bits end;
      if (collected()) {
        p = list_prefix(ws_, true, limit, key_of);
        p.reached = p.reached && ws_.collect_from <= centre && p.bound < key_of(ws_.collect_from);
      } else if (sampled_end(limit, farthest_first, end)) {
        const double radius = core::bit_cast<double>(~end);
        const float low = nextafterf(float_at_most(centre - radius), -INFINITY);
        const float high = nextafterf(float_at_least(centre + radius), INFINITY);
        propose(low, high);
        p = list_prefix(ws_, true, limit, key_of);
        // What was left out is at least this far from the centre.
        p.reached = p.reached && p.bound < smaller(key_of(low), key_of(high));
      }
      if (!p.reached) {
        // A token below the mirror image of the maximum has every heavier one closer to the centre.
        const double mirror =
            2.0 * centre - static_cast<double>(ws_.top) - 1e-3 * (1.0 + fabs(centre));
        propose(smaller(float_at_most(mirror), negligible_below(limit)), FLT_MAX);
        p = list_prefix(ws_, true, limit, key_of);
      }
    }
    listed_ = true;
    float low, high;
    typical_interval(centre, core::bit_cast<double>(p.bound), low, high);
    keep(low, high);
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
