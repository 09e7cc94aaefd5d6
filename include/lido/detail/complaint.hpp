// The words of the pool's errors: what happened, to whom, and what to look at.
#pragma once

#include <cstddef>
#include <exception>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <lido/detail/describe.hpp>
#include <lido/error.hpp>

namespace lido::detail {

[[nodiscard]] inline std::string milliseconds(Duration span) {
  std::ostringstream text;
  text << std::chrono::duration_cast<std::chrono::milliseconds>(span).count() << " ms";
  return text.str();
}

[[nodiscard]] inline std::string closed_message(const std::string& pool) {
  return pool + ": acquire: the pool is closed";
}

[[nodiscard]] inline std::string inherited_message(const std::string& pool) {
  return pool + ": acquire: begun before the fork, in the parent, whose connections are its own: acquire anew";
}

[[nodiscard]] inline std::string describe(const Holder& holder) {
  std::ostringstream text;
  text << "connection " << holder.connection_id << ": leased for " << milliseconds(holder.held) << " at "
       << holder.where.file_name() << ':' << holder.where.line() << " in thread " << holder.thread;
  return text.str();
}

// The last failed open, as the end of a message: on the line that a user reads first, and not longer than a few lines.
[[nodiscard]] inline std::string last_failure(const std::exception_ptr& cause) {
  constexpr std::size_t longest = 500;
  if (cause == nullptr) return {};
  std::string text = describe(cause);
  for (char& character : text)
    if (character == '\n' || character == '\r') character = ' ';
  if (text.size() > longest) text.replace(longest, std::string::npos, "...");
  return "; last failure: " + text;
}

[[nodiscard]] inline std::string timeout_message(const std::string& pool, Phase phase, bool unfit, Duration waited,
                                                 const PoolCounts& counts, std::size_t max_size,
                                                 const std::vector<Holder>& holders, std::thread::id self,
                                                 const std::exception_ptr& cause) {
  constexpr std::size_t shown = 10;
  std::ostringstream text;
  text << pool << ": acquire: no connection within " << milliseconds(waited) << ": ";
  switch (phase) {
    case Phase::waiting:
      text << "exhausted, all leased";
      break;
    case Phase::opening:
      text << "none could be opened";
      break;
    case Phase::checking:
    default:
      text << (unfit ? "connections were found unfit until no time was left"
                     : "those that are not leased are being checked");
      break;
  }
  text << "; at most " << max_size << ": " << counts.leased << " leased, " << counts.idle << " idle, " << counts.opening
       << " opening, " << counts.checking << " checking, " << counts.closing << " closing; " << counts.waiting
       << " waiting" << last_failure(cause);
  std::size_t own = 0;
  std::size_t listed = 0;
  for (const Holder& holder : holders) {
    if (holder.thread == self) ++own;
    if (listed++ >= shown) continue;
    text << "\n  " << describe(holder) << (holder.thread == self ? " (the one that waits)" : "");
  }
  if (listed > shown) text << "\n  and " << listed - shown << " more";
  if (own > 0) text << "\n  the waiting thread itself holds " << own << " of them";
  return text.str();
}

}  // namespace lido::detail
