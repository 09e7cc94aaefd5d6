// What a tracer of statements and transactions is told. Part of tracing.hpp.
#pragma once

#include <cstdint>
#include <source_location>
#include <string_view>

#include <lido/facts.hpp>

namespace lido::postgres {

/// Which session it is. Its texts live as long as the call.
struct TracedSession {
  std::string_view pool{};       ///< `Options::name`; empty where the connection is of no pool
  std::uint64_t connection = 0;  ///< `ConnectionInfo::id`; 0 where it is of no pool
  int pid = 0;                   ///< of the server's process
  std::string_view host{};       ///< a name, an address, or a directory of sockets
  std::string_view port{};
  std::string_view database{};
};

/// A statement is about to be sent.
struct StatementBegin {
  TracedSession session;
  std::string_view text;  ///< as in messages: without its parameters, and without what stands behind `password`
  std::source_location where{};
};
/// It has ended.
struct StatementEnd {
  enum class Outcome : std::uint8_t {
    done,
    refused,    ///< the server said no: `sqlstate`
    timed_out,  ///< no answer before the deadline
    cancelled,  ///< a stop was requested, or its coroutine was destroyed
    lost,       ///< the connection was lost, or given up before the answer was complete
  };
  Outcome outcome = Outcome::done;
  Duration took{};
  std::uint64_t rows = 0;       ///< which it returned or changed; of a script all of them
  std::string_view sqlstate{};  ///< empty where the server said nothing
};

/// A session is about to send its BEGIN.
struct TransactionBegin {
  TracedSession session;
  std::source_location where{};
};
/// It has ended.
struct TransactionEnd {
  enum class Outcome : std::uint8_t {
    committed,
    rolled_back,  ///< or it has not begun, or its connection was lost
    unknown,      ///< COMMIT was sent, and its answer never came
  };
  Outcome outcome = Outcome::rolled_back;
  Duration took{};
};

[[nodiscard]] constexpr std::string_view to_string(StatementEnd::Outcome outcome) noexcept {
  switch (outcome) {
    case StatementEnd::Outcome::done:
      return "done";
    case StatementEnd::Outcome::refused:
      return "refused";
    case StatementEnd::Outcome::timed_out:
      return "timed_out";
    case StatementEnd::Outcome::cancelled:
      return "cancelled";
    default:
      return "lost";
  }
}
[[nodiscard]] constexpr std::string_view to_string(TransactionEnd::Outcome outcome) noexcept {
  switch (outcome) {
    case TransactionEnd::Outcome::committed:
      return "committed";
    case TransactionEnd::Outcome::rolled_back:
      return "rolled_back";
    default:
      return "unknown";
  }
}

}  // namespace lido::postgres
