// What a pool does, as lines of text.
#pragma once

#include <exception>
#include <memory>
#include <ostream>
#include <string>
#include <syncstream>
#include <utility>

#include <lido/detail/describe.hpp>
#include <lido/pool.hpp>

namespace lido {

/// What `log_events` writes beside the rare events.
struct LogOptions {
  bool leases = false;  ///< each acquire and each release too
};

namespace detail {

// Formats and writes lines. A log must not cost a connection, so that nothing here throws: a line that cannot be
// written is lost.
class LineWriter {
 public:
  LineWriter(std::ostream& stream, std::string pool) : stream_{&stream}, prefix_{"lido: " + std::move(pool) + ": "} {}

  template <class Compose>
  void write(Compose compose) const noexcept {
    try {
      std::string line = flat(prefix_ + compose());
      line += '\n';
      // Unformatted: the width and the fill that the user set on the stream are for the user's own output.
      std::osyncstream{*stream_}.write(line.data(), static_cast<std::streamsize>(line.size()));
    } catch (...) {
      return;
    }
  }

 private:
  // One line an event, whatever a message or a name holds: a message from a server must not forge a line.
  static std::string flat(const std::string& text) {
    std::string line;
    for (const char character : text) {
      if (character == '\n')
        line += "; ";
      else if (static_cast<unsigned char>(character) < 0x20 || character == 0x7F)
        line += ' ';
      else
        line += character;
    }
    return line;
  }

  std::ostream* stream_;
  std::string prefix_;
};

[[nodiscard]] inline std::string whole_milliseconds(Duration span) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(span).count()) + " ms";
}

}  // namespace detail

/// From now on writes a line to `stream` whenever `pool` opens or closes a connection, fails to, lets an acquire run
/// out of time, or finds a lease held for too long: `lido::log_events(pool, std::clog);`. A line is written whole, by
/// the thread in which the event happens, and never in parts of two; it has no time stamp. The connection is not asked
/// about itself, so that what a failed open says is the only thing that a connector could put a secret into. `stream`
/// must outlive the pool; others write to it through a `std::osyncstream` too, unless it is a standard one. Blocks
/// while the stream does. Throws `std::bad_alloc`; the lines themselves never throw.
template <class Connection, class Growth, class Health, class Recycle, class Platform>
void log_events(Pool<Connection, Growth, Health, Recycle, Platform>& pool, std::ostream& stream,
                LogOptions options = {}) {
  const auto writer = std::make_shared<const detail::LineWriter>(stream, pool.options().name);
  const auto say = [writer](const char* what, auto facts) {
    return [writer, what, facts](const Connection&, const ConnectionInfo& info) {
      writer->write([&] { return what + (": connection " + std::to_string(info.id)) + facts(info); });
    };
  };
  const auto uses = [](const ConnectionInfo& info) { return ", use " + std::to_string(info.uses); };
  auto events = pool.events();
  events.on_connect(say("connect", [](const ConnectionInfo&) { return std::string{}; }));
  events.on_close(say("close", [](const ConnectionInfo& info) {
    return ", " + std::string{to_string(info.close_reason)} + ", open for " + detail::whole_milliseconds(info.age) +
           ", used " + std::to_string(info.uses) + " times";
  }));
  events.on_open_failed([writer](const std::exception_ptr& error) {
    writer->write([&] { return "open failed: " + detail::describe(error); });
  });
  events.on_timeout([writer](const AcquireTimeout& error) {
    writer->write([&] { return std::string{"timeout: "} + error.what(); });
  });
  events.on_leak([writer](const LeakReport& leak) {
    writer->write([&] { return (leak.returned ? "back after all: " : "leak? ") + detail::describe(leak.holder); });
  });
  if (!options.leases) return;
  events.on_acquire(say("acquire", uses));
  events.on_release(say("release", [uses](const ConnectionInfo& info) {
    // Zero where the pool reads no clock.
    if (info.held == Duration::zero()) return uses(info);
    return ", held for " + detail::whole_milliseconds(info.held) + uses(info);
  }));
}

}  // namespace lido
