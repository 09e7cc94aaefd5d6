// The parameters of one statement, as the null-terminated texts that libpq takes.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include <lido/postgres/converter.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

template <class T>
concept Text = std::is_convertible_v<const T&, std::string_view>;

template <class T>
inline constexpr bool is_optional_parameter = false;
template <class T>
inline constexpr bool is_optional_parameter<std::optional<T>> = true;

template <class T>
concept Null = std::is_same_v<T, std::nullptr_t> || std::is_same_v<T, std::nullopt_t>;

/// What may be passed for a `$1`: a number, a bool, text, bytes, a type with a `Converter`, an optional of these, or a
/// null.
template <class T>
concept Parameter = Null<T> || Text<T> || Writable<T> || is_optional_parameter<T>;

/// Owns the texts; pass by reference only, the pointers look into it.
template <std::size_t N>
class Parameters {
 public:
  template <Parameter... T>
  explicit Parameters(const T&... values) {
    std::size_t index = 0;
    (bind(index++, values), ...);
  }
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  [[nodiscard]] static constexpr std::size_t size() noexcept { return N; }
  [[nodiscard]] const char* const* values() const noexcept { return values_.data(); }

 private:
  template <class T>
  void bind(std::size_t index, const T& value) {
    if constexpr (Null<T>) {
      values_[index] = nullptr;
    } else if constexpr (is_optional_parameter<T>) {
      if (value) bind(index, *value);
    } else if constexpr (std::is_same_v<T, std::string>) {
      values_[index] = checked(index, value);  // lives as long as the call
    } else if constexpr (Text<T>) {
      if constexpr (std::is_pointer_v<T>) {
        if (value == nullptr) return;
      }
      texts_[index] = std::string_view{value};
      values_[index] = checked(index, texts_[index]);
    } else {
      texts_[index] = Converter<T>::write(value);
      values_[index] = checked(index, texts_[index]);
    }
  }

  // libpq would silently cut the text there.
  static const char* checked(std::size_t index, const std::string& text) {
    if (text.find('\0') != std::string::npos)
      throw QueryError{"parameter $" + std::to_string(index + 1) +
                       ": holds a zero byte, which PostgreSQL cannot store as text (use std::vector<std::byte>)"};
    return text.c_str();
  }

  std::array<std::string, N> texts_;
  std::array<const char*, N> values_{};
};

}  // namespace lido::postgres::detail
