// What the ways of moving many rows have in common: the rows, and the table of who does what.
//
// A peer is a file that registers a function for each of the tasks that it can do.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace bulk {

using Moment = std::chrono::sys_time<std::chrono::microseconds>;
using Row = std::tuple<int, std::string, Moment, double>;
using Rows = std::vector<Row>;

// What is read has the columns id, name, at and value; what is written goes into `into`.
inline constexpr const char* select_all = "select id, name, at, value from bulk";
inline constexpr const char* copy_out = "copy bulk to stdout";
inline constexpr const char* copy_in = "copy into_bulk from stdin";
inline constexpr const char* insert = "insert into into_bulk values ($1, $2, $3, $4)";
inline constexpr const char* unnest =
    "insert into into_bulk select * from unnest($1::int[], $2::text[], $3::timestamptz[], $4::float8[])";
inline constexpr std::size_t batch = 1000;  // statements of a pipeline, and rows of an array

enum class Task : std::uint8_t { read, stream, copy_out, copy_in, pipeline, unnest };

// What of each row goes into the sum that says whether all was read.
inline double sum_of(int id, std::size_t size, Moment at, double value) {
  return id + static_cast<double>(size) + static_cast<double>(at.time_since_epoch().count() % 1000) + value;
}

// A timestamptz as the server writes it with DateStyle ISO and TimeZone UTC; by hand, and with no look at mistakes.
inline Moment moment_of(const char* text) {
  const auto digits = [&text](int count) {
    int value = 0;
    while (count-- > 0) value = value * 10 + (*text++ - '0');
    ++text;
    return value;
  };
  const std::chrono::year year{digits(4)};
  const std::chrono::month month{static_cast<unsigned>(digits(2))};
  const std::chrono::day day{static_cast<unsigned>(digits(2))};
  const int hours = digits(2), minutes = digits(2), seconds = digits(2);
  int fraction = 0;
  if (text[-1] == '.') {
    int unit = 100'000;
    for (; *text >= '0' && *text <= '9'; ++text, unit /= 10) fraction += (*text - '0') * unit;
  }
  return std::chrono::sys_days{year / month / day} + std::chrono::hours{hours} + std::chrono::minutes{minutes} +
         std::chrono::seconds{seconds} + std::chrono::microseconds{fraction};
}

// Seconds of processor time that another program took for it.
inline double elsewhere = 0;

// Does the task once; returns the sum of what was read, or the number of rows that were stored.
using Once = std::function<double()>;

struct Way {
  Task task;
  std::string who;
  // Connects. `rows` are those to be written, and outlive it.
  std::function<Once(const std::string& conninfo, const Rows& rows)> make;
  bool is_elsewhere = false;  // another program does it
};
inline std::vector<Way>& ways() {
  static std::vector<Way> all;
  return all;
}
struct Registration {
  Registration(Task task, std::string who, std::function<Once(const std::string&, const Rows&)> make) {
    ways().push_back({task, std::move(who), std::move(make)});
  }
};

}  // namespace bulk
