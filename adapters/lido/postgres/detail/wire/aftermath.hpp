// How rows or a COPY have ended, for whoever asks once more when they have let go of their connection.
#pragma once

#include <exception>
#include <string_view>

#include <lido/postgres/detail/wire/channel.hpp>

namespace lido::postgres::detail {

class Aftermath {
 public:
  /// Nothing is to come: the answer is `complete`, or the connection is lost.
  void note(bool complete, Channel& channel, std::string_view sql) noexcept {
    complete_ = complete;
    if (complete) return;
    try {
      throw channel.gone(sql, "the connection is not usable any more");
    } catch (...) {
      lost_ = std::current_exception();
    }
  }
  /// Whether they came to their end by themselves. Throws `ConnectionLost` where the connection was lost before.
  [[nodiscard]] bool complete() const {
    if (lost_ != nullptr) std::rethrow_exception(lost_);
    return complete_;
  }

 private:
  bool complete_ = false;
  std::exception_ptr lost_;
};

/// Does something to what refers to a connection, which may be its end.
template <class Holder, class Action>
auto letting_go(Holder& holder, Action action) {
  try {
    return action();
  } catch (...) {
    holder.let_go_if_over();
    throw;
  }
}

}  // namespace lido::postgres::detail
