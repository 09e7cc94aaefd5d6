// A fibre in an event loop of Boost.Asio: code that waits there as if it blocked, and holds up nobody.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <lido/asio/detail/asio_reactor.hpp>
#include <lido/asio/detail/night_watch.hpp>
#include <lido/asio/detail/stackful.hpp>
#include <lido/asio/detail/waiting_room.hpp>
#include <lido/detail/resumption.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/async/reactor.hpp>
#include <lido/postgres/until.hpp>
#include <lido/worker.hpp>

namespace lido::asio::detail {

// Owned by the handlers of what it waits for. When the loop ends its wait is cut off, and it goes on in the thread that
// ended it, as blocking code, until it rests; and then in that of whoever wakes it, as the pool does at its end, or of
// the night watch, at its deadline. It is gone when what it runs has ended. In the child of a fork it does not go on:
// there it is the parent's.
class Fibre final : public WorkerParker,
                    public postgres::detail::Poller,
                    public postgres::Waiter,
                    private WaitingRoom::Resident,
                    private NightWatch::Sleeper,
                    public std::enable_shared_from_this<Fibre> {
 public:
  static void start(const boost::asio::any_io_executor& executor, std::size_t stack, Worker body) {
    // Without its body until all that can fail has been done: it would run it.
    std::shared_ptr<Fibre> self{new Fibre{executor, stack}, [](Fibre* fibre) { fibre->let_go(); }};
    self->body_ = std::move(body);
    try {
      self->room_->move_in(*self);
      boost::asio::post(executor, [self] { self->run(); });
    } catch (...) {
      self->body_ = nullptr;
      throw;
    }
  }

  bool wait_until(TimePoint deadline) noexcept override {
    // A timer in any case: a handler of it keeps the fibre.
    constexpr std::chrono::hours long_time{1};
    for (;;) {
      {
        const std::lock_guard lock{mutex_};
        if (std::exchange(token_, false)) return true;
      }
      const TimePoint now = Clock::now();
      if (now >= deadline) return false;
      suspend({.socket = -1, .until = std::min(deadline, now + long_time), .rests = true});
    }
  }
  void wake() noexcept override {
    {
      const std::lock_guard lock{mutex_};
      token_ = true;
      if (reactor_) return reactor_->post(*this);
      // Or it runs, or is about to: then it finds the token before it rests.
      if (!is_ours() || !night_watch_.remove(*this)) return;
    }
    run();
  }

  postgres::Wake wait(postgres::Socket socket, postgres::Need need, const postgres::Until& until) override {
    for (;;) {
      if (until.stop.stop_requested()) return postgres::Wake::stopped;
      const TimePoint now = Clock::now();
      const TimePoint look =
          until.stop.stop_possible() ? std::min(until.deadline, now + postgres::detail::stop_slice) : until.deadline;
      if (!in_loop()) return wait_here(socket, need, until);
      suspend({.socket = socket, .need = need, .until = look});
      if (std::exchange(cut_off_, false)) return postgres::Wake::stopped;
      if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
      if (how_ == postgres::Wake::ready) return postgres::Wake::ready;
      if (Clock::now() >= until.deadline) return postgres::Wake::timed_out;
    }
  }

  // For the reactor. It is gone when nobody holds it, and not when somebody says so.
  [[nodiscard]] const boost::asio::any_io_executor& executor() const noexcept { return executor_; }
  [[nodiscard]] static bool take_ended() noexcept { return false; }
  static void complete(std::shared_ptr<Fibre>&& self) noexcept { self.reset(); }

 private:
  struct Wish {
    postgres::Socket socket{-1};
    postgres::Need need = postgres::Need::readable;
    TimePoint until{};
    bool rests = false;
  };

  Fibre(const boost::asio::any_io_executor& executor, std::size_t stack)
      : room_{&boost::asio::use_service<WaitingRoom>(boost::asio::query(executor, boost::asio::execution::context))},
        executor_{executor},
        reactor_{std::in_place, *this},
        stack_{stack, [this] {
                 if (body_) std::exchange(body_, nullptr)(*this);
               }} {}
  ~Fibre() = default;

  // In the loop's thread, or where there is no loop any more: until it waits the next time. For one at a time: whom the
  // loop has it wake, and without the loop whoever took it from the night watch.
  void run() noexcept {
    if (!is_ours()) return;
    for (;;) {
      postgres::detail::Poller* const poller = std::exchange(postgres::detail::poller, this);
      auto* const line = std::exchange(lido::detail::Resumption::current(), &line_);
      {
        const std::lock_guard lock{mutex_};
        entered_ = true;
      }
      stack_.enter();
      lido::detail::Resumption::current() = line;
      postgres::detail::poller = poller;
      const std::lock_guard lock{mutex_};
      entered_ = false;
      if (stack_.ended()) {
        if (held_) return;
        break;
      }
      if (!reactor_) {                                             // it rests
        if (!token_) return night_watch_.add(*this, wish_.until);  // it may go on before this returns
        continue;
      }
      try {
        // Under the lock, though it registers and may allocate: a wake that comes meanwhile finds it waiting.
        return reactor_->wait(*this, wish_.socket, wish_.need, wish_.until);  // it may go on before this returns
      } catch (...) {
        if (!wish_.rests) error_ = std::current_exception();
      }
    }
    delete this;
  }
  void wake(postgres::Wake how) noexcept override {
    {
      const std::lock_guard lock{mutex_};
      how_ = how;
    }
    run();
  }
  // Its deadline has come, where there is no loop.
  void go_on() noexcept override { run(); }

  // In the fibre.
  void suspend(Wish wish) noexcept {
    wish_ = wish;
    how_ = postgres::Wake::timed_out;
    stack_.leave();
  }
  [[nodiscard]] bool in_loop() {
    const std::lock_guard lock{mutex_};
    return reactor_.has_value();
  }
  postgres::Wake wait_here(postgres::Socket socket, postgres::Need need, const postgres::Until& until) {
    postgres::detail::poller = nullptr;
    const auto restore =
        std::unique_ptr<Fibre, void (*)(Fibre*)>{this, [](Fibre* self) { postgres::detail::poller = self; }};
    if (socket >= 0) return postgres::detail::wait_for(socket, need, until);
    postgres::detail::pause_until(until);
    return postgres::Wake::timed_out;
  }

  [[nodiscard]] bool is_ours() const noexcept { return owner_ == ::getpid(); }
  void context_ends() noexcept override {
    const std::shared_ptr<Fibre> self = weak_from_this().lock();
    if (self != nullptr) leave_loop();
  }
  // No handler holds it any more.
  void let_go() noexcept {
    {
      const std::lock_guard lock{mutex_};
      held_ = false;
    }
    leave_loop();
  }
  // Goes on where it is, until it rests: then whoever wakes it lets it go on, or its deadline. The second time, when
  // the handlers go that the loop had kept to its end, another thread may be in it, or about to: `run` sees then that
  // nobody holds it.
  void leave_loop() noexcept {
    if (!is_ours()) return;
    if (WaitingRoom* const room = std::exchange(room_, nullptr)) room->move_out(*this);
    bool ended = false;
    {
      const std::lock_guard lock{mutex_};
      const bool again = !reactor_;
      reactor_.reset();
      executor_ = {};
      if (entered_) return;
      ended = stack_.ended();
      if (ended ? held_ : again) return;
      if (wish_.rests && !token_ && !ended) return night_watch_.add(*this, wish_.until);
      cut_off_ = !wish_.rests;
    }
    ended ? delete this : run();
  }

  const pid_t owner_ = ::getpid();
  NightWatch& night_watch_ = NightWatch::of_this_process();  // locked last
  WaitingRoom* room_;                                        // null once it has left the loop
  std::mutex mutex_;
  boost::asio::any_io_executor executor_;      // none without it
  std::optional<AsioReactor<Fibre>> reactor_;  // null once it has left the loop
  bool token_ = false;                         // it was woken
  bool entered_ = false;                       // somebody is on its stack
  bool held_ = true;                           // by its handlers

  // Owned by whoever runs it.
  Worker body_;
  lido::detail::Resumption::Line line_;
  Stackful stack_;
  Wish wish_;
  postgres::Wake how_{};
  std::exception_ptr error_;
  bool cut_off_ = false;  // its wait has ended because the loop did
};

}  // namespace lido::asio::detail
