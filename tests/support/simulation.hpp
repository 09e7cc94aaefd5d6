// A machine whose threads, clock and order of events belong to the test: the `Platform` of simulated pools.
//
// Its threads are real ones of which exactly one runs at a time. Each atomic operation, lock and park is a point where
// the simulation may let another thread run, decided by a seed or by a `Chooser`, so that a seed, or a list of choices,
// replays its schedule exactly. Time stands still while a thread can run, and jumps to the next deadline when none can.
// When nobody can ever run again the program stops and says so: that is what a lost wake-up looks like here.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include <lido/detail/platform.hpp>
#include <lido/facts.hpp>
#include <support/one_processor.hpp>

namespace lido::sim {

class Simulation;

// One simulated thread.
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

// Decides in place of a seed what happens next, of which there are `options` possibilities, counted from 0.
class Chooser {
 public:
  // `free`: the thread that ran stops here, and somebody has to go on. Otherwise 0 lets it go on, and all else preempts
  // it: lets another run, or the next deadline pass first.
  virtual std::size_t choose(std::size_t options, bool free) = 0;

 protected:
  ~Chooser() = default;
};

class Simulation {
 public:
  // Seed 0 is the calm schedule: a thread runs until it waits, and the first in line goes next.
  explicit Simulation(std::uint64_t seed = 0) : seed_{seed}, random_{seed} {}

