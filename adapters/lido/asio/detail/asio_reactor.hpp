// The reactor of Boost.Asio: it waits on behalf of one operation.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <type_traits>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <lido/asio/detail/plain_loop.hpp>
#include <lido/asio/detail/registration.hpp>
#include <lido/detail/spare_blocks.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/async/reactor.hpp>

namespace lido::asio::detail {

// `State` owns this, and is owned by the handlers of what it waits for: if the loop ends they are destroyed, and it
// with them. It has `executor()` and `complete(std::shared_ptr<State>)`, and `take_ended()` says once when to. The
// handlers may run in several threads, as the loop's; whoever is the last to come wakes the operation.
//
// Most operations wait for an answer alone, and nobody may stop them: one handler comes, and it comes alone.
template <class State>
class AsioReactor {
 public:
  // `stoppable`: `post` may be called.
  explicit AsioReactor(State& state, bool stoppable = true)
      : state_{state}, loop_{copy_of(plain_loop(state.executor()))}, stoppable_{stoppable} {}
  AsioReactor(const AsioReactor&) = delete;
  AsioReactor& operator=(const AsioReactor&) = delete;
  ~AsioReactor() { stand_back(); }

  void wait(postgres::Waiter& waiter, postgres::Socket socket, postgres::Need need, TimePoint deadline) {
    using Wait = Registration::Descriptor::wait_type;
    if (!stoppable_ && socket >= 0 && need == postgres::Need::readable && deadline == TimePoint::max())
      return wait_alone(waiter, socket);
    const std::lock_guard lock{mutex_};
    // Each counts once it has begun: its handler needs the lock, and one that throws has none.
    const auto begin = [this](auto& object, postgres::Wake how, auto... what) {
      start(object, Hear{this, how, state_.shared_from_this()}, what...);
      ++pending_;
    };
    try {
      if (socket >= 0) {
        register_at(socket);
        auto& descriptor = registration_->descriptor();
        if (need != postgres::Need::writable) begin(descriptor, postgres::Wake::ready, Wait::wait_read);
        if (need != postgres::Need::readable) begin(descriptor, postgres::Wake::ready, Wait::wait_write);
      }
      if (deadline != TimePoint::max()) {
        if (!timer_) timer_.emplace(io_executor());
        timer_->expires_at(deadline);
        begin(*timer_, postgres::Wake::timed_out);
      }
    } catch (...) {
      stand_back();
      throw;
    }
    waiter_ = &waiter;
    if (std::exchange(stopped_, false)) settle(postgres::Wake::stopped);
  }

  void cancel(postgres::Waiter& /*waiter*/) noexcept {
    if (!stoppable_ && pending_ == 0) return void(waiter_ = nullptr);  // there is no handler, nor will there be one
    const std::lock_guard lock{mutex_};
    waiter_ = nullptr;
    how_.reset();
    stopped_ = false;
    stand_back();
  }

  void post(postgres::Waiter& /*waiter*/) noexcept {
    auto state = state_.weak_from_this().lock();
    if (state == nullptr) return;
    const auto executor = state->executor();
    post_to(executor, [this, state = std::move(state)] {
      const std::lock_guard lock{mutex_};
      // Where it waits, one handler at least waits for it, which comes now. A wait that is ending already has its way,
      // and the next one ends with the stop.
      if (waiter_ != nullptr && !how_)
        settle(postgres::Wake::stopped);
      else
        stopped_ = true;
    });
  }

 private:
  // Asio would recycle the memory of one of them at a time.
  struct Recycled {
    using allocator_type = lido::detail::SpareAllocator<void>;
    [[nodiscard]] allocator_type get_allocator() const noexcept { return {}; }
  };
  struct Hear : Recycled {
    Hear(AsioReactor* whose, postgres::Wake wake, std::shared_ptr<State> kept)
        : reactor{whose}, how{wake}, state{std::move(kept)} {}
    void operator()(boost::system::error_code error) { reactor->heard(how, error, std::move(state)); }
    AsioReactor* reactor;
    postgres::Wake how;
    std::shared_ptr<State> state;
  };
  struct HearAlone : Recycled {
    HearAlone(AsioReactor* whose, std::shared_ptr<State> kept) : reactor{whose}, state{std::move(kept)} {}
    void operator()(boost::system::error_code /*for libpq to find*/) { reactor->heard_alone(std::move(state)); }
    AsioReactor* reactor;
    std::shared_ptr<State> state;
  };

