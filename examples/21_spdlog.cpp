// What a pool does, told to a logger that your program has: here spdlog, with levels, and the values in its message.
// Needs spdlog.
#include <exception>
#include <iostream>
#include <memory>
#include <string>

#include <spdlog/spdlog.h>

#include <lido/log.hpp>
#include <lido/pool.hpp>

namespace {

// [spdlog]
void log_to(spdlog::logger& logger, const lido::LogRecord& record) {
  const auto level = record.level == lido::LogLevel::error     ? spdlog::level::err
                     : record.level == lido::LogLevel::warning ? spdlog::level::warn
                     : record.level == lido::LogLevel::info    ? spdlog::level::info
                                                               : spdlog::level::debug;
  logger.log(level, "{}", to_string(record, lido::LogFormat::key_value));
}
// [/spdlog]

}  // namespace

int main() try {
  const std::shared_ptr<spdlog::logger> logger = spdlog::default_logger();
  logger->set_level(spdlog::level::debug);
  lido::Pool pool{[] { return std::string{"a connection"}; }, lido::Elastic{.max_size = 2}};
  lido::log_events(pool, [logger](const lido::LogRecord& record) { log_to(*logger, record); },
                   {.level = lido::LogLevel::debug});
  pool.acquire().release();
  pool.acquire().discard();
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
