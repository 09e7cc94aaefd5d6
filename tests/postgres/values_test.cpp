// Of the headers bytea.hpp, uuid.hpp, numeric.hpp, json.hpp and enumeration.hpp.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/params.hpp>
#include <lido/postgres/types/values.hpp>
#include <postgres/server.hpp>

using namespace lido::postgres;
using namespace lido::test;

namespace {

enum class Unnamed { one };

}  // namespace

// [mood]
enum class Mood { sad, content, happy };

template <>
inline constexpr auto lido::postgres::enum_names<Mood> = std::to_array<std::string_view>({"sad", "content", "happy"});
// [/mood]

enum class Sign { plus, times };
template <>
inline constexpr auto lido::postgres::enum_names<Sign> = std::to_array<std::string_view>({"+", "x"});

// Reads any text.
struct Tone {
  std::string text;
  friend bool operator==(const Tone&, const Tone&) = default;
};
template <>
struct lido::postgres::Converter<Tone> {
  static constexpr std::string_view name = "Tone";
  static std::optional<Tone> read(std::string_view text) { return Tone{std::string{text}}; }
};

// Types of a user's whose converters have the rest of this library's: a text, one that converts to a number and back,
// and one that is what it derives from.
struct Email {
  std::string text;
};
template <>
struct lido::postgres::Converter<Email> : lido::postgres::Converter<std::string> {
  static constexpr std::string_view name = "Email";
  static std::optional<Email> read(std::string_view text) { return Email{"read " + std::string{text}}; }
  static std::string write(const Email& email) { return "written " + email.text; }
};
struct UserId {
  UserId(std::int64_t number = 0) : value{number} {}        // NOLINT(google-explicit-constructor): as users do
  operator std::int64_t() const noexcept { return value; }  // NOLINT(google-explicit-constructor): the same
  std::int64_t value;
};
template <>
struct lido::postgres::Converter<UserId> : lido::postgres::Converter<std::int64_t> {
  static constexpr std::string_view name = "UserId";
  static std::optional<UserId> read(std::string_view text) {
    const std::optional<std::int64_t> number = Converter<std::int64_t>::read(text);
    return number ? std::optional{UserId{*number + 1000}} : std::nullopt;
  }
  static std::string write(const UserId& id) { return std::to_string(id.value + 1); }
};
struct Ticket : Uuid {
  bool read = false;
};
template <>
struct lido::postgres::Converter<Ticket> : lido::postgres::Converter<lido::postgres::Uuid> {
  static constexpr std::string_view name = "Ticket";
  static std::optional<Ticket> read(std::string_view) { return Ticket{{}, true}; }
  static std::string write(const Ticket&) { return "ffffffff-ffff-ffff-ffff-ffffffffffff"; }
};
struct Name : std::string {
  using std::string::string;
  bool read = false;
};
template <>
struct lido::postgres::Converter<Name> : lido::postgres::Converter<std::string> {
  static constexpr std::string_view name = "Name";
  static std::optional<Name> read(std::string_view text) {
    Name found{text.data(), text.size()};
    found.read = true;
    return found;
  }
  static std::optional<std::string> write(const Name& value) {
    if (value.empty()) return std::nullopt;
    return "written " + value;
  }
};
struct Secret {
  std::string plain;
  operator std::string_view() const noexcept { return plain; }  // NOLINT(google-explicit-constructor): as users do
};
template <>
struct lido::postgres::Converter<Secret> {
  static constexpr std::string_view name = "Secret";
  static constexpr Oid type = 25;
  static std::optional<Secret> read(std::string_view text) { return Secret{"opened " + std::string{text}}; }
  static std::string write(const Secret& secret) { return "sealed " + secret.plain; }
};
struct Sealed : std::vector<std::byte> {
  using std::vector<std::byte>::vector;
  bool read = false;
};
template <>
struct lido::postgres::Converter<Sealed> : lido::postgres::Converter<std::vector<std::byte>> {
  static constexpr std::string_view name = "Sealed";
  static std::optional<Sealed> read(std::string_view) {
    Sealed sealed;
    sealed.read = true;
    return sealed;
  }
  static std::string write(const Sealed& sealed) { return "\\xff" + std::string(2 * sealed.size(), '0'); }
};
struct Digest {
  std::array<std::byte, 2> bytes{std::byte{0xab}, std::byte{0xcd}};
};
template <>
struct lido::postgres::Converter<Digest> {
  static constexpr std::string_view name = "Digest";
  static constexpr Oid type = 17;
  static std::optional<Digest> read(std::string_view) { return Digest{}; }
  static std::string write(const Digest&) { return "\\x"; }
  static std::span<const std::byte, 2> bytes(const Digest& digest) noexcept { return digest.bytes; }
};
struct Seal : Digest {};
template <>
struct lido::postgres::Converter<Seal> {
  static constexpr std::string_view name = "Seal";
  static constexpr Oid type = 17;
  static std::optional<Seal> read(std::string_view) { return Seal{}; }
  static std::string write(const Seal&) { return "\\x"; }
  static std::span<const std::byte> bytes(const Seal& seal) noexcept { return seal.Digest::bytes; }
  static std::span<const std::byte> bytes(Seal&&) = delete;  // it would be a view of what is gone
};

