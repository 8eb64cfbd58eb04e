// Whether the pass that weighs a row should serve the cut as well, by collecting or by watching.
// Included inside the namespace of each build, after row_forecast.h.

// A row in which many blocks come close to the maximum can have a wide kept set; in any other a
// list is short.
inline bool is_flat(const Workspace& ws, double tau, int64_t n) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  const float close = ws.top - static_cast<float>(5.0 * tau);
  int64_t near = 0;
  for (int64_t b = 0; b < blocks; ++b) near += ws.block_max[b] >= close;
  return near > blocks / 2;
}

// Whether the weighing pass can serve the cut: it is still to come, by one thread, the row is long,
// and the law that decides is the one that is drawn from. Of a row with a temperature of its own
// the base law is known by then.
inline bool can_plan(const Workspace& ws, const core::Rule& rule, int64_t n) {
  const bool to_come =
      !ws.base_known || (rule.dynamic() && !rule.scale.identity && !ws.scaled_known);
  return to_come && ws.team.parts <= 1 && n >= kWatchFrom && !rule.greedy() &&
         (rule.scale.identity || !rule.cut_base);
}

// Not stages of counts or spreads.
inline bool can_watch(core::Stage stage) {
  return stage == core::kTopP || stage == core::kTypical || stage == core::kPLess ||
         stage == core::kTopH || core::is_closed(stage);
}

// The only stage, if the weighing pass can serve it; else kStages.
inline core::Stage single_cut(const core::Rule& rule) {
  core::Stage only = core::kStages;
  for (int i = 0; i < core::kStages; ++i) {
    const auto stage = static_cast<core::Stage>(i);
    if (!rule.has(stage)) continue;
    if (only != core::kStages || !can_watch(stage)) return core::kStages;
    only = stage;
  }
  return only;
}

// Where the first stage is a prefix by mass, has the weighing pass collect what it may keep, so
// that the row is not read again.
template <class T>
void plan_collection(const RowInput<T>& in, Workspace& ws, const core::Rule& rule) {
  int first = 0;
  while (first < core::kStages && !rule.has(static_cast<core::Stage>(first))) ++first;
  const bool prefix = first == core::kTopP || first == core::kTypical || first == core::kTopH;
  if (prefix && !ws.base_known && can_plan(ws, rule, in.n))
    ws.collect_from =
        larger(-FLT_MAX, Forecast<T>(in, ws, rule).floor(static_cast<core::Stage>(first)));
}
