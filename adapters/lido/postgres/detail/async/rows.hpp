// Rows that come one after the other, as operations of an event loop.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/operations/walk.hpp>
#include <lido/postgres/detail/wire/wait.hpp>

namespace lido::postgres::detail {

/// A walk over rows that is shared by whoever asks for them and the operation that waits for the next: the last one to
/// go abandons what is left.
template <class Runner, class Rows>
class SharedRows final : public Walk<Rows> {
 public:
  /// Sends. Throws `QueryError` or `ConnectionLost`.
  template <class... Rest>
  SharedRows(Runner how, const Call& call, std::string_view sql, const Rest&... rest)
      : Walk<Rows>{call, sql, rest...}, runner{std::move(how)} {}
  ~SharedRows() { this->abandon_at_once(); }

  const Runner runner;
};

/// Waits for the next row.
template <class Shared>
class Fetching {
 public:
  explicit Fetching(std::shared_ptr<Shared> shared) : shared_{std::move(shared)}, found_{shared_->advance()} {}

  [[nodiscard]] Socket socket() const noexcept { return shared_->socket(); }
  [[nodiscard]] Need step() {
    if (found_) return Need::nothing;
    const Need need = shared_->step();
    if (need != Need::nothing) return need;
    shared_->arrived();
    found_ = true;
    return Need::nothing;
  }
  void give_up(Wake why) { shared_->give_up(why); }
  /// Nothing at the end.
  [[nodiscard]] auto outcome() {
    using Value = decltype(shared_->value());
    return shared_->present() ? std::optional<Value>{shared_->value()} : std::nullopt;
  }

 protected:
  [[nodiscard]] std::shared_ptr<Shared>& shared() noexcept { return shared_; }

 private:
  std::shared_ptr<Shared> shared_;
  bool found_;
};

/// Waits for the first row, and gives a `Handle` for all of them.
template <class Shared, class Handle>
class FetchingFirst : public Fetching<Shared> {
 public:
  using Fetching<Shared>::Fetching;
  [[nodiscard]] Handle outcome() {
    this->shared()->keep();
    return Handle{std::move(this->shared())};
  }
};

/// Ends it before the last row. Throws nothing: a connection on which that does not work out is given up.
template <class Shared>
class Closing {
 public:
  explicit Closing(std::shared_ptr<Shared> shared) noexcept : shared_{std::move(shared)}, open_{shared_->abandon()} {}

  [[nodiscard]] Socket socket() const noexcept { return shared_->socket(); }
  [[nodiscard]] Need step() noexcept {
    try {
      const Need need = open_ ? shared_->step() : Need::nothing;
      if (need == Need::nothing) shared_->let_go_if_over();
      return need;
    } catch (...) {  // it is lost
      return Need::nothing;
    }
  }
  void give_up(Wake why) noexcept {
    try {
      if (open_) shared_->give_up(why);
    } catch (...) {  // nobody wants to know
    }
  }
  void outcome() const noexcept {}

 private:
  std::shared_ptr<Shared> shared_;
  bool open_;
};

}  // namespace lido::postgres::detail
