// Intervals of months, days and microseconds in each of the four styles that a session may have:
//   postgres           `1 year 2 mons -3 days +04:05:06.7`
//   postgres_verbose   `@ 1 year 2 mons -3 days 4 hours 5 mins 6.7 secs ago`
//   sql_standard       `+1-2 -3 +4:05:06.7`, and `-3 4:05:06.7`, where the sign holds for both
//   iso_8601           `P1Y2M-3DT4H5M6.7S`
// None of them looks like another, so that nobody has to say which it is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/values/calendar.hpp>
#include <lido/postgres/detail/values/time_text.hpp>

namespace lido::postgres::detail {

struct IntervalParts {
  std::int64_t months = 0;
  std::int64_t days = 0;
  std::int64_t microseconds = 0;
};

class IntervalText {
 public:
  [[nodiscard]] static constexpr std::optional<IntervalParts> read(std::string_view text) noexcept {
    IntervalText interval{text};
    const bool read = interval.rest_.take("P")                              ? interval.iso()
                      : interval.rest_.take("@")                            ? interval.verbose()
                      : text.find_first_of("ymd") != std::string_view::npos ? interval.usual()
                                                                            : interval.standard();
    return read ? std::optional{interval.parts_} : std::nullopt;
  }

 private:
  explicit constexpr IntervalText(std::string_view text) noexcept
      : rest_{text}, direction_{text.ends_with(" ago") ? -1 : 1} {}

