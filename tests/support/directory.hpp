// A directory for the length of a test.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

namespace lido::test {

/// A directory that is gone with its owner.
class Directory {
 public:
  Directory() {
    char path[] = "/tmp/lido-XXXXXX";
    if (::mkdtemp(path) == nullptr) throw std::runtime_error{"mkdtemp failed"};
    std::filesystem::permissions(path, std::filesystem::perms{0755});  // the server is another user
    path_ = path;
  }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  ~Directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + '/' + name; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

}  // namespace lido::test
