// A socket that is waited for, and what an event loop keeps of it between two waits.
#pragma once

#include <memory>

namespace lido::postgres {

/// What an event loop has registered of a socket; it derives from this. Destroyed before the connection is closed, and
/// as soon as a thread waits for the connection by itself (a loop would hear of what is none of its business): in any
/// thread, and while nothing waits.
class Registration {
 public:
  Registration() = default;
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  virtual ~Registration() = default;
};

/// A socket by its number, to which it converts; -1 where it is closed.
class Socket {
 public:
  // NOLINTNEXTLINE(google-explicit-constructor): of most there is no more to tell
  Socket(int number, std::shared_ptr<Registration>* registration = nullptr) noexcept
      : number_{number}, registration_{registration} {}
  // NOLINTNEXTLINE(google-explicit-constructor): as above
  operator int() const noexcept { return number_; }

  /// Where a loop may keep what it registered, for the next wait on the same connection. libpq closes the socket of a
  /// connection that breaks, and its number is soon another's: a loop registers a duplicate of its own. Null: the next
  /// wait is on another socket.
  [[nodiscard]] std::shared_ptr<Registration>* registration() const noexcept { return registration_; }

 private:
  int number_;
  std::shared_ptr<Registration>* registration_;
};

}  // namespace lido::postgres