  struct Unit {
    std::string_view name;
    std::int64_t IntervalParts::* part;
    std::int64_t factor;
  };
  static constexpr std::array<Unit, 6> units_by_word{{{" year", &IntervalParts::months, 12},
                                                      {" mon", &IntervalParts::months, 1},
                                                      {" day", &IntervalParts::days, 1},
                                                      {" hour", &IntervalParts::microseconds, 3'600'000'000},
                                                      {" min", &IntervalParts::microseconds, 60'000'000},
                                                      {" sec", &IntervalParts::microseconds, 1'000'000}}};

  // Nothing where no sign stands.
  [[nodiscard]] constexpr std::optional<std::int64_t> sign() noexcept {
    if (rest_.take("-")) return -1;
    return rest_.take("+") ? std::optional<std::int64_t>{1} : std::nullopt;
  }
  [[nodiscard]] constexpr bool add_to(std::int64_t IntervalParts::* part, std::int64_t count,
                                      std::int64_t factor) noexcept {
    return multiply(count, factor) && add(parts_.*part, count);
  }
  // A number, whose fraction seconds alone may have.
  struct Number {
    std::int64_t whole;
    std::optional<std::int64_t> millionths;
    std::int64_t sign;
  };
  [[nodiscard]] constexpr std::optional<Number> number() noexcept {
    const std::int64_t factor = direction_ * sign().value_or(1);
    const std::optional<std::int64_t> whole = rest_.number(1, 18);
    if (!whole) return std::nullopt;
    Number read{*whole, std::nullopt, factor};
    if (!rest_.take(".")) return read;
    read.millionths = fraction();
    return read.millionths ? std::optional{read} : std::nullopt;
  }
  // One to six digits, in millionths.
  [[nodiscard]] constexpr std::optional<std::int64_t> fraction() noexcept {
    std::int64_t place = 1'000'000;
    std::int64_t sum = 0;
    while (place > 1) {
      const std::optional<std::int64_t> digit = rest_.number(1, 1);
      if (!digit) break;
      sum += *digit * (place /= 10);
    }
    return place < 1'000'000 ? std::optional{sum} : std::nullopt;
  }
  [[nodiscard]] constexpr bool add_number(const Number& number, const Unit& unit) noexcept {
    if (!add_to(unit.part, number.sign * number.whole, unit.factor)) return false;
    if (!number.millionths) return true;
    return unit.factor == 1'000'000 && add_to(unit.part, number.sign * *number.millionths, 1);
  }

  [[nodiscard]] constexpr bool iso() noexcept {
    constexpr std::array<Unit, 3> units_of_date{
        {{"Y", &IntervalParts::months, 12}, {"M", &IntervalParts::months, 1}, {"D", &IntervalParts::days, 1}}};
    constexpr std::array<Unit, 3> units_of_time{{{"H", &IntervalParts::microseconds, 3'600'000'000},
                                                 {"M", &IntervalParts::microseconds, 60'000'000},
                                                 {"S", &IntervalParts::microseconds, 1'000'000}}};
    bool in_time = false;
    std::size_t next = 0;  // units come in their order, each once
    bool any = false;
    while (!rest_.done()) {
      if (!in_time && rest_.take("T")) {
        in_time = true;
        any = false;
        next = 0;
      }
      const std::optional<Number> count = number();
      const std::array<Unit, 3>& letters = in_time ? units_of_time : units_of_date;
      while (count && next < letters.size() && !rest_.take(letters[next].name)) ++next;
      if (!count || next == letters.size() || !add_number(*count, letters[next])) return false;
      ++next;
      any = true;
    }
    return any;
  }

  // ` 1 year -2 days ago`
  [[nodiscard]] constexpr bool verbose() noexcept {
    TimeText ahead = rest_;
    if (ahead.take(" 0") && ahead.done()) return true;
    std::size_t next = 0;
    while (rest_.take(" ")) {
      if (next > 0 && rest_.take("ago")) break;
      const std::optional<Number> count = number();
      if (!count || !add_word(*count, next)) return false;
    }
    return rest_.done() && next > 0;
  }
  [[nodiscard]] constexpr bool add_word(const Number& count, std::size_t& next) noexcept {
    while (next < units_by_word.size() && !rest_.take(units_by_word[next].name)) ++next;
    if (next == units_by_word.size() || !add_number(count, units_by_word[next])) return false;
    ++next;
    static_cast<void>(rest_.take("s"));
    return true;
  }
  // `1 year -2 days +04:05:06`, or the time alone.
  [[nodiscard]] constexpr bool usual() noexcept {
    std::size_t next = 0;
    do {
      const TimeText before = rest_;
      const std::optional<Number> count = number();
      if (count && add_word(*count, next)) {
        if (next > 3) return false;
        continue;
      }
      rest_ = before;
      return clock(sign().value_or(1)) && rest_.done();
    } while (rest_.take(" "));
    return rest_.done();
  }

  // `+1-2 -3 +4:05:06`, or a part of it.
  [[nodiscard]] constexpr bool standard() noexcept {
    std::int64_t before = 1;  // the sign of the days holds for the time, too
    for (std::size_t next = 0;; ++next) {
      const std::int64_t sign_of_part = sign().value_or(before);
      TimeText ahead = rest_;
      const std::optional<std::int64_t> count = ahead.number(1, 18);
      if (!count) return false;
      if (ahead.take(":")) return clock(sign_of_part) && rest_.done();
      rest_ = ahead;
      if (next == 0 && rest_.take("-")) {
        const std::optional<std::int64_t> months = rest_.number(1, 2);
        if (!months || *months > 11 || !add_to(&IntervalParts::months, sign_of_part * *count, 12) ||
            !add_to(&IntervalParts::months, sign_of_part * *months, 1))
          return false;
        if (rest_.done()) return true;
      } else {
        if (next > 1 || !add_to(&IntervalParts::days, sign_of_part * *count, 1)) return false;
        if (rest_.done()) return next == 0 && *count == 0;  // `0`; days have a time behind them
        before = sign_of_part;
        next = 1;
      }
      if (!rest_.take(" ")) return false;
    }
  }

  // `4:05:06.7`
  [[nodiscard]] constexpr bool clock(std::int64_t factor) noexcept {
    const std::optional<std::int64_t> hours = rest_.number(1, 18);
    if (!hours || !rest_.take(":")) return false;
    const std::optional<std::int64_t> minutes = rest_.number(2, 2);
    if (!minutes || *minutes > 59 || !rest_.take(":")) return false;
    const std::optional<std::int64_t> seconds = rest_.number(2, 2);
    if (!seconds || *seconds > 59) return false;
    std::optional<std::int64_t> millionths = 0;
    if (rest_.take(".")) millionths = fraction();
    return millionths && add_to(&IntervalParts::microseconds, factor * *hours, 3'600'000'000) &&
           add_to(&IntervalParts::microseconds, factor * (*minutes * 60'000'000 + *seconds * 1'000'000 + *millionths),
                  1);
  }

  TimeText rest_;
  std::int64_t direction_;  // what all numbers are multiplied by
  IntervalParts parts_;
};

}  // namespace lido::postgres::detail