  // Runs `program` as the first thread, in virtual time, until it and all threads that it started are done. Passes on
  // what it throws. A fresh thread, so that nothing thread-local is left from the schedule before.
  void run(const std::function<void()>& program) {
    const test::OneProcessor pinned;
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
  // From now on this one decides; nullptr: the seed again.
  void decided_by(Chooser* chooser) noexcept { chooser_ = chooser; }
  // The steps after which the program is taken to run in circles.
  std::uint64_t step_limit = 20'000'000;
  // Looks at what the step before this one did; takes no step itself.
  std::function<void()> after_each_step;

  // A point where another thread may run.
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
  // Waits until somebody wakes this thread; false when the deadline came first.
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
  // The last act of a thread.
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
        if (seed_ != 0) return *candidates_[static_cast<std::size_t>(random_() % candidates_.size())];
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
    std::fprintf(stderr, "simulation: seed %llu, step %llu: %s\n", static_cast<unsigned long long>(seed_),
                 static_cast<unsigned long long>(steps_), why);
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

inline void yield() {
  if (self != nullptr) self->world->yield();
}

template <class T>
class Atomic {
 public:
  Atomic(T value = {}) noexcept : value_{value} {}
  Atomic(const Atomic&) = delete;
  Atomic& operator=(const Atomic&) = delete;

  T load(std::memory_order = std::memory_order_seq_cst) const noexcept {
    yield();
    return value_;
  }
  void store(T value, std::memory_order = std::memory_order_seq_cst) noexcept {
    yield();
    value_ = value;
  }
  T exchange(T value, std::memory_order = std::memory_order_seq_cst) noexcept {
    yield();
    return std::exchange(value_, value);
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order = std::memory_order_seq_cst,
                               std::memory_order = std::memory_order_seq_cst) noexcept {
    yield();
    if (value_ == expected) return value_ = desired, true;
    return expected = value_, false;
  }

 private:
  T value_;
};

class Mutex {
 public:
  void lock() {
    yield();
    while (owner_ != nullptr) {
      waiters_.push_back(self);
      self->world->block(TimePoint::max());
    }
    owner_ = self;
  }
  bool try_lock() {
    yield();
    return owner_ == nullptr && (owner_ = self, true);
  }
  void unlock() {
    owner_ = nullptr;
    for (Task* const waiter : waiters_) Simulation::wake(*waiter);
    waiters_.clear();
    yield();
  }
  [[nodiscard]] bool is_locked() const noexcept { return owner_ != nullptr; }

 private:
  Task* owner_ = nullptr;
  std::vector<Task*> waiters_;
};

class Parker {
 public:
  bool park_until(TimePoint deadline) {
    yield();
    while (!token_) {
      if (self->world->now() >= deadline) return false;
      parked_ = self;
      const bool woken = self->world->block(deadline);
      parked_ = nullptr;
      if (!woken && !token_) return false;
    }
    token_ = false;
    return true;
  }
  void park() { park_until(TimePoint::max()); }
  void unpark() {
    token_ = true;
    if (parked_ != nullptr) Simulation::wake(*parked_);
    yield();  // from here on the parker may be gone
  }

 private:
  bool token_ = false;
  Task* parked_ = nullptr;
};

class Thread {
 public:
  Thread() = default;
  explicit Thread(std::function<void()> body) {
    task_ = &self->world->adopt();
    thread_ = std::thread{[task = task_, body = std::move(body)] {
      task->baton.park();
      self = task;
      body();
      self = nullptr;
      task->world->finish(*task);
    }};
    yield();
  }
  Thread(Thread&&) = default;
  Thread& operator=(Thread&&) = default;

  [[nodiscard]] bool joinable() const noexcept { return thread_.joinable(); }
  [[nodiscard]] std::thread::id get_id() const noexcept { return thread_.get_id(); }
  void join() {
    while (!task_->done) {
      task_->joiners.push_back(self);
      self->world->block(TimePoint::max());
    }
    thread_.join();
  }
  void detach() { thread_.detach(); }

 private:
  Task* task_ = nullptr;
  std::thread thread_;
};

// A stop token whose callbacks wait for each other in virtual time; the standard one would block the machine.
class StopSource;
class StopToken {
 public:
  StopToken() = default;
  [[nodiscard]] bool stop_requested() const noexcept { return state_ && state_->requested; }
  [[nodiscard]] bool stop_possible() const noexcept { return state_ != nullptr; }

 private:
  friend class StopSource;
  template <class Function>
  friend class StopCallback;
  struct Entry {
    std::function<void()> function;
    Task* runner = nullptr;  // who calls it now
    Task* destroyer = nullptr;
  };
  struct State {
    bool requested = false;
    std::vector<std::shared_ptr<Entry>> entries;
  };
  std::shared_ptr<State> state_;
};

class StopSource {
 public:
  StopSource() { token_.state_ = std::make_shared<StopToken::State>(); }
  [[nodiscard]] StopToken get_token() const { return token_; }
  void request_stop() {
    yield();
    token_.state_->requested = true;
    while (!token_.state_->entries.empty()) {
      const std::shared_ptr<StopToken::Entry> entry = token_.state_->entries.back();
      token_.state_->entries.pop_back();
      entry->runner = self;
      entry->function();
      entry->runner = nullptr;
      if (entry->destroyer != nullptr) Simulation::wake(*entry->destroyer);
    }
  }

 private:
  StopToken token_;
};

template <class Function>
class StopCallback {
 public:
  StopCallback(const StopToken& token, Function function) : state_{token.state_.get()} {
    entry_->function = std::move(function);
    if (state_->requested)
      entry_->function();
    else
      state_->entries.push_back(entry_);
  }
  ~StopCallback() {
    std::erase(state_->entries, entry_);
    if (entry_->runner == self) return;  // by its own call: nobody to wait for
    while (entry_->runner != nullptr) {
      entry_->destroyer = self;
      self->world->block(TimePoint::max());
    }
  }
  StopCallback(const StopCallback&) = delete;
  StopCallback& operator=(const StopCallback&) = delete;

 private:
  StopToken::State* state_;  // its source outlives the call that waits
  std::shared_ptr<StopToken::Entry> entry_ = std::make_shared<StopToken::Entry>();
};

struct Platform {
  template <class T>
  using Atomic = sim::Atomic<T>;
  using Mutex = sim::Mutex;
  using Parker = sim::Parker;
  struct ProcessMark {
    [[nodiscard]] static bool is_ours() noexcept { return true; }
  };
  using Thread = sim::Thread;
  using StopToken = sim::StopToken;
  template <class Function>
  using StopCallback = sim::StopCallback<Function>;

  static constexpr bool checks = true;
  // While it lives nothing that this thread does is a step.
  class Aside {
   public:
    Aside() = default;
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;
    ~Aside() { self = me_; }

   private:
    Task* const me_ = std::exchange(self, nullptr);
  };

  static TimePoint now() noexcept { return self != nullptr ? self->world->now() : TimePoint{}; }
  // The slowest that there may be.
  static std::uint64_t ticks() noexcept { return static_cast<std::uint64_t>(now().time_since_epoch().count()) / 4; }
  static bool has_ticks() noexcept { return true; }
  static std::thread::id this_thread() noexcept { return std::this_thread::get_id(); }
  static std::uint64_t entropy() noexcept { return self != nullptr ? self->world->seed() : 1; }
};

// Virtual time passes.
inline void sleep_for(Duration span) { self->world->block(saturating_add(Platform::now(), span)); }

// A gate that opens once: threads meet here instead of sleeping.
class Latch {
 public:
  explicit Latch(std::size_t count) : missing_{count} {}
  void count_down() {
    if (missing_ > 0 && --missing_ == 0)
      for (Task* const waiter : std::exchange(waiters_, {})) Simulation::wake(*waiter);
    yield();
  }
  void wait() {
    while (missing_ > 0) {
      waiters_.push_back(self);
      self->world->block(TimePoint::max());
    }
  }

 private:
  std::size_t missing_;
  std::vector<Task*> waiters_;
};

}  // namespace lido::sim
