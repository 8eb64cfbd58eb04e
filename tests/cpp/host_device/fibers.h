// Threads of one host thread: each is a fiber that runs until it waits at a barrier. Who goes next
// is the turn of the queue, or drawn at random from all that can run.
//
// Checked on the way: barriers that not all reach, loops of barriers that do not end.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

namespace fibers {

struct Barrier {
  int members, arrived = 0;
  std::vector<int> waiting = {};
};

class Scheduler {
 public:
  // Runs body() on fibers 0 .. count - 1; `random` null: in turn.
  void run(int count, const std::function<void()>& body, std::mt19937_64* random) {
    body_ = &body;
    running = this;
    fibers_ = std::make_unique<Fiber[]>(static_cast<size_t>(count));
    static std::unique_ptr<char[]> stacks;
    static int stack_count = 0;
    if (count > stack_count) {
      stacks.reset(new char[static_cast<size_t>(count) * kStackBytes]);
      stack_count = count;
    }
    for (int i = 0; i < count; ++i) {
      ucontext_t& context = fibers_[i].context;
      getcontext(&context);
      context.uc_stack.ss_sp = &stacks[static_cast<size_t>(i) * kStackBytes];
      context.uc_stack.ss_size = kStackBytes;
      makecontext(&context, &enter, 0);
      ready_.push_back(i);
    }
    int finished = 0;
    int64_t steps = 0;
    while (!ready_.empty()) {
      if (random) std::swap(ready_.front(), ready_[(*random)() % ready_.size()]);
      index_ = ready_.front();
      ready_.pop_front();
      resume();
      if (++steps > kMostSteps) throw std::runtime_error("a loop does not end");
      finished += current().done;
    }
    if (finished != count) throw std::runtime_error("a barrier was not reached by all threads");
  }

  void wait(Barrier& barrier) {
    barrier.waiting.push_back(index_);
    if (++barrier.arrived == barrier.members) {
      ready_.insert(ready_.end(), barrier.waiting.begin(), barrier.waiting.end());
      barrier.waiting.clear();
      barrier.arrived = 0;
    }
    if (_setjmp(current().state) == 0) _longjmp(scheduler_, 1);
  }

  int index() const { return index_; }  // of the fiber that runs

 private:
  static constexpr int kStackBytes = 1 << 17;
  static constexpr int64_t kMostSteps = 20'000'000;

  struct Fiber {
    ucontext_t context;
    jmp_buf state;
    bool started = false, done = false;
  };

  static inline Scheduler* running = nullptr;

  static void enter() {
    (*running->body_)();
    running->current().done = true;
    _longjmp(running->scheduler_, 1);
  }
  Fiber& current() { return fibers_[index_]; }
  void resume() {
    if (_setjmp(scheduler_) != 0) return;
    if (current().started) _longjmp(current().state, 1);
    current().started = true;
    setcontext(&current().context);
  }

  const std::function<void()>* body_ = nullptr;
  std::unique_ptr<Fiber[]> fibers_;
  std::deque<int> ready_;
  int index_ = 0;
  jmp_buf scheduler_;
};

}  // namespace fibers