namespace {

// One member of every kind, which must not confuse how members are counted.
struct Everything {
  int number;
  double measure;
  bool flag;
  std::string text;
  std::string_view view;
  std::vector<std::byte> bytes;
  std::optional<int> perhaps_number;
  std::optional<std::string> perhaps_text;
  std::vector<std::optional<std::string>> texts;
  std::optional<std::vector<std::vector<int>>> matrix;
  Uuid uuid;
  Numeric numeric;
  Json json;
  Mood mood;
  std::chrono::sys_time<std::chrono::microseconds> moment;
  std::optional<std::chrono::year_month_day> day;
};

}  // namespace

static_assert(Readable<Mood> && Writable<Mood> && !Readable<Unnamed> && !Writable<Unnamed>);
static_assert(Writable<std::span<const std::byte>> && !Readable<std::span<const std::byte>>);

BOOST_AUTO_TEST_SUITE(values)

BOOST_AUTO_TEST_CASE(sends_bytes_as_they_are) {
  Connection connection = connect();
  std::vector<std::byte> bytes(1 << 20);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 31);
  const Result result = connection.exec("select $1, length($1), md5($1)", bytes);
  BOOST_TEST((result[0][0].as<std::vector<std::byte>>() == bytes));
  BOOST_TEST(result[0][1].as<std::size_t>() == bytes.size());
  BOOST_TEST(connection.exec("select md5($1)", std::span<const std::byte>{bytes}).one<std::string>() ==
             result[0][2].as<std::string>());
  const std::vector<std::byte> empty;
  BOOST_TEST((connection.exec("select $1", empty).one<std::vector<std::byte>>() == empty));
  const std::optional<std::vector<std::byte>> none;
  BOOST_TEST(connection.exec("select $1", none)[0][0].is_null());
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select '\\x00'::text").one<std::vector<std::byte>>()),
                    ResultError);
}

