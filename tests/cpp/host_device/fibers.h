// Threads of one host thread: each is a fiber that runs until it waits at a barrier. Who goes next
// is the turn of the queue, or drawn at random from all that can run.
//
// Checked on the way: barriers that not all reach, loops of barriers that do not end; and races,
// when compiled with ThreadSanitizer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#include "context.h"

namespace fibers {

struct Barrier {
  int members, phase = 0;
  std::vector<int> waiting = {};
  char passed[2] = {};  // by phase: some may wait again while others have yet to leave
};

// Runs teams of fibers, one after the other. Nothing orders two teams but the end of the scheduler,
// unless they run on the same set of threads.
class Scheduler {
 public:
  // Every fiber of every team runs body(). `random` null: in turn.
  Scheduler(const std::function<void()>& body, std::mt19937_64* random)
      : body_(&body), random_(random), main_(race_detector::Thread::current()) {
    running = this;
  }
  ~Scheduler() { race_detector::acquire(finished_); }

  // Runs fibers 0 .. count - 1.
  void run(int count) {
    Set& set = sets_[teams_++ % kSets];
    while (set.size() < static_cast<size_t>(count)) set.emplace_back();
    for (int i = 0; i < count; ++i) {
      Fiber& fiber = set[static_cast<size_t>(i)];
      fiber.context.start_at(&enter, fiber.stack.get(), Fiber::kStackBytes);
      ready_.push_back(i);
    }
    race_detector::release(started_);
    int done = 0;
    int64_t steps = 0;
    while (!ready_.empty()) {
      if (random_) std::swap(ready_.front(), ready_[(*random_)() % ready_.size()]);
      index_ = ready_.front();
      ready_.pop_front();
      waits_at_ = nullptr;
      resume(set[static_cast<size_t>(index_)]);
      if (++steps > kMostSteps) throw std::runtime_error("a loop does not end");
      waits_at_ ? arrive(*waits_at_) : void(++done);
    }
    if (done != count) throw std::runtime_error("a barrier was not reached by all threads");
  }

  // Until all members of the barrier wait; what they did before is then visible, if it `orders`.
  HOST_MACHINE void wait(Barrier& barrier, bool orders = true) {
    char& passed = barrier.passed[barrier.phase % 2];
    if (orders) race_detector::release(passed);
    waits_at_ = &barrier;
    leave();
    if (orders) race_detector::acquire(passed);
  }

  HOST_MACHINE int index() const { return index_; }  // of the fiber that runs

 private:
  static constexpr int64_t kMostSteps = 20'000'000;
  static constexpr int kSets = race_detector::kOn ? 3 : 1;

  struct Fiber {
    static constexpr size_t kStackBytes = 1 << 18;
    Context context;
    race_detector::Thread thread = race_detector::Thread::create();
    std::unique_ptr<char[]> stack{new char[kStackBytes]};
  };
  using Set = std::deque<Fiber>;
  static inline Set sets_[kSets];
  static inline Scheduler* running = nullptr;

  HOST_MACHINE static void enter() {
    race_detector::acquire(running->started_);
    (*running->body_)();
    race_detector::release(running->finished_);
    running->leave();
  }
  HOST_MACHINE void resume(Fiber& fiber) {
    fiber_ = &fiber.context;
    fiber.thread.enter();
    scheduler_.switch_to(*fiber_);
  }
  HOST_MACHINE void leave() {
    Context* const here = fiber_;
    main_.enter();
    here->switch_to(scheduler_);
  }
  void arrive(Barrier& barrier) {
    barrier.waiting.push_back(index_);
    if (static_cast<int>(barrier.waiting.size()) < barrier.members) return;
    ready_.insert(ready_.end(), barrier.waiting.begin(), barrier.waiting.end());
    barrier.waiting.clear();
    ++barrier.phase;
  }

  const std::function<void()>* body_;
  std::mt19937_64* random_;
  std::deque<int> ready_;
  int teams_ = 0, index_ = 0;
  Barrier* waits_at_ = nullptr;
  Context scheduler_, *fiber_ = nullptr;
  race_detector::Thread main_;
  char started_ = 0, finished_ = 0;
};

}  // namespace fibers
