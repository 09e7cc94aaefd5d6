// Rows that come one after the other, as operations of an event loop.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// Rows that are walked over, `IncomingRows` or `IncomingLines`, with all that this takes. Shared by whoever asks for
/// them and the operation that waits for the next: the last one to go abandons what is left.
template <class Runner, class Rows>
class SharedRows {
 public:
  /// Sends. Throws `QueryError` or `ConnectionLost`.
  template <class... Rest>
  SharedRows(Runner how, Channel& channel, Until until, std::string_view sql, const Rest&... rest)
      : runner{std::move(how)}, channel_{channel}, until_{std::move(until)}, rows_{channel, sql, rest...} {}
  SharedRows(const SharedRows&) = delete;
  SharedRows& operator=(const SharedRows&) = delete;
  ~SharedRows() { rows_.operation().abandon_at_once(); }

  [[nodiscard]] Rows& rows() noexcept { return rows_; }
  [[nodiscard]] auto& operation() noexcept { return rows_.operation(); }
  [[nodiscard]] const Until& until() const noexcept { return until_; }

  /// Goes on to the next row. False: it has to come first. Throws when it never will: `QueryTimeout`, `QueryCancelled`
  /// or `ConnectionLost`.
  [[nodiscard]] bool advance() {
    if (std::exchange(unseen_, false) || rows_.advance()) return true;
    if (!channel_.usable()) throw channel_.gone(operation().sql(), "the connection is not usable any more");
    check_in_time(operation(), until_);
    return false;
  }
  /// The present row is the first, which nobody has asked for yet.
  void keep() noexcept { unseen_ = rows_.present(); }
  /// The next steps of the operation cancel the rest. False: there is none.
  [[nodiscard]] bool abandon() noexcept {
    unseen_ = false;
    rows_.clear();
    if (operation().complete() || !channel_.usable()) return false;
    operation().abandon();
    return true;
  }

  const Runner runner;

 private:
  Channel& channel_;
  const Until until_;
  Rows rows_;
  bool unseen_ = false;
};

/// Waits for the next row.
template <class Shared>
class Fetching {
 public:
  explicit Fetching(std::shared_ptr<Shared> shared) : shared_{std::move(shared)}, found_{shared_->advance()} {}

  [[nodiscard]] Socket socket() const noexcept { return shared_->operation().socket(); }
  [[nodiscard]] Need step() {
    if (found_) return Need::nothing;
    const Need need = shared_->operation().step();
    if (need != Need::nothing) return need;
    shared_->rows().arrived();
    found_ = true;
    return Need::nothing;
  }
  void give_up(Wake why) { shared_->operation().give_up(why); }
  /// Nothing at the end.
  [[nodiscard]] auto outcome() {
    using Value = decltype(shared_->rows().value());
    return shared_->rows().present() ? std::optional<Value>{shared_->rows().value()} : std::nullopt;
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

  [[nodiscard]] Socket socket() const noexcept { return shared_->operation().socket(); }
  [[nodiscard]] Need step() noexcept {
    try {
      return open_ ? shared_->operation().step() : Need::nothing;
    } catch (...) {  // it is lost
      return Need::nothing;
    }
  }
  void give_up(Wake why) noexcept {
    try {
      if (open_) shared_->operation().give_up(why);
    } catch (...) {  // nobody wants to know
    }
  }
  void outcome() const noexcept {}

 private:
  std::shared_ptr<Shared> shared_;
  bool open_;
};

}  // namespace lido::postgres::detail
