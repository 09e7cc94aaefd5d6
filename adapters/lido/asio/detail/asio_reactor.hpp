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
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <lido/asio/detail/registration.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/async/reactor.hpp>

namespace lido::asio::detail {

// `State` owns this, and is owned by the handlers of what it waits for: if the loop ends they are destroyed, and it
// with them. It has `executor()` and `complete(std::shared_ptr<State>)`, and `take_ended()` says once when to. The
// handlers may run in several threads, as the loop's; whoever is the last to come wakes the operation.
template <class State>
class AsioReactor {
 public:
  explicit AsioReactor(State& state) : state_{state}, timer_{io_executor(state.executor())} {}
  AsioReactor(const AsioReactor&) = delete;
  AsioReactor& operator=(const AsioReactor&) = delete;
  ~AsioReactor() { stand_back(); }

  void wait(postgres::Waiter& waiter, postgres::Socket socket, postgres::Need need, TimePoint deadline) {
    using Wait = Registration::Descriptor::wait_type;
    const std::lock_guard lock{mutex_};
    // Each counts once it has begun: its handler needs the lock, and one that throws has none.
    const auto begin = [this](auto& object, auto... what) {
      object.async_wait(std::move(what)...);
      ++pending_;
    };
    try {
      if (socket >= 0) {
        registration_ = Registration::of(socket, timer_.get_executor());
        auto& descriptor = registration_->descriptor();
        if (need != postgres::Need::writable) begin(descriptor, Wait::wait_read, on(postgres::Wake::ready));
        if (need != postgres::Need::readable) begin(descriptor, Wait::wait_write, on(postgres::Wake::ready));
      }
      if (deadline != TimePoint::max()) {
        timer_.expires_at(deadline);
        begin(timer_, on(postgres::Wake::timed_out));
      }
    } catch (...) {
      stand_back();
      throw;
    }
    waiter_ = &waiter;
    if (std::exchange(stopped_, false)) settle(postgres::Wake::stopped);
  }

  void cancel(postgres::Waiter& /*waiter*/) noexcept {
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
    boost::asio::post(executor, [this, state = std::move(state)] {
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
  // Where the sockets and timers belong to: to the handler's loop. The executor of `use_future` has none.
  template <class Executor>
  static boost::asio::any_io_executor io_executor(const Executor& executor) {
    if constexpr (std::is_convertible_v<Executor, boost::asio::any_io_executor>)
      return executor;
    else
      return boost::asio::system_executor{};
  }

  auto on(postgres::Wake how) {
    return boost::asio::bind_executor(
        state_.executor(), [this, how, state = state_.shared_from_this()](boost::system::error_code error) mutable {
          heard(how, error, std::move(state));
        });
  }

  void heard(postgres::Wake how, boost::system::error_code error, std::shared_ptr<State> state) {
    postgres::Waiter* waiter = nullptr;
    {
      const std::lock_guard lock{mutex_};
      --pending_;
      // Any other error is for libpq to find. Nobody waits where a wait could not begin, or was cancelled.
      if (waiter_ != nullptr && error != boost::asio::error::operation_aborted) settle(how);
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
    if (registration_ != nullptr) std::exchange(registration_, nullptr)->cancel();
    try {
      timer_.cancel();
    } catch (const boost::system::system_error&) {  // it has none
    }
  }

  State& state_;
  std::mutex mutex_;
  std::shared_ptr<Registration> registration_;  // while it waits
  boost::asio::steady_timer timer_;
  postgres::Waiter* waiter_ = nullptr;
  std::optional<postgres::Wake> how_;
  bool stopped_ = false;  // between two waits, or while one is ending
  int pending_ = 0;
};

}  // namespace lido::asio::detail
