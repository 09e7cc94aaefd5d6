// The parameters of one statement, as libpq takes them.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/array_range.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/values/limits.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/types/converter.hpp>
#include <lido/postgres/types/values.hpp>

namespace lido::postgres {

class Params;

namespace detail {

template <class T>
concept Null = std::is_same_v<T, std::nullptr_t> || std::is_same_v<T, std::nullopt_t>;

template <class T>
inline constexpr bool is_parameter = Null<T> || Text<T> || Writable<T> || ArrayRange<T> || ByteRange<T>;
template <class T>
inline constexpr bool is_parameter<std::optional<T>> = is_parameter<T>;
template <>
inline constexpr bool is_parameter<Params> = true;  // all of them
template <>
inline constexpr bool is_parameter<std::optional<Params>> = false;

// Says what is missing; a concept alone would only say that it is not satisfied.
template <class T>
struct Passed {
  static_assert(is_parameter<T>,
                "lido: no parameter can be of this type: specialise lido::postgres::Converter for it, with `write`");
  static constexpr bool possible = is_parameter<T>;
};

/// What may be passed for a `$1`: text, a type with a `Converter`, a range of these, an optional of these, or a null.
/// Or `Params` for all.
template <class T>
concept Parameter = is_parameter<T> || Passed<T>::possible;

[[noreturn, gnu::cold]] inline void refuse_value(const std::string& where, std::string_view name) {
  throw QueryError{where + (": a value of " + std::string{name} + " that cannot be passed")};
}

/// What is sent for `value`. Throws `QueryError`, which begins with what `where()` returns, when it cannot be passed.
template <class T, class Where>
[[nodiscard]] std::string text_of(const T& value, Where where) {
  std::optional<std::string> text = AsParameter<T>::write(value);
  if (!text) refuse_value(where(), AsParameter<T>::name);
  return *std::move(text);
}

/// How many parameters stand before, and how many bytes these have.
struct Before {
  std::size_t count;
  std::size_t bytes;
};

/// Owns the texts; pass by reference only, the pointers look into it and into the values.
template <std::size_t N>
class Parameters {
 public:
  /// Throws `QueryError` for a value that cannot be passed, and for more than a message to the server can carry.
  template <class... T>
    requires(sizeof...(T) == N) && (Parameter<T> && ...)
  explicit Parameters(const T&... values) {
    std::size_t index = 0;
    (bind(index++, values), ...);
  }
  /// One of many.
  template <Parameter T>
    requires(N == 1)
  Parameters(const T& value, Before before) : total_{before.bytes}, before_{before.count} {
    static_assert(!std::same_as<T, Params>, "lido: Params cannot be one of the parameters");
    bind(0, value);
  }
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  [[nodiscard]] static constexpr std::size_t size() noexcept { return N; }
  /// 0 where the server infers it, and null where it infers all: it then also says best when they are too many. Values
  /// of the same C++ types have the same, but where a `Converter` has a `type_of`.
  [[nodiscard]] const Oid* types() const noexcept {
    return std::all_of(types_.begin(), types_.end(), [](Oid type) { return type == 0; }) ? nullptr : types_.data();
  }
  [[nodiscard]] const char* const* values() const noexcept { return values_.data(); }
  [[nodiscard]] const int* lengths() const noexcept { return lengths_.data(); }
  /// 1 for binary, 0 for text.
  [[nodiscard]] const int* formats() const noexcept { return formats_.data(); }
  /// All of it is `Params`; else null.
  [[nodiscard]] const Bound* run_time() const noexcept
    requires(N == 1)
  {
    return run_time_ ? &*run_time_ : nullptr;
  }

 private:
  template <class T>
  void bind(std::size_t index, const T& value) {
    if constexpr (std::same_as<T, Params>) {
      static_assert(N == 1 || !std::same_as<T, Params>,
                    "lido: Params are all the parameters of a statement: add the others to them");
      if constexpr (N == 1) run_time_ = value.bound();
    } else if constexpr (is_optional<T>) {
      using Value = typename T::value_type;
      if constexpr (!Null<Value> && !PassedAsText<Value>) {
        if constexpr (requires { AsParameter<Value>::type; })
          types_[index] = AsParameter<Value>::type;  // of a NULL too
      }
      if (value) bind(index, *value);
    } else if constexpr (Null<T>) {
      values_[index] = nullptr;
    } else if constexpr (std::is_same_v<T, std::string>) {
      count(index, value.size());
      values_[index] = checked(index, value);  // lives as long as the call
    } else if constexpr (PassedAsText<T>) {
      if constexpr (std::is_pointer_v<T>) {
        if (value == nullptr) return;
      }
      const std::string_view text{value};
      count(index, text.size());
      texts_[index] = text;
      values_[index] = checked(index, texts_[index]);
    } else {
      using As = AsParameter<T>;
      if constexpr (requires { As::type_of(value); }) {
        types_[index] = As::type_of(value);
      } else if constexpr (requires { As::type; }) {
        types_[index] = As::type;
      }
      if constexpr (GivesBytes<As, T>) {
        bind_bytes(index, As::bytes(value));
      } else if constexpr (Puts<As, T>) {
        char room[As::longest];
        const char* const end = As::put(room, value);
        if (end == nullptr) refuse_value(parameter(index), As::name);
        bind_short(index, {room, end});
      } else {
        texts_[index] = text_of(value, [&] { return parameter(index); });
        count(index, texts_[index].size());
        values_[index] = checked(index, texts_[index]);
      }
    }
  }

  void bind_short(std::size_t index, std::string_view text) {
    count(index, text.size());
    if (text.size() < rooms_[index].size()) {
      rooms_[index][text.copy(rooms_[index].data(), text.size())] = '\0';
      values_[index] = rooms_[index].data();
    } else {
      values_[index] = texts_[index].assign(text).c_str();
    }
  }
  void bind_bytes(std::size_t index, std::span<const std::byte> bytes) {
    count(index, bytes.size());
    // No bytes may have no address, which would be a NULL.
    values_[index] = bytes.empty() ? "" : reinterpret_cast<const char*>(bytes.data());
    formats_[index] = 1;
  }

  // They go in one message.
  void count(std::size_t index, std::size_t bytes) {
    check_length(bytes, [&] { return parameter(index); });
    lengths_[index] = static_cast<int>(bytes);
    total_ += bytes;
    check_length(total_, [&] { return "parameters $1 to $" + std::to_string(before_ + index + 1) + " together"; });
  }

  // libpq would silently cut the text there.
  const char* checked(std::size_t index, const std::string& text) const {
    if (text.find('\0') != std::string::npos)
      throw QueryError{parameter(index) +
                       ": holds a zero byte, which PostgreSQL cannot store as text (use std::vector<std::byte>)"};
    return text.c_str();
  }
  [[nodiscard]] std::string parameter(std::size_t index) const {
    return "parameter $" + std::to_string(before_ + index + 1);
  }

  std::array<std::string, N> texts_;
  std::array<std::array<char, 40>, N> rooms_;  // of what is short; not initialised, as most are not used
  std::array<Oid, N> types_{};
  std::array<const char*, N> values_{};
  std::array<int, N> lengths_{};
  std::array<int, N> formats_{};
  std::size_t total_ = 0;   // bytes
  std::size_t before_ = 0;  // parameters
  struct None {};
  [[no_unique_address]] std::conditional_t<N == 1, std::optional<Bound>, None> run_time_{};
};

}  // namespace detail

}  // namespace lido::postgres
