// The quick ways to read and to write texts, beside the plain ones.
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/detail/values/calendar.hpp>
#include <lido/postgres/detail/values/copy_text.hpp>
#include <lido/postgres/detail/values/number_text.hpp>
#include <lido/postgres/detail/values/out_buffer.hpp>
#include <lido/postgres/detail/values/time_put.hpp>
#include <lido/postgres/detail/values/time_text.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/types/values.hpp>
#include <support/seeds.hpp>

using namespace lido::postgres;

BOOST_AUTO_TEST_SUITE(text_forms)

namespace {

std::string in_full(double value) {
  char room[400];
  return {room, std::to_chars(room, room + sizeof room, value, std::chars_format::fixed).ptr};
}

// What a COPY takes for a text, a character at a time.
std::string escaped_for_copy(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const std::size_t which = std::string_view{"\b\f\n\r\t\v\\"}.find(c);
    if (which == std::string_view::npos)
      line += c;
    else
      line.append(1, '\\').append(1, "bfnrtv\\"[which]);
  }
  return line;
}

}  // namespace

BOOST_AUTO_TEST_CASE(numbers_are_written_in_full) {
  std::mt19937_64 random{lido::test::seed()};
  std::vector<double> values{0.0,
                             -0.0,
                             1.0,
                             -1.0,
                             0.1,
                             1e15,
                             1e16,
                             9007199254740991.0,
                             9007199254740992.0,
                             1e22,
                             1e300,
                             5e-324,
                             -2.2250738585072014e-308,
                             123456789.125};
  for (int i = 0; i < 20'000; ++i) {
    values.push_back(std::bit_cast<double>(random()));
    values.push_back(static_cast<double>(static_cast<std::int64_t>(random()) >> (random() % 64)));
    values.push_back(static_cast<double>(random() % 1'000'000) / 8);
  }
  std::size_t other = 0;
  for (const double value : values)
    if (std::isfinite(value) && lido::postgres::detail::print_number(value) != in_full(value)) ++other;
  BOOST_TEST(other == 0U);
  BOOST_TEST(lido::postgres::detail::print_number(-0.0) == "-0");
  BOOST_TEST(lido::postgres::detail::print_number(16777217.0F) == "16777216");
}

