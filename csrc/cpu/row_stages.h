// The stages of a kept set in their order, each an interval of logits. Included inside the
// namespace of each build, after row_survivors.h.

template <class T>
class Cutter : RowSurvivors<T> {
 public:
  Cutter(const RowInput<T>& in, Workspace& ws, const core::Rule& rule) : Base(in, ws, rule) {}

  // Runs all stages, of which one cuts at least; the survivors are then in the list, weighted by
  // the deciding law.
  void run() {
    for (int i = 0; i < core::kStages; ++i) {
      const auto stage = static_cast<core::Stage>(i);
      if (rule_.cuts(stage, s_.count)) cut(stage);
    }
  }

  const core::Survivors& survivors() const { return s_; }

 private:
  using Base = RowSurvivors<T>;
  using Base::collected, Base::gather_largest, Base::negligible_below, Base::propose,
      Base::sampled_end;
  using Base::cut_p_less, Base::cut_top_h, Base::cut_xtc, Base::keep, Base::keep_from,
      Base::sigma_moments;
  using Base::cut_scale_, Base::in_, Base::listed_, Base::rule_, Base::s_, Base::ws_;
  using typename Base::Bits;

  void cut(core::Stage stage) {
    switch (stage) {
      case core::kTopK:
        return cut_top_k();
      case core::kTopP:
        return cut_top_p();
      case core::kTypical:
        return cut_typical();
      case core::kSigma:
        return keep_from(core::sigma_cut(rule_, s_, sigma_moments()));
      case core::kPLess:
        return cut_p_less();
      case core::kTopH:
        return cut_top_h();
      case core::kXtc:
        return cut_xtc();
      default:
        return keep_from(core::closed_cut(rule_, stage, s_, ws_.top));
    }
  }

  // k-th largest survivor, ties kept.
  void cut_top_k() {
    const uint64_t k = core::prefix_limit(rule_, core::kTopK, s_);
    if (!listed_) gather_largest(k);
    listed_ = true;
    keep(from_descending_key(list_prefix(ws_, false, k, descending_key).bound), FLT_MAX);
  }

  // Most probable first until the mass is reached; the token that crosses stays, with ties.
  void cut_top_p() {
    const uint64_t limit = core::prefix_limit(rule_, core::kTopP, s_);
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
    const uint64_t limit = core::prefix_limit(rule_, core::kTypical, s_);
    const double centre = core::typical_centre(rule_, s_, ws_.top);
    const TypicalKey key_of{centre};
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
};
