// An exception in words, with what caused it.
#pragma once

#include <exception>
#include <string>
#include <utility>

namespace lido::detail {

// What is nested in the exception `error`; null where nothing is.
[[nodiscard]] inline std::exception_ptr cause_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::nested_exception& nested) {
    return nested.nested_ptr();
  } catch (...) {
    return nullptr;
  }
}

// What `error` says, and what the exceptions nested in it say, outermost first, but for what was said already. What
// they say is up to whoever threw them: nothing is added here that could be a secret.
[[nodiscard]] inline std::string describe(const std::exception_ptr& error) {
  std::string text;
  // Bounded: an exception that nests itself must not keep the caller.
  std::exception_ptr next = error;
  for (int depth = 0; next != nullptr && depth < 8; ++depth) {
    std::string said;
    try {
      std::rethrow_exception(next);
    } catch (const std::exception& thrown) {
      said = thrown.what();
    } catch (...) {
      said = "an exception that is no std::exception";
    }
    if (depth == 0)
      text = std::move(said);
    else if (text.find(said) == std::string::npos)
      text.append("; caused by: ").append(said);
    next = cause_of(next);
  }
  return text;
}

}  // namespace lido::detail
