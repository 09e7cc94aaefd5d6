// The end of a wait that nothing but a failure makes so long.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>

namespace lido::test {

/// Asked while somebody waits; throws when that has taken a minute.
class Patience {
 public:
  explicit Patience(const char* what) : what_{what} {}
  void check() const {
    if (std::chrono::steady_clock::now() > until_)
      throw std::runtime_error{std::string{"waited in vain until "} + what_};
  }

 private:
  const char* what_;
  std::chrono::steady_clock::time_point until_ = std::chrono::steady_clock::now() + std::chrono::minutes{1};
};

}  // namespace lido::test
