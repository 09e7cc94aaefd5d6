// The text format of COPY.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <lido/postgres/detail/values/fields.hpp>
#include <lido/postgres/detail/values/out_buffer.hpp>
#include <lido/postgres/detail/values/parameters.hpp>
#include <lido/postgres/detail/values/shape.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres::detail {

/// Whether a COPY takes all of `text` as it stands: there is no control character in it, and no backslash.
[[nodiscard]] inline bool is_plain(std::string_view text) noexcept {
  constexpr std::uint64_t ones = 0x0101'0101'0101'0101;
  constexpr std::uint64_t tops = ones << 7U;
  const auto special = [](std::uint64_t eight) {
    const std::uint64_t backslashes = eight ^ (ones * '\\');
    return (((eight - ones * ' ') & ~eight) | ((backslashes - ones) & ~backslashes)) & tops;
  };
  const char* at = text.data();
  std::size_t left = text.size();
  std::uint64_t found = 0;
  for (; left >= 8; at += 8, left -= 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, at, 8);
    found |= special(eight);
  }
  std::uint64_t rest = ones * ' ';
  for (; left > 0; --left) rest = rest << 8U | static_cast<unsigned char>(*at++);
  return (found | special(rest)) == 0;
}

[[noreturn, gnu::cold]] inline void refuse_zero_byte() {
  throw QueryError{"COPY: a text holds a zero byte, which PostgreSQL cannot store (use std::vector<std::byte>)"};
}

/// Appends `text` as a field of a line.
inline void append_escaped(OutBuffer& line, std::string_view text) {
  if (is_plain(text)) return line.append(text);
  static constexpr std::string_view special{"\b\f\n\r\t\v\\\0", 8};
  static constexpr std::string_view letters = "bfnrtv\\";
  for (;;) {
    const std::size_t plain = text.find_first_of(special);
    line.append(text.substr(0, plain));
    if (plain == std::string_view::npos) return;
    const std::size_t which = special.find(text[plain]);
    if (which >= letters.size()) refuse_zero_byte();
    line.push_back('\\');
    line.push_back(letters[which]);
    text.remove_prefix(plain + 1);
  }
}

template <Parameter T>
void append_field(OutBuffer& line, const T& value) {
  if constexpr (Null<T>) {
    line.append("\\N");
  } else if constexpr (is_optional<T>) {
    value ? append_field(line, *value) : append_field(line, nullptr);
  } else if constexpr (PassedAsText<T>) {
    if constexpr (std::is_pointer_v<T>) {
      if (value == nullptr) return append_field(line, nullptr);
    }
    append_escaped(line, std::string_view{value});
  } else if constexpr (Puts<AsParameter<T>, T>) {
    const char* const end = AsParameter<T>::put(line.room(AsParameter<T>::longest), value);
    if (end == nullptr) refuse_value("COPY", AsParameter<T>::name);
    line.filled(end);
  } else {
    append_escaped(line, text_of(value, [] { return std::string{"COPY"}; }));
  }
}

/// A row: a tuple or a struct, all of whose fields can be parameters.
template <class Row>
concept Copyable = RowOfFields<Row>;

template <Copyable Row>
void append_row(OutBuffer& line, const Row& row) {
  with_fields(row, [&line](const auto&... fields) {
    bool first = true;
    ((std::exchange(first, false) ? void() : line.push_back('\t'), append_field(line, fields)), ...);
  });
  line.push_back('\n');
}

/// A field of a line. What has no backslash in it is where it came.
struct LineField {
  std::string_view text;
  bool null = false;
};

/// What an escaped field stands for, appended to `room`, which has to have room for it.
[[nodiscard]] inline LineField unescaped(std::string_view field, std::string& room) {
  if (field == "\\N") return {{}, true};
  static constexpr std::string_view letters = "bfnrtv";
  static constexpr std::string_view characters = "\b\f\n\r\t\v";
  const std::size_t begin = room.size();
  while (!field.empty()) {
    const std::size_t escape = field.find('\\');
    room += field.substr(0, escape);
    if (escape == std::string_view::npos) break;
    field.remove_prefix(escape + 1);
    const char c = field.empty() ? '\\' : field.front();
    const std::size_t letter = letters.find(c);
    room += letter == std::string_view::npos ? c : characters[letter];
    field.remove_prefix(std::min<std::size_t>(field.size(), 1));
  }
  return {std::string_view{room}.substr(begin)};
}

/// Takes a line apart into as many `fields` as there is room for, and returns how many it has. They are valid as long
/// as the line and `room`, which is empty before.
[[nodiscard]] inline std::size_t take_fields(std::string_view line, std::span<LineField> fields, std::string& room) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  const bool escapes = line.find('\\') != std::string_view::npos;
  if (escapes) room.reserve(line.size());  // so that it stays where it is
  for (std::size_t count = 0;; ++count) {
    const std::size_t end = std::min(line.find('\t'), line.size());
    if (count < fields.size()) {
      const std::string_view field{line.data(), end};
      fields[count] = escapes ? unescaped(field, room) : LineField{field};
    }
    if (end == line.size()) return count + 1;
    line.remove_prefix(end + 1);
  }
}

[[noreturn, gnu::cold]] inline void refuse_field(std::size_t row, std::size_t column, std::string_view wanted,
                                                 const char* actual) {
  throw ResultError{row, std::to_string(column), std::string{wanted}, actual};
}

template <class T>
[[nodiscard]] T read_field(const LineField& field, std::size_t row, std::size_t column) {
  if constexpr (is_optional<T>) {
    if (field.null) return std::nullopt;
    return read_field<typename T::value_type>(field, row, column);
  } else {
    if (field.null) refuse_field(row, column, Converter<T>::name, "NULL");
    if constexpr (std::same_as<T, std::string>) {
      return std::string{field.text};
    } else {
      std::optional<T> value = Converter<T>::read(field.text);
      if (!value) refuse_field(row, column, Converter<T>::name, "a text that is none");
      return *std::move(value);
    }
  }
}

/// One line, as `make_row` takes it.
struct LineFields {
  template <class T>
  [[nodiscard]] T read(std::size_t field) const {
    return read_field<T>(fields[field], row, field);
  }
  [[nodiscard]] bool is_null(std::size_t field) const noexcept { return fields[field].null; }

  std::span<const LineField> fields;
  std::size_t row;
};

/// One line of COPY ... TO STDOUT as what a row is read as. Throws `ResultError`.
template <class... T>
[[nodiscard]] RowValue<T...> read_line(std::string_view line, std::size_t row) {
  using Shape = RowShape<T...>;
  static_assert(!Shape::by_name,
                "lido: a COPY has no names of columns: say copy_out<lido::postgres::ByPosition<T>>, and in the "
                "statement the columns in the order of the members");
  std::array<LineField, Shape::Columns::size> fields;
  std::string room;
  if (const std::size_t count = take_fields(line, fields, room); count != fields.size())
    throw ResultError{row, "*", std::to_string(fields.size()) + " columns", std::to_string(count)};
  return make_row<Shape>(LineFields{fields, row});
}

}  // namespace lido::postgres::detail
