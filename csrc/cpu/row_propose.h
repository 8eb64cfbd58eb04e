// Where the first stage of a row looks for its survivors: lists that hold at least those. Included
// inside the namespace of each build, after row_watch.h.
//
// A sample of the row proposes where a prefix by mass or count may end; integer masses decide
// whether the proposal was generous enough, and if not, an exact bound is used.

template <class T>
class Proposals {
 protected:
  using Bits = uint64_t;

  Proposals(const RowInput<T>& in, Workspace& ws, const core::Rule& rule)
      : in_(in), ws_(ws), rule_(rule), cut_scale_(rule.scale) {
    if (rule.cut_base) cut_scale_ = core::Scale{true, 1.0f, 0.0f};
    const Sums& all = rule.cuts_on_base() ? ws.base : ws.scaled;
    s_ = {all.mass, all.entropy, ws.top, ws.count};
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

  const RowInput<T>& in_;
  Workspace& ws_;
  const core::Rule& rule_;
  core::Scale cut_scale_;  // of the law that decides
  core::Survivors s_;
};