namespace {

template <class T, class WasRead>
void goes_by_its_own_converter(const std::string& type, const T& value, const std::string& written, WasRead was_read) {
  Connection connection = connect();
  const auto text_of = [&](const std::string& what, const auto& parameter) {
    return connection.exec("select (" + what + ")::text", parameter).template one<std::string>();
  };
  BOOST_TEST(text_of("$1::" + type, value) == written);
  BOOST_TEST(text_of("$1::" + type, std::optional{value}) == written);
  BOOST_TEST(text_of("$1::" + type, Params{}.add(value)) == written);
  BOOST_TEST(text_of("($1::" + type + "[])[1]", std::vector<T>{value}) == written);
  BOOST_TEST(text_of("($1::" + type + "[])[1]", std::array<T, 1>{value}) == written);
  connection.exec_script("create temp table own(half float8, v " + type + ")");
  const std::vector<std::tuple<double, T>> rows(1000, std::tuple<double, T>{0.5, value});
  connection.copy_in("copy own from stdin", rows);
  BOOST_TEST(connection.exec("select count(*) from own where v::text = $1", written).template one<int>() == 1000);
  int read = 0;
  const auto check = [&](const T& found) {
    ++read;
    BOOST_TEST(was_read(found));
  };
  check(connection.exec("select v from own limit 1").template one<T>());
  check(connection.exec("select array[v] from own limit 1").template one<std::vector<T>>().front());
  for (const auto& [half, found] : connection.copy_out<double, T>("copy (table own limit 1) to stdout")) check(found);
  for (const auto& [half, found] : connection.stream<double, T>("select half, v from own limit 1")) check(found);
  for (const T& found : connection.copy_out<T>("copy (select v from own limit 1) to stdout")) check(found);
  for (const T& found : connection.stream<T>("select v from own limit 1")) check(found);
  BOOST_TEST(read == 6);
}

}  // namespace

BOOST_AUTO_TEST_CASE(converters_that_derive_from_others_are_heard) {
  goes_by_its_own_converter("text", Email{"a@b"}, "written a@b",
                            [](const Email& found) { return found.text == "read written a@b"; });
  goes_by_its_own_converter("int8", UserId{7}, "8", [](const UserId& found) { return found.value == 1008; });
  goes_by_its_own_converter("uuid", Ticket{}, "ffffffff-ffff-ffff-ffff-ffffffffffff",
                            [](const Ticket& found) { return found.read; });
  goes_by_its_own_converter("bytea", Sealed{std::byte{0x61}}, "\\xff00",
                            [](const Sealed& found) { return found.read; });
}

BOOST_AUTO_TEST_CASE(converters_of_what_converts_to_text_are_heard) {
  goes_by_its_own_converter("text", Name{"Ada"}, "written Ada", [](const Name& found) { return found.read; });
  goes_by_its_own_converter("text", Secret{"1234"}, "sealed 1234",
                            [](const Secret& found) { return found.plain == "opened sealed 1234"; });
  Connection connection = connect();
  BOOST_TEST(connection.exec("select pg_typeof($1)::text", Secret{}).one<std::string>() == "text");
  const auto error = caught<QueryError>([&] { connection.exec("select $1::text", Name{}); });
  BOOST_TEST(std::string_view{error.what()}.find("$1: a value of Name that cannot be passed") !=
             std::string_view::npos);
}

BOOST_AUTO_TEST_CASE(converters_may_have_the_servers_own_format) {
  BOOST_TEST(connect().exec("select $1::bytea::text", Digest{}).one<std::string>() == "\\xabcd");
  BOOST_TEST(connect().exec("select $1::bytea::text", Seal{}).one<std::string>() == "\\xabcd");
}

BOOST_AUTO_TEST_CASE(says_how_bytes_have_to_be_written) {
  Connection connection = connect();
  connection.exec("set bytea_output = 'escape'");
  const auto error = caught<ResultError>(
      [&] { static_cast<void>(connection.exec("select 'abc'::bytea").one<std::vector<std::byte>>()); });
  BOOST_TEST(error.actual() == "bytea with an escaped value (bytea_output must be hex)");
}

