// What a pool does, as lines of text or as records for a logger of yours.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <syncstream>
#include <utility>
#include <vector>

#include <lido/detail/describe.hpp>

#include <lido/detail/repeat_filter.hpp>
#include <lido/log_record.hpp>
#include <lido/pool.hpp>

namespace lido {

/// What `log_events` writes, and how.
struct LogOptions {
  LogLevel level = LogLevel::info;  ///< the least; `debug` has each acquire and each release too
  LogFormat format = LogFormat::key_value;
  /// A failure that repeats is written once in this time, with the number of those that were left out. Zero: each one.
  Duration repeat_after = std::chrono::seconds{1};
};

/// Takes a record; may be called by several threads at once. What it throws is dropped.
using LogSink = std::function<void(const LogRecord&)>;

namespace detail {

// Makes records of events and passes them on. A log must not cost a connection, so that nothing here throws: a record
// that cannot be made or written is lost.
template <class Platform>
class Recorder {
 public:
  Recorder(LogSink sink, std::string pool, Duration repeat_after)
      : sink_{std::move(sink)}, pool_{std::move(pool)}, repeats_{repeat_after} {}

  template <class Fields>
  void record(LogLevel level, std::string_view event, Fields fields) noexcept {
    try {
      pass({.level = level, .event = event, .fields = fields()});
    } catch (...) {
      return;
    }
  }

  // `words` tells failures of the same event apart.
  template <class Words, class Fields>
  void failure(LogLevel level, std::string_view event, Words words, Fields fields) noexcept {
    try {
      const std::string said{words()};
      const std::optional<std::uint64_t> left_out = repeats_.pass(std::string{event} + ' ' + said, Platform::now());
      if (!left_out) return;
      LogRecord record{.level = level, .event = event, .fields = fields(said)};
      if (*left_out != 0) record.fields.push_back(number("left_out", *left_out));
      pass(std::move(record));
    } catch (...) {
      return;
    }
  }

  static LogField number(std::string_view key, std::uint64_t value) { return {key, std::to_string(value), true}; }
  static LogField milliseconds(std::string_view key, Duration span) {
    return {key, std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(span).count()), true};
  }
  static LogField text(std::string_view key, std::string value) { return {key, std::move(value)}; }

 private:
  void pass(LogRecord record) {
    record.fields.insert(record.fields.begin(), text("pool", pool_));
    sink_(record);
  }

  LogSink sink_;
  std::string pool_;
  RepeatFilter repeats_;
};

// In one word.
[[nodiscard]] inline std::string_view reason_of_refusal(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const QueueFull&) {
    return "queue_full";
  } catch (const SelfDeadlock&) {
    return "self_deadlock";
  } catch (const PoolSuspended&) {
    return "suspended";
  } catch (...) {
    return "unreachable";
  }
}

}  // namespace detail

