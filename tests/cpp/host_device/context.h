// A stack of calls that can be left and come back to.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>

#include "race_detector.h"

namespace fibers {

// swapcontext asks the kernel for the mask of signals each time, which takes longer than all else
// that a fiber does; setjmp does not, but the race detector follows every longjmp.
class Context {
 public:
  // The next switch to it starts entry(), which must not return.
  void start_at(void (*entry)(), void* stack, size_t bytes) {
    getcontext(&state_);
    state_.uc_stack.ss_sp = stack;
    state_.uc_stack.ss_size = bytes;
    makecontext(&state_, entry, 0);
    left_ = false;
  }

  HOST_MACHINE void switch_to(Context& next) {
    if constexpr (race_detector::kOn) {
      swapcontext(&state_, &next.state_);
    } else if (left_ = true; _setjmp(place_) == 0) {
      if (next.left_) _longjmp(next.place_, 1);
      setcontext(&next.state_);
    }
  }

 private:
  ucontext_t state_;
  jmp_buf place_;
  bool left_ = false;
};

}  // namespace fibers
