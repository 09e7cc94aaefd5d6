// The fuzzer's way to everything that reads values: nothing crashes, and what was read and written again is read as the
// same. The first byte chooses the type, the others are the text. `tests/run --only fuzz` builds and starts it.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <lido/postgres/types/composite.hpp>
#include <lido/postgres/types/infinity.hpp>
#include <lido/postgres/types/interval.hpp>
#include <lido/postgres/types/range.hpp>
#include <lido/postgres/types/values.hpp>

namespace {

enum class Mood { sad, content, happy };

struct Place {
  std::string street;
  std::optional<std::vector<std::optional<std::string>>> names;
  std::tuple<std::optional<int>, std::string> more;
  friend bool operator==(const Place&, const Place&) = default;
};

}  // namespace

template <>
inline constexpr auto lido::postgres::enum_names<Mood> = std::to_array<std::string_view>({"sad", "content", "happy"});
template <>
inline constexpr bool lido::postgres::is_composite<Place> = true;

namespace {

using namespace lido::postgres;
using namespace std::chrono;

void expect(bool holds, std::string_view type, std::string_view what, std::string_view text) {
  if (holds) return;
  std::fprintf(stderr, "fuzz_values: %.*s: %.*s: %.*s\n", static_cast<int>(type.size()), type.data(),
               static_cast<int>(what.size()), what.data(), static_cast<int>(text.size()), text.data());
  std::abort();
}

[[nodiscard]] bool same(auto, auto) { return true; }  // the written texts have been compared
template <class T>
  requires requires(const T& value) { value == value; }
[[nodiscard]] bool same(const T& a, const T& b) {
  return a == b || a != a;  // a NaN
}

template <class T>
void play(std::string_view text) {
  using Value = Converter<T>;
  const std::optional<T> value = Value::read(text);
  if (!value) {
    if constexpr (requires { Value::reason(text); })
      expect(!Value::reason(text).empty(), Value::name, "no reason", text);
    return;
  }
  const std::optional<std::string> written = Value::write(*value);
  expect(written.has_value(), Value::name, "is read but not written", text);
  const std::optional<T> again = Value::read(*written);
  expect(again.has_value(), Value::name, "is written but not read", *written);
  expect(Value::write(*again) == written, Value::name, "is written as another text", *written);
  if constexpr (!std::is_same_v<T, std::vector<double>>)
    expect(same(*value, *again), Value::name, "is read as another value", text);
}

constexpr void (*plays[])(std::string_view) = {
    play<int>,                                           // a
    play<double>,                                        // b
    play<bool>,                                          // c
    play<std::vector<std::byte>>,                        // d
    play<Uuid>,                                          // e
    play<Numeric>,                                       // f
    play<Mood>,                                          // g
    play<sys_time<microseconds>>,                        // h
    play<sys_time<nanoseconds>>,                         // i
    play<sys_days>,                                      // j
    play<local_time<milliseconds>>,                      // k
    play<year_month_day>,                                // l
    play<hh_mm_ss<microseconds>>,                        // m
    play<microseconds>,                                  // n
    play<duration<std::int32_t, std::ratio<60>>>,        // o
    play<std::vector<int>>,                              // p
    play<std::vector<std::optional<std::string>>>,       // q
    play<std::vector<std::vector<std::string>>>,         // r
    play<std::vector<std::vector<std::optional<int>>>>,  // s
    play<std::vector<std::vector<std::byte>>>,           // t
    play<std::vector<local_seconds>>,                    // u
    play<std::vector<Mood>>,                             // v
    play<std::vector<bool>>,                             // w
    play<std::vector<double>>,                           // x
    play<local_days>,                                    // y
    play<months>,                                        // z
    play<years>,                                         // {
    play<Place>,                                         // |
    play<std::vector<Place>>,                            // }
    play<Range<std::string>>,                            // ~
    play<Multirange<int>>,
    play<Interval>,
    play<Range<OrInfinity<sys_days>>>,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
  plays[(data[0] + std::size(plays) - 'a' % std::size(plays)) % std::size(plays)](text);
  return 0;
}