  static std::optional<PlainLoop> copy_of(const PlainLoop* loop) noexcept {
    return loop == nullptr ? std::nullopt : std::optional<PlainLoop>{*loop};
  }
  // Where the sockets and timers belong to: to the handler's loop. The executor of `use_future` has none.
  [[nodiscard]] boost::asio::any_io_executor io_executor() const {
    if (loop_) return *loop_;
    if constexpr (std::is_convertible_v<decltype(state_.executor()), boost::asio::any_io_executor>)
      return state_.executor();
    else
      return boost::asio::system_executor{};
  }

  void register_at(postgres::Socket socket) {
    registration_ = loop_ ? Registration::of(socket, *loop_) : Registration::of(socket, io_executor());
  }
  // In the loop's threads by itself, or as the state's executor has it.
  template <class Object, class Handler, class... What>
  void start(Object& object, Handler handler, What... what) {
    if (loop_)
      object.async_wait(what..., boost::asio::bind_executor(*loop_, std::move(handler)));
    else
      object.async_wait(what..., boost::asio::bind_executor(state_.executor(), std::move(handler)));
  }

  // Its handler may have come, in another thread, before this returns.
  void wait_alone(postgres::Waiter& waiter, postgres::Socket socket) {
    register_at(socket);
    waiter_ = &waiter;
    pending_ = 1;
    try {
      start(registration_->descriptor(), HearAlone{this, state_.shared_from_this()},
            Registration::Descriptor::wait_type::wait_read);
    } catch (...) {
      pending_ = 0;
      waiter_ = nullptr;
      registration_.reset();
      throw;
    }
  }
  void heard_alone(std::shared_ptr<State> state) {
    pending_ = 0;
    registration_.reset();
    postgres::Waiter* const waiter = std::exchange(waiter_, nullptr);
    if (waiter != nullptr) waiter->wake(postgres::Wake::ready);
    if (state->take_ended()) State::complete(std::move(state));
  }

  void heard(postgres::Wake how, boost::system::error_code error, std::shared_ptr<State> state) {
    postgres::Waiter* waiter = nullptr;
    {
      const std::lock_guard lock{mutex_};
      --pending_;
      // An error is for libpq to find. Nobody waits where a wait could not begin, or was cancelled. One that another
      // operation on the same connection has called off looks, and waits again.
      if (waiter_ != nullptr) settle(error == boost::asio::error::operation_aborted ? postgres::Wake::ready : how);
      if (pending_ > 0) return;
      waiter = std::exchange(waiter_, nullptr);
    }
    if (waiter != nullptr) waiter->wake(*std::exchange(how_, std::nullopt));
    // Where it waits again, it may have ended by now in another thread.
    if (state->take_ended()) State::complete(std::move(state));
  }

  // The first that happens ends the wait; the others are called off.
  void settle(postgres::Wake how) noexcept {
    if (how_) return;
    how_ = how;
    stand_back();
  }
  void stand_back() noexcept {
    const std::shared_ptr<Registration> registration = std::exchange(registration_, nullptr);
    if (pending_ == 0) return;
    if (registration != nullptr) registration->cancel();
    if (timer_) try {
        timer_->cancel();
      } catch (const boost::system::system_error&) {  // it has none
      }
  }

  State& state_;
  const std::optional<PlainLoop> loop_;
  const bool stoppable_;
  std::mutex mutex_;
  std::shared_ptr<Registration> registration_;      // while it waits
  std::optional<boost::asio::steady_timer> timer_;  // once there was a deadline
  postgres::Waiter* waiter_ = nullptr;
  std::optional<postgres::Wake> how_;
  bool stopped_ = false;  // between two waits, or while one is ending
  int pending_ = 0;
};

}  // namespace lido::asio::detail