BOOST_AUTO_TEST_CASE(passes_uuids_there_and_back) {
  Connection connection = connect();
  const std::string_view text = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
  const std::optional<Uuid> uuid = Uuid::parse("F81D4FAE-7DEC-11D0-A765-00a0c91e6bf6");
  BOOST_REQUIRE(uuid.has_value());
  BOOST_TEST(uuid->to_string() == text);
  BOOST_TEST((connection.exec("select $1", *uuid).one<Uuid>() == *uuid));
  BOOST_TEST(connection.exec("select $1::text", *uuid).one<std::string>() == text);
  BOOST_TEST((Uuid{} < *uuid));
  for (const char* wrong : {"", "f81d4fae7dec11d0a76500a0c91e6bf6", "f81d4fae-7dec-11d0-a765-00a0c91e6bfg",
                            "f81d4fae-7dec-11d0-a765-00a0c91e6bf", "f81d4fae-7dec-11d0-a76500-a0c91e6bf6"})
    BOOST_TEST_CONTEXT(wrong) BOOST_TEST(!Uuid::parse(wrong).has_value());
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select $1::text", *uuid).one<Uuid>()), ResultError);
}

BOOST_AUTO_TEST_CASE(keeps_all_digits_of_a_numeric) {
  Connection connection = connect();
  const std::string long_one = "-" + std::string(200, '9') + "." + std::string(100, '1');
  for (const std::string& digits : {long_one, std::string{"0.00"}, std::string{"NaN"}, std::string{"-Infinity"}})
    BOOST_TEST(connection.exec("select $1::numeric", Numeric{digits}).one<Numeric>().digits == digits);
  BOOST_TEST(connection.exec("select 12::int8").one<Numeric>().digits == "12");
  for (const char* wrong : {"", "-", ".", "1.", ".5", "1e5", "+1", "0x1", "1 ", "nan", "--1", "1.5.2"})
    BOOST_TEST_CONTEXT(wrong) BOOST_TEST(!Converter<Numeric>::read(wrong).has_value());
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select 1.5::float8").one<Numeric>()), ResultError);
  BOOST_CHECK_THROW(connection.exec("select $1::numeric", Numeric{"1; drop"}), QueryError);
}

BOOST_AUTO_TEST_CASE(passes_json_to_either_of_its_types) {
  Connection connection = connect();
  const Json document{R"({"a": [1, "\"\\"]})"};
  BOOST_TEST((connection.exec("select $1::json", document).one<Json>() == document));
  BOOST_TEST((connection.exec("select $1::jsonb", document).one<Json>() == document));
  BOOST_TEST(connection.exec("select '{\"a\": 1, \"b\": 2}'::jsonb @> $1", Json{"{\"a\":1}"}).one<bool>());
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select '{}'::text").one<Json>()), ResultError);
  BOOST_CHECK_THROW(connection.exec("select $1::json", Json{"{"}), QueryError);
}

BOOST_AUTO_TEST_CASE(passes_enumerations_by_their_names) {
  Connection connection = connect();
  connection.exec_script("create schema moods; create type moods.mood as enum ('sad', 'content', 'happy', 'new')");
  BOOST_TEST((connection.exec("select $1::moods.mood", Mood::happy).one<Mood>() == Mood::happy));
  BOOST_TEST((connection.exec("select 'sad'::text").one<Mood>() == Mood::sad));
  const std::vector<std::optional<Mood>> some{Mood::content, std::nullopt};
  BOOST_TEST((connection.exec("select $1::moods.mood[]", some).one<std::vector<std::optional<Mood>>>() == some));
  const auto error =
      caught<ResultError>([&] { static_cast<void>(connection.exec("select 'new'::moods.mood").one<Mood>()); });
  BOOST_TEST(error.wanted().ends_with("Mood"));
  BOOST_TEST(error.actual().ends_with("a name that is not among its enum_names"));
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select 1").one<Mood>()), ResultError);
  const auto unnamed =
      caught<QueryError>([&] { connection.exec("select $1::int, $2::text", 1, static_cast<Mood>(7)); });
  BOOST_TEST(std::string_view{unnamed.what()}.starts_with("parameter $2: a value of "));
  connection.exec_script("drop schema moods cascade");
}

