// What a COPY OUT sends, a piece at a time.
#pragma once

#include <cstddef>
#include <string_view>

#include <lido/postgres/detail/wire/handle.hpp>

namespace lido::postgres::detail {

class CopyPieces {
 public:
  void begin() noexcept { open_ = true; }
  /// In the middle of a COPY OUT.
  [[nodiscard]] bool is_open() const noexcept { return open_; }

  /// Looks for the next piece. True: there is none any more, and what PQgetResult says next is how it ended. False:
  /// there is one, or it has to be waited for. `closed`: nothing more will come.
  [[nodiscard]] bool end(PGconn* raw, bool closed) noexcept {
    char* data = nullptr;
    const int size = PQgetCopyData(raw, &data, 1);
    piece_.reset(data);
    size_ = size > 0 ? static_cast<std::size_t>(size) : 0;
    if (size > 0 || (size == 0 && !closed)) return false;
    open_ = false;
    return true;
  }
  /// What the last look found, until the next.
  [[nodiscard]] bool any() const noexcept { return piece_ != nullptr; }
  [[nodiscard]] std::string_view piece() const noexcept { return {piece_.get(), size_}; }

 private:
  LibpqMemory<char> piece_;
  std::size_t size_ = 0;
  bool open_ = false;
};

}  // namespace lido::postgres::detail
