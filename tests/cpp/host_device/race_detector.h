// What ThreadSanitizer is told of a machine whose threads are fibers of one host thread: which of
// them runs, and what orders their accesses. Without the sanitizer all of it is nothing.
//
// Barriers alone order accesses here, never the order in which the fibers happen to run: a race is
// reported whether or not it changed a result.
#pragma once

#ifdef __SANITIZE_THREAD__

#include <sanitizer/tsan_interface.h>

// The machine's own bookkeeping, which no barrier of a kernel orders.
#define HOST_MACHINE __attribute__((no_sanitize("thread"), noinline))

namespace race_detector {

constexpr bool kOn = true;

class Thread {
 public:
  static Thread current() { return Thread(__tsan_get_current_fiber()); }
  static Thread create() { return Thread(__tsan_create_fiber(0)); }
  // From here on accesses are this thread's; nothing is ordered by the switch itself.
  HOST_MACHINE void enter() const {
    __tsan_switch_to_fiber(handle_, __tsan_switch_to_fiber_no_sync);
  }

 private:
  explicit Thread(void* handle) : handle_(handle) {}
  void* handle_;
};

// What happened before release(tag) is visible after a later acquire(tag).
inline void release(char& tag) { __tsan_release(&tag); }
inline void acquire(char& tag) { __tsan_acquire(&tag); }

}  // namespace race_detector

#else

#define HOST_MACHINE

namespace race_detector {

constexpr bool kOn = false;

struct Thread {
  static Thread current() { return {}; }
  static Thread create() { return {}; }
  void enter() const {}
};
inline void release(char&) {}
inline void acquire(char&) {}

}  // namespace race_detector

#endif
