// The survivors of a row while its stages cut, and the stages that are no prefix by mass or count.
// Included inside the namespace of each build, after row_propose.h.
//
// The first stage that cuts reads the row (only blocks that can hold a survivor) and leaves a list;
// later stages work on the list.

template <class T>
class RowSurvivors : protected Proposals<T> {
 protected:
  using Base = Proposals<T>;
  using Base::collected, Base::cut_scale_, Base::in_, Base::rule_, Base::s_, Base::ws_;

  RowSurvivors(const RowInput<T>& in, Workspace& ws, const core::Rule& rule) : Base(in, ws, rule) {}

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

  // Exact powers decide where the estimate of the weighing pass leaves a logit undecided.
  void cut_p_less() {
    if (listed_) {
      Powers powers(rule_.p_less);
      powers.add(ws_.list_weight, ws_.list_size);
      return keep_from(core::p_less_cut(rule_, s_, ws_.top, powers.log()));
    }
    const core::Survivors all = s_;
    if (ws_.squares_known && rule_.p_less == 2.0) {
      const SquareCuts cuts(ws_, rule_, all);
      keep_from(cuts.low);
      if (list_starts_at(ws_, cuts.high)) return;
    }
    const double powers = log_powers_of_row(in_, ws_, cut_scale_, rule_.cut_tau(), rule_.p_less);
    keep_from(core::p_less_cut(rule_, all, ws_.top, powers));
  }

  // Most probable first while their part of the entropy is at most top_h of it; the first always
  // stay.
  void cut_top_h() {
    const core::EntropyTerms terms(s_.mass);
    const core::u128 limit =
        core::floor_scaled(rule_.top_h, entropy_of(ws_, cut_scale_, terms, s_));
    const auto ends = [&](float& end) {
      return EntropyPrefix(ws_, cut_scale_, terms, Sums{}, limit).end(end);
    };
    float end = -FLT_MAX;
    bool found = (listed_ || collected()) && ends(end);
    if (!found && !listed_) {
      gather(in_, ws_, -FLT_MAX, FLT_MAX);
      found = ends(end);
    }
    listed_ = true;
    keep(found ? smaller(nextafterf(end, INFINITY), s_.max) : -FLT_MAX, FLT_MAX);
  }

  // Of two or more choices that are probable enough the least probable stay, with ties.
  void cut_xtc() {
    if (!listed_) gather(in_, ws_, -FLT_MAX, FLT_MAX);
    listed_ = true;
    const float low = float_at_least(core::xtc_cut(rule_, s_, ws_.top));
    float least = FLT_MAX;
    int64_t choices = 0;
    for (int64_t i = 0; i < ws_.list_size; ++i) {
      choices += ws_.list_x[i] >= low;
      least = ws_.list_x[i] >= low ? smaller(least, ws_.list_x[i]) : least;
    }
    keep(-FLT_MAX, choices >= 2 ? least : FLT_MAX);
  }

  const core::GapMoments& sigma_moments() {
    if (!ws_.sigma_known) ws_.gaps = gap_moments(in_, ws_);
    ws_.sigma_known = true;
    return ws_.gaps;
  }

  bool listed_ = false;
};
