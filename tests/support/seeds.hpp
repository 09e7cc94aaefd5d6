// Where randomness in tests comes from: replayable, and said when it fails.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace lido::test {

// A number from the environment, or what is right without one.
[[nodiscard]] inline std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it meanwhile
  return text == nullptr || *text == '\0' ? otherwise : std::stoull(text);
}

// The seed to replay (LIDO_SEED), or the usual one.
[[nodiscard]] inline unsigned seed() { return static_cast<unsigned>(number_from_environment("LIDO_SEED", 1)); }

}  // namespace lido::test