BOOST_AUTO_TEST_CASE(reads_names_out_of_every_type_of_text) {
  Connection connection = connect();
  connection.exec_script(
      "create schema moods; create domain moods.padded as char(12); create type moods.mood as enum ('content', 'sad')");
  // The server gives a domain out as what it is made of.
  for (const std::string type :
       {"text", "varchar", "varchar(9)", "char(9)", "char(7)", "bpchar", "name", "moods.padded", "moods.mood", "xml"})
    BOOST_TEST_CONTEXT(type) {
      connection = connect();
      connection.exec_script("create temp table t(mood " + type + ", moods " +
                             (type == "moods.padded" ? "char(12)" : type) + "[])");
      const std::vector<Mood> some{Mood::content, Mood::sad};
      if (type == "xml") {
        connection.exec("insert into t(mood) values ('sad')");
        BOOST_CHECK_THROW(static_cast<void>(connection.exec("select mood from t").one<Mood>()), ResultError);
      } else {
        connection.exec("insert into t values ($1, $2)", Mood::content, some);
        const Result result = connection.exec("select mood, moods, mood from t");
        BOOST_TEST((result[0][0].as<Mood>() == Mood::content));
        BOOST_TEST((result[0][1].as<std::vector<Mood>>() == some));
        BOOST_TEST((result[0][2].as<Tone>() == Tone{"content"}));
        for (const Mood mood : connection.stream<Mood>("select mood from t")) BOOST_TEST((mood == Mood::content));
        for (const Mood mood : connection.copy_out<Mood>("copy t(mood) to stdout")) BOOST_TEST((mood == Mood::content));
        for (const auto& moods : connection.copy_out<std::vector<Mood>>("copy t(moods) to stdout"))
          BOOST_TEST((moods == some));
      }
    }
  BOOST_TEST((connection.exec("select 'x'::\"char\"").one<Sign>() == Sign::times));
  BOOST_TEST((connection.exec("select 'sad '::char(4), 'a'::char(3)")[0][0].as<Mood>() == Mood::sad));
  // Blanks count in every other type, and so they do for a text.
  for (const char* other : {"select 'sad '::text", "select 'sad '::varchar", "select ' sad'::char(5)"})
    BOOST_CHECK_THROW(static_cast<void>(connection.exec(other).one<Mood>()), ResultError);
  BOOST_TEST(connection.exec("select 'sad'::char(5)").one<std::string>() == "sad  ");
  BOOST_TEST((connection.exec("select array['sad']::char(5)[]").one<std::vector<std::string>>() ==
              std::vector<std::string>{"sad  "}));
  BOOST_TEST((connection.exec("select 'sad '").one<Tone>() == Tone{"sad "}));
  connection.exec_script("drop schema moods cascade");
}

BOOST_AUTO_TEST_CASE(fills_an_aggregate_of_all_kinds) {
  Connection connection = connect();
  const Result result = connection.exec(
      "select 1, 2.5, true, 'text', 'view', '\\x01'::bytea, null::int, 'perhaps', array['a', null], array[[1], [2]], "
      "'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'::uuid, 1.50, '{}'::json, 'happy', timestamptz 'epoch', null::date");
  const auto all = result.one<ByPosition<Everything>>();
  BOOST_TEST(all.number == 1);
  BOOST_TEST(all.measure == 2.5);
  BOOST_TEST(all.flag);
  BOOST_TEST(all.text == "text");
  BOOST_TEST(all.view == "view");
  BOOST_TEST(all.bytes.size() == 1U);
  BOOST_TEST(!all.perhaps_number.has_value());
  BOOST_TEST(all.perhaps_text.value() == "perhaps");
  BOOST_TEST((all.texts == std::vector<std::optional<std::string>>{"a", std::nullopt}));
  BOOST_TEST(all.matrix.value().size() == 2U);
  BOOST_TEST((all.uuid != Uuid{}));
  BOOST_TEST(all.numeric.digits == "1.50");
  BOOST_TEST(all.json.text == "{}");
  BOOST_TEST((all.mood == Mood::happy));
  BOOST_TEST((all.moment == std::chrono::sys_days{}));
  BOOST_TEST(!all.day.has_value());
}

BOOST_AUTO_TEST_SUITE_END()
