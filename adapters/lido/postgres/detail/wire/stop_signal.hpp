// A requested stop as something that poll(2) can wait for.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <optional>
#include <stop_token>

namespace lido::postgres::detail {

/// A pipe that becomes readable as soon as a stop is requested. For waits that are long: it costs a few system calls.
class StopSignal {
 public:
  explicit StopSignal(const std::stop_token& stop) {
    if (::pipe(ends_.data()) != 0) {
      ends_ = {-1, -1};
      return;
    }
    for (const int end : ends_) static_cast<void>(::fcntl(end, F_SETFD, FD_CLOEXEC));
    callback_.emplace(stop, Write{ends_[1]});
  }
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  ~StopSignal() {
    callback_.reset();  // waits until it has written, if it does
    for (const int end : ends_)
      if (end >= 0) ::close(end);
  }

  /// -1 where no pipe could be made: the process has too many files open.
  [[nodiscard]] int socket() const noexcept { return ends_[0]; }

 private:
  struct Write {
    void operator()() const noexcept { static_cast<void>(::write(end, "", 1) == 1); }  // an empty pipe takes a byte
    int end;
  };

  std::array<int, 2> ends_{-1, -1};
  std::optional<std::stop_callback<Write>> callback_;
};

}  // namespace lido::postgres::detail