/// From now on tells `sink` of what happens in `pool`, in the thread in which it happens:
///
/// | event                          | level   | fields, behind `pool`                                       |
/// |--------------------------------|---------|-------------------------------------------------------------|
/// | `database_connection_created`  | info    | `connection`                                                |
/// | `database_connection_closed`   | info    | `connection`, `reason`, `age_ms`, `uses`                    |
/// | `database_connection_checkout` | debug   | `connection`, `uses`                                        |
/// | `database_connection_checkin`  | debug   | `connection`, `uses`, `held_ms` where the pool reads a clock |
/// | `database_health_check_failed` | warning | `connection`, `age_ms`                                      |
/// | `database_acquire_timeout`     | warning | `phase`, `waited_ms`, `leased`, `waiting`, `error`          |
/// | `database_acquire_refused`     | warning | `reason`, `error`                                           |
/// | `database_connection_leaked`   | warning | `connection`, `held_ms`, `where`, `returned`                |
/// | `database_unreachable`         | error   | `error`                                                     |
///
/// The reasons are `queue_full`, `self_deadlock`, `suspended` and, where the server is away, `unreachable`. Time-outs
/// of one phase, refusals of one reason, failed checks, and failed opens of the same words, are told once in
/// `repeat_after`, with `left_out`. A record has no time: a logger has one. The connection is not asked about itself,
/// so that what a failed open says is the only thing that a connector could put a secret into. What `sink` refers to
/// must outlive the pool. Blocks while `sink` does. Throws `std::bad_alloc`, `InvalidOption` for a negative
/// `repeat_after`; the listeners never throw.
template <class Connection, class Growth, class Health, class Recycle, class Platform>
void log_events(Pool<Connection, Growth, Health, Recycle, Platform>& pool, LogSink sink, LogOptions options = {}) {
  using Recorder = detail::Recorder<Platform>;
  detail::require_not_negative(options.repeat_after, "LogOptions::repeat_after");
  const auto recorder = std::make_shared<Recorder>(std::move(sink), pool.options().name, options.repeat_after);
  const auto at = [&](LogLevel level) { return level >= options.level; };
  auto events = pool.events();
  if (at(LogLevel::info))
    events.on_connect([recorder](const Connection&, const ConnectionInfo& info) {
      recorder->record(LogLevel::info, "database_connection_created",
                       [&] { return std::vector{Recorder::number("connection", info.id)}; });
    });
  if (at(LogLevel::warning))
    events.on_close([recorder, closes = at(LogLevel::info)](const Connection&, const ConnectionInfo& info) {
      if (info.close_reason == CloseReason::dead)
        recorder->failure(
            LogLevel::warning, "database_health_check_failed", [] { return std::string_view{}; },
            [&](const std::string&) {
              return std::vector{Recorder::number("connection", info.id), Recorder::milliseconds("age_ms", info.age)};
            });
      if (!closes) return;
      recorder->record(LogLevel::info, "database_connection_closed", [&] {
        return std::vector{Recorder::number("connection", info.id),
                           Recorder::text("reason", std::string{to_string(info.close_reason)}),
                           Recorder::milliseconds("age_ms", info.age), Recorder::number("uses", info.uses)};
      });
    });
  events.on_open_failed([recorder](const std::exception_ptr& error) {
    recorder->failure(
        LogLevel::error, "database_unreachable", [&] { return detail::describe(error); },
        [](const std::string& words) { return std::vector{Recorder::text("error", words)}; });
  });
  if (at(LogLevel::warning)) {
    events.on_timeout([recorder](const AcquireTimeout& error) {
      const auto phase = [&] { return to_string(error.phase()); };
      recorder->failure(LogLevel::warning, "database_acquire_timeout", phase, [&](const std::string& said) {
        return std::vector{Recorder::text("phase", said), Recorder::milliseconds("waited_ms", error.waited()),
                           Recorder::number("leased", error.counts().leased),
                           Recorder::number("waiting", error.counts().waiting), Recorder::text("error", error.what())};
      });
    });
    events.on_refused([recorder](const std::exception_ptr& error) {
      recorder->failure(
          LogLevel::warning, "database_acquire_refused", [&] { return detail::reason_of_refusal(error); },
          [&](const std::string& reason) {
            return std::vector{Recorder::text("reason", reason), Recorder::text("error", detail::describe(error))};
          });
    });
    events.on_leak([recorder](const LeakReport& leak) {
      recorder->record(LogLevel::warning, "database_connection_leaked", [&] {
        const std::source_location& where = leak.holder.where;
        return std::vector{Recorder::number("connection", leak.holder.connection_id),
                           Recorder::milliseconds("held_ms", leak.holder.held),
                           Recorder::text("where", std::string{where.file_name()} + ':' + std::to_string(where.line())),
                           Recorder::text("returned", leak.returned ? "true" : "false")};
      });
    });
  }
  if (!at(LogLevel::debug)) return;
  const auto lease = [recorder](const char* event) {
    return [recorder, event](const Connection&, const ConnectionInfo& info) {
      recorder->record(LogLevel::debug, event, [&] {
        std::vector fields{Recorder::number("connection", info.id), Recorder::number("uses", info.uses)};
        if (info.held != Duration::zero()) fields.push_back(Recorder::milliseconds("held_ms", info.held));
        return fields;
      });
    };
  };
  events.on_acquire(lease("database_connection_checkout"));
  events.on_release(lease("database_connection_checkin"));
}

/// The same as lines on `stream`: `lido::log_events(pool, std::clog);`. A line is written whole, and never in parts of
/// two. `stream` must outlive the pool; others write to it through a `std::osyncstream` too, unless it is a standard
/// one.
template <class Connection, class Growth, class Health, class Recycle, class Platform>
void log_events(Pool<Connection, Growth, Health, Recycle, Platform>& pool, std::ostream& stream,
                LogOptions options = {}) {
  const auto write = [to = &stream, format = options.format](const LogRecord& record) {
    const std::string line = to_string(record, format) + '\n';
    // Unformatted: the width and the fill that the user set on the stream are for the user's own output.
    std::osyncstream{*to}.write(line.data(), static_cast<std::streamsize>(line.size()));
  };
  log_events(pool, LogSink{write}, options);
}

}  // namespace lido
