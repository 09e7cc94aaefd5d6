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

// An operation as the reactor sees it. What waits on its behalf is compiled once for each kind of executor: for each
// operation and each handler it would be most of what a program with statements compiles.
template <class Executor>
class Waiting : public std::enable_shared_from_this<Waiting<Executor>> {
 public:
  [[nodiscard]] const Executor& executor() const noexcept { return executor_; }
  [[nodiscard]] bool take_ended() noexcept { return ended_.exchange(false); }
  static void complete(std::shared_ptr<Waiting> self) {
    Waiting& it = *self;
    it.finish(std::move(self));
  }

 protected:
  Waiting(Executor executor, bool stoppable) : executor_{std::move(executor)}, reactor_{*this, stoppable} {}
  ~Waiting() = default;

  // Has the handler called, behind the end of this, which `self` owns.
  virtual void finish(std::shared_ptr<Waiting> self) = 0;
  virtual void stop() noexcept = 0;

  struct Stop {
    void operator()() const {
      if (const auto state = weak.lock()) state->stop();
    }
    std::weak_ptr<Waiting> weak;
  };
  struct Complete {
    void operator()() { complete(std::move(self)); }
    std::shared_ptr<Waiting> self;
  };
  void end() noexcept { ended_.store(true); }
  [[nodiscard]] AsioReactor<Waiting>& reactor() noexcept { return reactor_; }

 private:
  Executor executor_;
  std::atomic<bool> ended_{false};
  AsioReactor<Waiting> reactor_;
};

template <class Handler>
struct HeldHandler {
  Handler kept;
};

// Destroyed in the opposite order: the operation is given up, and nothing waits for it any more, before the handler
// lets go of the connection.
template <class Handler, class Make>
class Operating final : private HeldHandler<Handler>, public Waiting<boost::asio::associated_executor_t<Handler>> {
  using Base = Waiting<boost::asio::associated_executor_t<Handler>>;
  using Drive = postgres::detail::Drive<Make, AsioReactor<Base>>;
  using Result = typename Drive::Result;

 public:
  static void start(postgres::Until until, Make make, Handler handler) {
    const auto allocator = memory_of(handler);
    auto self = std::allocate_shared<Operating>(allocator, std::move(until), std::move(make), std::move(handler));
    on_cancel(self->kept, typename Base::Stop{self->weak_from_this()});
    if (self->drive_.begin()) return;
    const auto& executor = self->executor();
    post_to(executor, typename Base::Complete{std::move(self)});
  }

  Operating(postgres::Until until, Make make, Handler handler)
      : HeldHandler<Handler>{std::move(handler)},
        Base{boost::asio::get_associated_executor(this->kept), until.stop.stop_possible() || can_cancel(this->kept)},
        drive_{this->reactor(), std::move(until), std::move(make), &Operating::done, *this} {}

 private:
  struct Nothing {};
  using Held = std::conditional_t<std::is_void_v<Result>, Nothing, Result>;

  void finish(std::shared_ptr<Base> self) override {
    forget_cancel(this->kept);
    std::exception_ptr error;
    std::optional<Held> result;
    try {
      if constexpr (std::is_void_v<Result>)
        drive_.take(), result.emplace();
      else
        result.emplace(drive_.take());
    } catch (...) {
      error = std::current_exception();
    }
    Handler handler = std::move(this->kept);
    self.reset();  // its memory is the handler's to use again
    if constexpr (std::is_void_v<Result>)
      invoke_handler(std::move(handler), std::move(error));
    else
      invoke_handler(std::move(handler), std::move(error), result ? *std::move(result) : Held{});
  }
  void stop() noexcept override { drive_.stop(); }

  static void done(Drive& drive) noexcept { static_cast<Driven&>(drive).owner.end(); }
  struct Driven : Drive {
    Driven(AsioReactor<Base>& reactor, postgres::Until until, Make make, void (*done)(Drive&) noexcept,
           Operating& state)
        : Drive{reactor, std::move(until), std::move(make), done}, owner{state} {}
    Operating& owner;
  };

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
