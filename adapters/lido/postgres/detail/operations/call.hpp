// How a call on a connection begins.
#pragma once

#include <optional>
#include <source_location>

#include <lido/postgres/detail/wire/check_time.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

class Channel;

/// What is known of a call before its operation is made: by the thread that calls at once, in an event loop when it is
/// awaited.
struct Call {
  Channel* channel;
  Until until;
  std::source_location where;
  std::optional<Until> session{};  // the limit of the session that it is a part of

  /// Throws where it is too late to send anything, or too early for a statement of a session. A template, as many a
  /// unit has calls and knows nothing of channels.
  template <class Begun = Channel>
  [[nodiscard]] Begun& begin() const {
    Begun& begun = *channel;
    begun.called_from(where);
    if (session) {
      check_time(*session);
      if (!begun.held().is_held()) throw Error{"the session has not begun"};
    }
    check_time(until);
    return begun;
  }
};

}  // namespace lido::postgres::detail
