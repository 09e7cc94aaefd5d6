// Names as values of Prometheus' labels.
#pragma once

#include <string>
#include <string_view>

#include <lido/detail/json.hpp>

namespace lido::prometheus::detail {

// `name`, with each byte that is no UTF-8 as `\xFC`: one such label, and Prometheus refuses the whole answer, with the
// metrics of everybody else. Not U+FFFD, by which names that differ in such a byte alone would be the same.
[[nodiscard]] inline std::string label_of(std::string_view name) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string label;
  while (!name.empty()) {
    const lido::detail::Utf8Sequence sequence = lido::detail::first_utf8_sequence(name);
    for (const char byte : name.substr(0, sequence.length)) {
      const auto code = static_cast<unsigned char>(byte);
      if (sequence.valid)
        label += byte;
      else
        label += {'\\', 'x', digits[code >> 4], digits[code & 0xF]};
    }
    name.remove_prefix(sequence.length);
  }
  return label;
}

}  // namespace lido::prometheus::detail
