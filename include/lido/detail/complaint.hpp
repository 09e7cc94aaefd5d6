// The words of the pool's errors: what happened, to whom, and what to look at.
#pragma once

#include <cstddef>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

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

[[nodiscard]] inline std::string describe(const Holder& holder) {
  std::ostringstream text;
  text << "connection " << holder.connection_id << ": lent for " << milliseconds(holder.held) << " at "
       << holder.where.file_name() << ':' << holder.where.line() << " in thread " << holder.thread;
  return text.str();
}

[[nodiscard]] inline std::string timeout_message(const std::string& pool, Phase phase, Duration waited,
                                                 const PoolCounts& counts, std::size_t max_size,
                                                 const std::vector<Holder>& holders, std::thread::id self) {
  constexpr std::size_t shown = 10;
  std::ostringstream text;
  text << pool << ": acquire: no connection within " << milliseconds(waited) << ": ";
  switch (phase) {
    case Phase::waiting:
      text << "exhausted, all lent";
      break;
    case Phase::opening:
      text << "none could be opened (the cause is nested, if there was one)";
      break;
    case Phase::checking:
      text << "connections were found unfit until no time was left";
      break;
  }
  text << "; at most " << max_size << ": " << counts.leased << " lent, " << counts.idle << " idle, " << counts.opening
       << " opening, " << counts.checking << " checking, " << counts.closing << " closing; " << counts.waiting
       << " waiting";
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
