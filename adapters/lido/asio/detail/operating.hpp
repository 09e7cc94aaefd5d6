// One operation on a connection whose result goes to a completion handler.
#pragma once

#include <atomic>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <boost/asio/associated_executor.hpp>
#include <lido/asio/detail/asio_reactor.hpp>
#include <lido/asio/detail/cancellation.hpp>
#include <lido/asio/detail/initiate.hpp>
#include <lido/asio/detail/owned.hpp>
#include <lido/asio/detail/plain_loop.hpp>
#include <lido/postgres/detail/async/drive.hpp>
#include <lido/postgres/until.hpp>

namespace lido::asio::detail {

template <class Handler, class Make>
class Operating : public std::enable_shared_from_this<Operating<Handler, Make>> {
  using Drive = postgres::detail::Drive<Make, AsioReactor<Operating>>;
  using Result = typename Drive::Result;

 public:
  using Executor = boost::asio::associated_executor_t<Handler>;

  static void start(postgres::Until until, Make make, Handler handler) {
    const auto allocator = memory_of(handler);
    auto self = std::allocate_shared<Operating>(allocator, std::move(until), std::move(make), std::move(handler));
    on_cancel(self->handler_, [weak = self->weak_from_this()] {
      if (const auto state = weak.lock()) state->drive_.stop();
    });
    if (self->drive_.begin()) return;
    const Executor& executor = self->executor_;
    post_to(executor, [self = std::move(self)]() mutable { complete(std::move(self)); });
  }

  Operating(postgres::Until until, Make make, Handler handler)
      : handler_{std::move(handler)},
        executor_{boost::asio::get_associated_executor(handler_)},
        reactor_{*this, until.stop.stop_possible() || can_cancel(handler_)},
        drive_{reactor_, std::move(until), std::move(make), &Operating::done, *this} {}

  [[nodiscard]] const Executor& executor() const noexcept { return executor_; }
  [[nodiscard]] bool take_ended() noexcept { return ended_.exchange(false); }

  static void complete(std::shared_ptr<Operating> self) {
    forget_cancel(self->handler_);
    std::exception_ptr error;
    std::optional<Held> result;
    try {
      if constexpr (std::is_void_v<Result>)
        self->drive_.take(), result.emplace();
      else
        result.emplace(self->drive_.take());
    } catch (...) {
      error = std::current_exception();
    }
    Handler handler = std::move(self->handler_);
    self.reset();  // its memory is the handler's to use again
    if constexpr (std::is_void_v<Result>)
      invoke_handler(std::move(handler), std::move(error));
    else
      invoke_handler(std::move(handler), std::move(error), result ? *std::move(result) : Held{});
  }

 private:
  struct Nothing {};
  using Held = std::conditional_t<std::is_void_v<Result>, Nothing, Result>;

  static void done(Drive& drive) noexcept { static_cast<Driven&>(drive).owner.ended_.store(true); }
  struct Driven : Drive {
    Driven(AsioReactor<Operating>& reactor, postgres::Until until, Make make, void (*done)(Drive&) noexcept,
           Operating& state)
        : Drive{reactor, std::move(until), std::move(make), done}, owner{state} {}
    Operating& owner;
  };

  // Destroyed in the opposite order: the operation is given up before the handler lets go of the connection.
  Handler handler_;
  Executor executor_;
  std::atomic<bool> ended_{false};
  AsioReactor<Operating> reactor_;
  Driven drive_;
};

template <class Make>
struct InitiateOperation {
  template <class Handler>
  void operator()(Handler&& handler) && {
    Operating<std::decay_t<Handler>, Make>::start(std::move(until), std::move(make), std::forward<Handler>(handler));
  }
  postgres::Until until;
  Make make;
};

}  // namespace lido::asio::detail
