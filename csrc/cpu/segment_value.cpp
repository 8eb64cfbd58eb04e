// Values from rollouts on the CPU: segments over threads.
#include "cpu/entries.h"
#include "launch/segment_value_entry.h"

namespace aligndec::cpu {

void launch_segment_value(const SegmentValueArgs& args) { launch_entries<SegmentValueEntry>(args); }

}  // namespace aligndec::cpu
