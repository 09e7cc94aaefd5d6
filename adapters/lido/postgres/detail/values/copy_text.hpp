// The text format of COPY.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include <lido/postgres/detail/values/fields.hpp>
#include <lido/postgres/detail/values/parameters.hpp>
#include <lido/postgres/detail/values/shape.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/types/converter.hpp>

namespace lido::postgres::detail {

/// Appends `text` as a field of a line.
inline void append_escaped(std::string& line, std::string_view text) {
  static constexpr std::string_view special{"\b\f\n\r\t\v\\\0", 8};
  static constexpr std::string_view letters = "bfnrtv\\";
  for (;;) {
    const std::size_t plain = text.find_first_of(special);
    line.append(text.substr(0, plain));
    if (plain == std::string_view::npos) return;
    const std::size_t which = special.find(text[plain]);
    if (which >= letters.size())
      throw QueryError{"COPY: a text holds a zero byte, which PostgreSQL cannot store (use std::vector<std::byte>)"};
    line += '\\';
    line += letters[which];
    text.remove_prefix(plain + 1);
  }
}

template <Parameter T>
void append_field(std::string& line, const T& value) {
  if constexpr (Null<T>) {
    line += "\\N";
  } else if constexpr (is_optional<T>) {
    value ? append_field(line, *value) : append_field(line, nullptr);
  } else if constexpr (Text<T>) {
    if constexpr (std::is_pointer_v<T>) {
      if (value == nullptr) return append_field(line, nullptr);
    }
    append_escaped(line, std::string_view{value});
  } else {
    append_escaped(line, text_of(value, [] { return std::string{"COPY"}; }));
  }
}

/// A row: a tuple or a struct, all of whose fields can be parameters.
template <class Row>
concept Copyable = RowOfFields<Row>;

template <Copyable Row>
void append_row(std::string& line, const Row& row) {
  with_fields(row, [&line](const auto&... fields) {
    bool first = true;
    ((std::exchange(first, false) ? void() : line.push_back('\t'), append_field(line, fields)), ...);
  });
  line += '\n';
}

/// Takes the first field off `line`, which has lost its line end; nothing for NULL.
[[nodiscard]] inline std::optional<std::string> take_field(std::string_view& line) {
  const std::size_t end = line.find('\t');
  const std::string_view field = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  if (field == "\\N") return std::nullopt;
  static constexpr std::string_view letters = "bfnrtv";
  static constexpr std::string_view characters = "\b\f\n\r\t\v";
  std::string text;
  text.reserve(field.size());
  for (std::size_t i = 0; i < field.size(); ++i) {
    if (field[i] != '\\' || i + 1 == field.size()) {
      text += field[i];
      continue;
    }
    const std::size_t letter = letters.find(field[++i]);
    text += letter == std::string_view::npos ? field[i] : characters[letter];
  }
  return text;
}

template <class T>
[[nodiscard]] T read_field(const std::optional<std::string>& text, std::size_t row, std::size_t column) {
  if constexpr (is_optional<T>) {
    if (!text) return std::nullopt;
    return read_field<typename T::value_type>(text, row, column);
  } else {
    const auto mismatch = [&](const char* actual) {
      return ResultError{row, std::to_string(column), std::string{Converter<T>::name}, actual};
    };
    if (!text) throw mismatch("NULL");
    std::optional<T> value = Converter<T>::read(*text);
    if (!value) throw mismatch("a text that is none");
    return *std::move(value);
  }
}

/// One line, as `make_row` takes it.
struct LineFields {
  template <class T>
  [[nodiscard]] T read(std::size_t field) const {
    return read_field<T>(texts[field], row, field);
  }
  [[nodiscard]] bool is_null(std::size_t field) const noexcept { return !texts[field]; }

  std::span<const std::optional<std::string>> texts;
  std::size_t row;
};

/// One line of COPY ... TO STDOUT as what a row is read as. Throws `ResultError`.
template <class... T>
[[nodiscard]] RowValue<T...> read_line(std::string_view line, std::size_t row) {
  using Shape = RowShape<T...>;
  static_assert(!Shape::by_name,
                "lido: a COPY has no names of columns: say copy_out<lido::postgres::ByPosition<T>>, and in the "
                "statement the columns in the order of the members");
  constexpr std::size_t columns = Shape::Columns::size;
  if (line.ends_with('\n')) line.remove_suffix(1);
  const std::size_t fields = 1 + static_cast<std::size_t>(std::ranges::count(line, '\t'));
  if (fields != columns) throw ResultError{row, "*", std::to_string(columns) + " columns", std::to_string(fields)};
  std::array<std::optional<std::string>, columns> texts;
  for (std::optional<std::string>& text : texts) text = take_field(line);
  return make_row<Shape>(LineFields{texts, row});
}

}  // namespace lido::postgres::detail
