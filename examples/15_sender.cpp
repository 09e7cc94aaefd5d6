// A sender in the sense of P2300 (std::execution) over the callback form: an acquire for any library of senders and
// receivers, which need not be there for the pool to be built.
#include <chrono>
#include <exception>
#include <future>
#include <iostream>
#include <stop_token>
#include <string>
#include <utility>

#include <lido/pool.hpp>

using namespace std::chrono_literals;

// [sender]
// Completes with set_value(lease), set_error(exception) or set_stopped().
template <class Pool>
struct AcquireSender {
  Pool& pool;
  lido::Duration timeout;

  template <class Receiver>
  struct Complete {
    Receiver receiver;
    void operator()(const std::exception_ptr& failure, typename Pool::Lease lease) noexcept {
      if (failure == nullptr) return std::move(receiver).set_value(std::move(lease));
      try {
        std::rethrow_exception(failure);
      } catch (const lido::AcquireCancelled&) {
        std::move(receiver).set_stopped();
      } catch (...) {
        std::move(receiver).set_error(failure);
      }
    }
  };
  // The operation state; `start` on it begins. The stop token is the one of the receiver's environment.
  template <class Receiver>
  auto connect(Receiver receiver) && {
    auto stop = receiver.get_env().get_stop_token();
    return pool.async_acquire(timeout, std::move(stop)).connect(Complete<Receiver>{std::move(receiver)});
  }
};
// [/sender]

namespace {

struct Connection {
  [[nodiscard]] int answer() const { return 42; }
};
using Pool = lido::Pool<Connection, lido::FixedSize>;

// The smallest receiver, which a library would write: it fulfils a promise.
struct Environment {
  [[nodiscard]] std::stop_token get_stop_token() const { return token; }
  std::stop_token token;
};
struct Receiver {
  void set_value(const Pool::Lease& lease) && noexcept {
    result.set_value("answer " + std::to_string(lease->answer()));
  }
  void set_error(const std::exception_ptr& failure) && noexcept { result.set_exception(failure); }
  void set_stopped() && noexcept { result.set_value("stopped"); }
  [[nodiscard]] Environment get_env() const { return {token}; }
  std::promise<std::string>& result;
  std::stop_token token;
};

}  // namespace

int main() try {
  Pool pool{[] { return Connection{}; }, lido::FixedSize{.size = 1}};
  std::promise<std::string> first;
  auto operation = AcquireSender<Pool>{pool, 2s}.connect(Receiver{first, {}});
  operation.start();
  const std::string answered = first.get_future().get();

  pool.suspend();  // nothing is leased for now, so that the next one has to wait
  std::promise<std::string> second;
  std::stop_source stop;
  auto stopped = AcquireSender<Pool>{pool, 2s}.connect(Receiver{second, stop.get_token()});
  stopped.start();
  stop.request_stop();
  const std::string ended = second.get_future().get();

  std::cout << answered << ", then " << ended << '\n';
  return answered == "answer 42" && ended == "stopped" ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