BOOST_AUTO_TEST_CASE(the_usual_timestamps_are_read_as_all_others_are) {
  std::mt19937_64 random{lido::test::seed()};
  const auto check = [](const std::string& text, bool has_offset) {
    const auto any = lido::postgres::detail::read_any_timestamp(text, has_offset);
    const auto usual = lido::postgres::detail::read_usual_timestamp(text, has_offset);
    BOOST_TEST((!usual || usual == any), text);
    return usual.has_value();
  };
  int usual = 0;
  for (int i = 0; i < 20'000; ++i) {
    const bool has_offset = random() % 2 == 0;
    const std::int64_t moment = static_cast<std::int64_t>(random() % 400'000'000'000'000'000) - 100'000'000'000'000'000;
    static constexpr std::array<const char*, 4> offsets{"+00", "-07", "+05:30", "+01:02:03"};
    char room[64];
    std::string text{room,
                     lido::postgres::detail::put_timestamp(room, moment, has_offset ? offsets[random() % 4] : "")};
    if (random() % 2 == 0) text.erase(text.find('.'), 1 + random() % 7);  // fewer digits of a second, or none
    usual += check(text, has_offset) ? 1 : 0;
    text[random() % text.size()] = "0123456789:-+. Zx"[random() % 17];
    check(text, has_offset);
    check(text.substr(0, random() % text.size()), has_offset);
  }
  BOOST_TEST(usual > 1000);
  BOOST_TEST(lido::postgres::detail::read_timestamp("2024-02-29 00:00:00+00", true).has_value());
  BOOST_TEST(!lido::postgres::detail::read_timestamp("2023-02-29 00:00:00+00", true).has_value());
  BOOST_TEST(!lido::postgres::detail::read_timestamp("2023-02-28 24:00:00", false).has_value());
}

BOOST_AUTO_TEST_CASE(a_moment_is_written_as_it_is_read) {
  std::mt19937_64 random{lido::test::seed()};
  char room[64];
  for (int i = 0; i < 20'000; ++i) {
    const std::int64_t moment = static_cast<std::int64_t>(random()) >> (random() % 40);
    const std::string_view text{room, lido::postgres::detail::put_timestamp(room, moment, "+00")};
    BOOST_REQUIRE(text.size() <= lido::postgres::detail::longest_time);
    BOOST_REQUIRE((lido::postgres::detail::read_timestamp(text, true) == moment));
    const std::string_view span{room, lido::postgres::detail::put_time(room, moment)};
    BOOST_REQUIRE((lido::postgres::detail::read_interval(span) == moment));
  }
  const std::string_view least{room, lido::postgres::detail::put_time(room, std::numeric_limits<std::int64_t>::min())};
  BOOST_TEST(least == "-2562047788:00:54.775808");
  const std::string_view early{
      room, lido::postgres::detail::put_timestamp(room, std::numeric_limits<std::int64_t>::min(), "+00")};
  BOOST_TEST(early.ends_with(" BC"));
}

BOOST_AUTO_TEST_CASE(all_days_of_ten_thousand_years_are_counted) {
  for (std::int64_t day = -1'000'000; day < 3'000'000; day += 7)
    BOOST_REQUIRE(lido::postgres::detail::days_of(lido::postgres::detail::civil_of(day)) == day);
  for (const std::int64_t day : {-3'650'000'000LL, 3'650'000'000LL})
    BOOST_TEST(lido::postgres::detail::days_of(lido::postgres::detail::civil_of(day)) == day);
}

BOOST_AUTO_TEST_CASE(a_text_goes_into_a_line_and_out_again) {
  std::mt19937_64 random{lido::test::seed()};
  for (int i = 0; i < 20'000; ++i) {
    std::array<std::string, 3> texts;
    for (std::string& text : texts)
      for (std::size_t left = random() % 30; left > 0; --left)
        text += random() % 8 == 0 ? "\b\f\n\r\t\v\\N\x01\x1f "[random() % 11] : static_cast<char>(1 + random() % 255);
    lido::postgres::detail::OutBuffer line;
    lido::postgres::detail::append_row(line, std::tuple{texts[0], texts[1], std::optional<int>{}, texts[2]});
    BOOST_REQUIRE(line.view() == escaped_for_copy(texts[0]) + '\t' + escaped_for_copy(texts[1]) + "\t\\N\t" +
                                     escaped_for_copy(texts[2]) + '\n');
    const auto [first, second, null, third] =
        lido::postgres::detail::read_line<std::string, std::string, std::optional<int>, std::string>(line.view(), 0);
    BOOST_REQUIRE(first == texts[0]);
    BOOST_REQUIRE(second == texts[1]);
    BOOST_REQUIRE(!null);
    BOOST_REQUIRE(third == texts[2]);
  }
}

BOOST_AUTO_TEST_CASE(a_zero_byte_is_found_wherever_it_stands) {
  for (std::size_t size = 1; size < 40; ++size)
    for (std::size_t at = 0; at < size; ++at) {
      std::string text(size, static_cast<char>(0xc3));
      text[at] = '\0';
      lido::postgres::detail::OutBuffer line;
      BOOST_CHECK_THROW(lido::postgres::detail::append_row(line, std::tuple{text}), QueryError);
    }
}

BOOST_AUTO_TEST_CASE(a_line_of_other_fields_is_refused) {
  const auto columns = [](const char* line) -> std::string {
    try {
      static_cast<void>(lido::postgres::detail::read_line<int, int>(line, 7));
      return "none";
    } catch (const ResultError& error) {
      return error.wanted() + " not " + error.actual();
    }
  };
  BOOST_TEST(columns("1\t2\n") == "none");
  BOOST_TEST(columns("1\n") == "2 columns not 1");
  BOOST_TEST(columns("1\t2\t\n") == "2 columns not 3");
  BOOST_TEST(columns("1\t2\t3\\\t4\n") == "2 columns not 4");
  BOOST_TEST(columns("1\t\\N\n") == "int32_t not NULL");
  BOOST_TEST(columns("1\t\n") == "int32_t not a text that is none");
}

BOOST_AUTO_TEST_SUITE_END()
