// Asking the server to cancel what a session is at.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <exception>
#include <memory>
#include <thread>
#include <type_traits>
#include <utility>

#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/wait.hpp>

namespace lido::postgres::detail {

/// What a request to cancel is sent with, made of the session's connection. Since version 17 libpq sends it as the
/// session is: encrypted, to a server that is verified. Before that it goes unencrypted, whatever the session is.
template <class Raw>
[[nodiscard]] auto cancel_handle(Raw* raw) {
  if constexpr (requires { PQcancelBlocking(PQcancelCreate(raw)); }) {
    using Request = std::remove_pointer_t<decltype(PQcancelCreate(raw))>;
    struct FinishRequest {
      void operator()(Request* request) const noexcept { PQcancelFinish(request); }
    };
    return std::unique_ptr<Request, FinishRequest>{PQcancelCreate(raw)};
  } else {
    return CancelHandle{PQgetCancel(raw)};
  }
}
/// Blocks for as long as the network likes. False: nobody has got it.
template <class Handle>
[[nodiscard]] bool send_cancel(const Handle& handle) noexcept {
  if constexpr (requires { PQcancelBlocking(handle.get()); }) {
    return PQcancelBlocking(handle.get()) != 0;
  } else {
    char reason[256];
    return PQcancel(handle.get(), reason, sizeof reason) != 0;
  }
}

/// A request to cancel on its way. It connects anew and may block for as long as the network likes, so it gets a
/// thread of its own. Who has to know waits for its end; who closes the connection anyway need not. The thread owns all
/// that it touches but one number, which is never destroyed: it may be left behind, also when the process ends.
class Cancelling {
 public:
  explicit Cancelling(PGconn* connection) noexcept {
    try {
      auto request = std::make_shared<Request>(connection);
      if (!request->handle || request->ends[0] < 0) return;
      // A server that hangs lets them pile up; it would not hear them anyway. Those of a parent are not the child's.
      // Relaxed: it bounds threads and orders nothing, and where two of a child are its first, one may go uncounted.
      if (process_.exchange(::getpid(), std::memory_order_relaxed) != ::getpid())
        live_.store(0, std::memory_order_relaxed);
      if (live_.fetch_add(1, std::memory_order_relaxed) >= most) {
        live_.fetch_sub(1, std::memory_order_relaxed);
        return;
      }
      try {
        std::thread{[request] {
          request->run();
          live_.fetch_sub(1, std::memory_order_relaxed);
        }}.detach();
      } catch (...) {
        live_.fetch_sub(1, std::memory_order_relaxed);
        throw;
      }
      request_ = std::move(request);
    } catch (const std::exception&) {  // no thread: the server finds out by itself
    }
  }

  /// Once it is readable, the request has ended.
  [[nodiscard]] Socket socket() const noexcept { return request_ ? request_->ends[0] : -1; }
  [[nodiscard]] Need step() noexcept {
    char delivered = 0;
    if (!request_) return Need::nothing;
    const ssize_t count = ::read(request_->ends[0], &delivered, 1);
    if (count < 0 && is_for_now(errno)) return Need::readable;
    delivered_ = count == 1 && delivered != 0;
    request_.reset();
    return Need::nothing;
  }
  void give_up(Wake) noexcept { request_.reset(); }
  /// Whoever took it has closed the connection. That is the server, which has signalled the session by then, or a
  /// proxy, which may forward it later.
  [[nodiscard]] bool delivered() const noexcept { return delivered_; }

 private:
  struct Request {
    explicit Request(PGconn* connection) : handle{cancel_handle(connection)} {
      if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) ends = {-1, -1};
    }
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;
    ~Request() {
      for (const int end : ends)
        if (end >= 0) ::close(end);
    }
    // No signal of the program's comes here, and no SIGPIPE: PQcancel of before libpq 17 sends as if its peer were
    // there.
    void run() const noexcept {
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
      const char delivered = send_cancel(handle) ? 1 : 0;
      static_cast<void>(!::write(ends[1], &delivered, 1));
    }

    decltype(cancel_handle(std::declval<PGconn*>())) handle;
    std::array<int, 2> ends{-1, -1};
  };

  static constexpr int most = 64;
  [[gnu::visibility("default")]] static inline std::atomic<int> live_{0};
  [[gnu::visibility("default")]] static inline std::atomic<pid_t> process_{0};  // whose they are

  std::shared_ptr<Request> request_;
  bool delivered_ = false;
};

}  // namespace lido::postgres::detail
