// Programs that a test asks.
#pragma once

#include <array>
#include <cstddef>
#include <cstdio>
#include <stdexcept>
#include <string>

namespace lido::test {

/// What a command prints to its standard output. Throws `std::runtime_error` where it cannot be run.
inline std::string output_of(const std::string& command) {
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error{"cannot run " + command};
  std::string text;
  std::array<char, 4096> buffer;
  std::size_t count = 0;
  do {
    count = std::fread(buffer.data(), 1, buffer.size(), pipe);
    text.append(buffer.data(), count);
  } while (count > 0);
  ::pclose(pipe);
  return text;
}

}  // namespace lido::test
