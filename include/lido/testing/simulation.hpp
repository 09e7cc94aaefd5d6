// A machine whose threads, clock and order of events belong to your test.
//
// Its threads are real ones of which exactly one runs at a time. Each atomic operation, lock and park is a point where
// the simulation may let another thread run, decided by a seed or by a `Chooser`, so that a seed, or a list of choices,
// replays its schedule exactly. Time stands still while a thread can run, and jumps to the next deadline when none can.
// When nobody can ever run again the program stops and says so: that is what a lost wake-up looks like here.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <lido/detail/parker.hpp>
#include <lido/facts.hpp>
#include <lido/testing/detail/one_processor.hpp>

namespace lido::sim {

class Simulation;

/// One simulated thread.
struct Task {
  detail::Parker baton;  // a real one: whoever has its token runs
  Simulation* world = nullptr;
  bool runnable = true;
  bool done = false;
  bool timed_out = false;
  TimePoint deadline = TimePoint::max();
  std::vector<Task*> joiners;
};

inline thread_local Task* self = nullptr;

/// Decides in place of a seed what happens next, of which there are `options` possibilities, counted from 0.
class Chooser {
 public:
  /// `free`: the thread that ran stops here, and somebody has to go on. Otherwise 0 lets it go on, and all else
  /// preempts it: lets another run, or the next deadline pass first.
  virtual std::size_t choose(std::size_t options, bool free) = 0;

 protected:
  ~Chooser() = default;
};

class Simulation {
 public:
  /// Seed 0 is the calm schedule: a thread runs until it waits, and the first in line goes next.
  explicit Simulation(std::uint64_t seed = 0) : seed_{seed}, random_{seed} {}

  /// Runs `program` as the first thread, in virtual time, until it and all threads that it started are done. Passes on
  /// what it throws. A fresh thread, so that nothing thread-local is left from the schedule before.
  void run(const std::function<void()>& program) {
    const detail::OneProcessor pinned;
    std::exception_ptr thrown;
    std::thread host{[&] {
      Task& main = adopt();
      self = &main;
      try {
        program();
      } catch (...) {
        thrown = std::current_exception();
      }
      while (std::ranges::any_of(tasks_, [&](const auto& task) { return task.get() != &main && !task->done; })) {
        main.runnable = false;
        idle_main_ = &main;
        pass_on(main);
      }
      self = nullptr;
    }};
    host.join();
    tasks_.clear();
    if (thrown) std::rethrow_exception(thrown);
  }

  [[nodiscard]] TimePoint now() const noexcept { return now_; }
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }
  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
  [[nodiscard]] std::uint64_t random() noexcept { return random_(); }
  /// From now on this one decides; nullptr: the seed again.
  void decided_by(Chooser* chooser) noexcept { chooser_ = chooser; }
  /// The steps after which the program is taken to run in circles.
  std::uint64_t step_limit = 20'000'000;
  /// Looks at what the step before this one did; takes no step itself.
  std::function<void()> after_each_step;

  /// A point where another thread may run.
  void yield() {
    ++steps_;
    if (steps_ > step_limit) give_up("runs in circles");
    if (after_each_step) look();
    if (chooser_ != nullptr) return offer(*self);
    if (seed_ == 0) return;
    const std::uint64_t draw = random_() % 64;
    if (draw == 0) jump_to_next_deadline(slowness);
    if (draw < 24) {
      self->runnable = true;
      pass_on(*self);
    }
  }
  /// Waits until somebody wakes this thread; false when the deadline came first.
  bool block(TimePoint deadline) {
    Task& me = *self;
    me.runnable = false;
    me.timed_out = false;
    me.deadline = deadline;
    pass_on(me);
    me.deadline = TimePoint::max();
    return !me.timed_out;
  }
  static void wake(Task& task) { task.runnable = true; }

  Task& adopt() {
    tasks_.push_back(std::make_unique<Task>());
    tasks_.back()->world = this;
    return *tasks_.back();
  }
  /// The last act of a thread.
  void finish(Task& task) {
    task.done = true;
    task.runnable = false;
    for (Task* const joiner : task.joiners) wake(*joiner);
    if (idle_main_ != nullptr) wake(*std::exchange(idle_main_, nullptr));
    next().baton.unpark();
  }

 private:
  void look() {
    Task* const me = std::exchange(self, nullptr);
    after_each_step();
    self = me;
  }

  // How far time may jump although somebody can run: as if all who can were so slow.
  static constexpr Duration slowness = std::chrono::milliseconds{20};

  void pass_on(Task& me) { hand_over(me, next()); }
  static void hand_over(Task& me, Task& chosen) {
    if (&chosen == &me) return;
    chosen.baton.unpark();
    me.baton.park();
  }
  // Has the chooser decide whether this thread goes on.
  void offer(Task& me) {
    find_candidates();
    std::erase(candidates_, &me);
    const std::size_t others = candidates_.size();
    const bool late = next_deadline() - now_ <= slowness;
    if (others == 0 && !late) return;
    const std::size_t choice = chooser_->choose(1 + others + (late ? 1 : 0), false);
    if (choice == 0) return;
    if (choice <= others) return hand_over(me, *candidates_[choice - 1]);
    jump_to_next_deadline(slowness);
    pass_on(me);
  }
  void find_candidates() {
    candidates_.clear();
    for (const auto& task : tasks_)
      if (task->runnable) candidates_.push_back(task.get());
  }
  Task& next() {
    for (;;) {
      find_candidates();
      if (!candidates_.empty() && chooser_ != nullptr)
        return *candidates_[candidates_.size() == 1 ? 0 : chooser_->choose(candidates_.size(), true)];
      if (!candidates_.empty()) {
        if (seed_ != 0) return **(candidates_.begin() + static_cast<std::ptrdiff_t>(random_() % candidates_.size()));
        // Calm: round robin, beginning behind the one that stopped.
        turn_ = (turn_ + 1) % tasks_.size();
        for (std::size_t i = 0;; ++i) {
          Task& task = *tasks_[(turn_ + i) % tasks_.size()];
          if (!task.runnable) continue;
          turn_ = (turn_ + i) % tasks_.size();
          return task;
        }
      }
      if (!jump_to_next_deadline()) give_up("nobody can run: a wake-up was lost");
    }
  }
  [[nodiscard]] TimePoint next_deadline() const {
    TimePoint first = TimePoint::max();
    for (const auto& task : tasks_)
      if (!task->runnable && !task->done) first = std::min(first, task->deadline);
    return first;
  }
  bool jump_to_next_deadline(Duration furthest = Duration::max()) {
    const TimePoint first = next_deadline();
    if (first == TimePoint::max() || first - now_ > furthest) return false;
    now_ = std::max(now_, first);
    for (const auto& task : tasks_)
      if (!task->runnable && !task->done && task->deadline <= now_) {
        task->runnable = true;
        task->timed_out = true;
      }
    return true;
  }
  [[noreturn]] void give_up(const char* why) const {
    const std::string words =
        "simulation: seed " + std::to_string(seed_) + ", step " + std::to_string(steps_) + ": " + why;
    std::fputs((words + '\n').c_str(), stderr);
    std::abort();
  }

  std::uint64_t seed_;
  std::mt19937_64 random_;
  Chooser* chooser_ = nullptr;
  std::uint64_t steps_ = 0;
  std::size_t turn_ = 0;
  TimePoint now_{std::chrono::hours{1}};
  std::vector<std::unique_ptr<Task>> tasks_;
  std::vector<Task*> candidates_;
  Task* idle_main_ = nullptr;
};

}  // namespace lido::sim
