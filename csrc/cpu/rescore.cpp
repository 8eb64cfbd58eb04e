// The choice among candidates on the CPU: rows over threads.
#include "cpu/entries.h"
#include "launch/rescore_entry.h"

namespace aligndec::cpu {

void launch_rescore(const RescoreArgs& args) { launch_entries<RescoreEntry>(args); }

}  // namespace aligndec::cpu
