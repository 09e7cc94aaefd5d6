// Where randomness in tests comes from: replayable, and said when it fails.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

namespace lido::test {

// A number from the environment, if there is one.
[[nodiscard]] inline std::optional<std::uint64_t> number_from_environment(const char* name) {
  const char* const text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it meanwhile
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::stoull(text);
}
// The same, or what is right without one.
[[nodiscard]] inline std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  return number_from_environment(name).value_or(otherwise);
}

// The seed to replay (LIDO_SEED), or the usual one.
[[nodiscard]] inline unsigned seed() { return static_cast<unsigned>(number_from_environment("LIDO_SEED", 1)); }

// From `first` to before `end`.
struct SeedRange {
  std::uint64_t first, end;
};
// The seeds that a test plays: the one to replay (LIDO_SEED), or so many from 1 (LIDO_SEEDS).
[[nodiscard]] inline SeedRange seed_range(std::uint64_t usual) {
  if (const auto only = number_from_environment("LIDO_SEED")) return {*only, *only + 1};
  return {1, 1 + number_from_environment("LIDO_SEEDS", usual)};
}

}  // namespace lido::test
