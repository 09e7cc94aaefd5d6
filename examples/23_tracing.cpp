// Follows acquires, statements and transactions from their begin to their end, as a tracing library does, and hands the
// trace on to the server, so that its log and its activity say for which request it works.
// Needs PostgreSQL: DATABASE_URL says where.
#include <chrono>
#include <exception>
#include <iomanip>
#include <iostream>
#include <mutex>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/tracing.hpp>

namespace {

// What your tracing library has, in small: a span belongs to a trace, and knows the one that it is a part of.
struct Span {
  std::string name, trace, id, parent;
};
thread_local const Span* current = nullptr;  // what this thread is at

std::string random_id(int words) {
  static std::mutex mutex;
  static std::mt19937_64 numbers{std::random_device{}()};
  const std::scoped_lock lock{mutex};
  std::ostringstream text;
  for (int i = 0; i < words; ++i) text << std::hex << std::setfill('0') << std::setw(16) << numbers();
  return text.str();
}
Span span_of(std::string name) {
  return {std::move(name), current == nullptr ? random_id(2) : current->trace, random_id(1),
          current == nullptr ? "" : current->id};
}
void write(const Span& span, lido::Duration took, std::string_view outcome) {
  const double milliseconds = std::chrono::duration<double, std::milli>(took).count();
  std::cout << span.trace << ' ' << span.id << ' ' << span.name << ": " << outcome << ", " << milliseconds << " ms\n";
}

// [tracer]
// What `begin` returns comes back in `end`.
struct Tracer {
  Span begin(const lido::AcquireBegin& acquire) const { return span_of("acquire from " + std::string{acquire.pool}); }
  void end(const Span& span, const lido::AcquireEnd& end) const {
    write(span, end.took, end.error == nullptr ? "done" : "failed");
  }
  Span begin(const lido::postgres::StatementBegin& statement) const { return span_of(std::string{statement.text}); }
  void end(const Span& span, const lido::postgres::StatementEnd& end) const {
    write(span, end.took, to_string(end.outcome));
  }
  Span begin(const lido::postgres::TransactionBegin&) const { return span_of("transaction"); }
  void end(const Span& span, const lido::postgres::TransactionEnd& end) const {
    write(span, end.took, to_string(end.outcome));
  }
};
// [/tracer]

// As the W3C has it: version, trace, parent, flags.
std::string traceparent_of(const Span& span) { return "00-" + span.trace + '-' + span.id + "-01"; }

// [traceparent]
// In the round trip of BEGIN, and undone by COMMIT. `application_name` is what pg_stat_activity shows, and the server's
// log where `log_line_prefix` has %a; functions and triggers read the other.
lido::postgres::TransactionOptions of_this_request() {
  lido::postgres::TransactionOptions options;
  const std::string traceparent = traceparent_of(*current);
  options.application_name = traceparent;
  options.set_local = {{"trace.parent", traceparent}};
  return options;
}
// [/traceparent]

}  // namespace

int main() try {
  // [trace]
  lido::postgres::Pool pool{lido::postgres::options_from_environment()};
  trace(pool, Tracer{});
  // [/trace]

  const Span request = span_of("GET /orders");
  current = &request;
  lido::postgres::Session session{pool, of_this_request()};
  const auto seen = session.exec(
      "select current_setting('trace.parent'), application_name from pg_stat_activity "
      "where pid = pg_backend_pid()");
  session.commit();
  const bool handed_on = seen[0][0].as<std::string>() == traceparent_of(request) &&
                         seen[0][1].as<std::string>() == traceparent_of(request);
  const auto after = pool.acquire()->exec("show application_name").one<std::string>();
  return handed_on && after != traceparent_of(request) ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
