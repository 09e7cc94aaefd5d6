// A COPY ... FROM STDIN whose rows come one after the other, as operations of an event loop.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/operations/copying.hpp>
#include <lido/postgres/detail/operations/copying_rows.hpp>
#include <lido/postgres/detail/wire/aftermath.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/guests.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// A COPY that is being written, with all that this takes. Shared by whoever writes and the operation that waits: the
/// last one to go lets it fail. Once nothing is to come it refers to the connection no more.
template <class Runner>
class SharedCopy final : private Guest {
 public:
  /// Sends the statement. Throws `QueryError` or `ConnectionLost`.
  SharedCopy(Runner how, const Call& call, std::string_view sql)
      : Guest{call.begin().guests()},
        runner{std::move(how)},
        channel_{call.channel},
        until_{call.until},
        sql_{sql},
        copying_{std::in_place, *channel_, sql_} {}
  ~SharedCopy() { leave(); }

  [[nodiscard]] CopyingIn& copying() {
    if (copying_) return *copying_;
    if (aftermath_.complete()) throw Error{ended};
    throw Error{"the COPY has ended with its session, or with its connection"};
  }
  [[nodiscard]] Socket socket() const noexcept { return socket_of(copying_); }
  [[nodiscard]] const Until& until() const noexcept { return until_; }

  /// Throws unless rows are taken: `Error` or `ConnectionLost`.
  void require_open() {
    if (copying_ && !channel_->usable()) let_go_if_over();
    if (!copying().is_open()) throw Error{ended};
  }
  template <CopyRow Row>
  void append(Row&& row) {
    require_open();
    if constexpr (!CopyText<Row>) {
      if (!is_text_) require_text_format(*channel_, sql_);
      is_text_ = true;
    }
    buffer_.append(std::forward<Row>(row));
  }
  /// A batch has come together: it is time to send it.
  [[nodiscard]] bool is_due() const noexcept { return buffer_.is_full(); }
  void send() {
    require_open();
    letting_go(*this, [this] {
      check_in_time(copying(), until_);
      buffer_.send(copying());
    });
  }
  /// Harmless while something is to come.
  void let_go_if_over() noexcept {
    if (!copying_) return;
    const bool complete = copying_->complete();
    if (!complete && channel_->usable()) return;
    aftermath_.note(complete, *channel_, sql_);
    copying_.reset();
    unlink();
  }

  const Runner runner;

 private:
  static constexpr const char* ended = "the COPY has ended: it was finished or aborted";

  // The answer is not waited for, which gives the connection up.
  void leave() noexcept override {
    try {
      if (copying_ && copying_->is_open() && channel_->usable()) copying_->fail("the COPY was given up");
    } catch (...) {  // it is lost
    }
    copying_.reset();
  }

  Channel* channel_;
  const Until until_;
  std::string sql_;
  std::optional<CopyingIn> copying_;  // none once it has let go of the connection
  Aftermath aftermath_;
  CopyBuffer buffer_;
  bool is_text_ = false;  // the format of tuples
};

/// A step of it: what they have in common.
template <class Shared>
class CopyStep {
 public:
  explicit CopyStep(std::shared_ptr<Shared> shared) noexcept : shared_{std::move(shared)} {}

  [[nodiscard]] Socket socket() const noexcept { return shared_->socket(); }
  [[nodiscard]] Need step() {
    return letting_go(*shared_, [this] { return shared_->copying().step(); });
  }
  void give_up(Wake why) {
    letting_go(*shared_, [&] { shared_->copying().give_up(why); });
  }

 protected:
  [[nodiscard]] std::shared_ptr<Shared>& shared() noexcept { return shared_; }

 private:
  std::shared_ptr<Shared> shared_;
};

/// Waits until the server takes rows, and gives a `Handle`.
template <class Shared, class Handle>
class CopyBeginning : public CopyStep<Shared> {
 public:
  using CopyStep<Shared>::CopyStep;
  [[nodiscard]] Handle outcome() noexcept { return Handle{std::move(this->shared())}; }
};

/// Sends a batch that is due.
template <class Shared>
class CopyWriting : public CopyStep<Shared> {
 public:
  explicit CopyWriting(std::shared_ptr<Shared> shared) : CopyStep<Shared>{std::move(shared)} {
    if (!this->shared()->is_due()) return;
    this->shared()->send();
    sent_ = true;
  }
  [[nodiscard]] Need step() { return sent_ ? CopyStep<Shared>::step() : Need::nothing; }
  void outcome() const noexcept {}

 private:
  bool sent_ = false;
};

/// Sends what is left and waits for what the server says to all of it.
template <class Shared>
class CopyFinishing : public CopyStep<Shared> {
 public:
  explicit CopyFinishing(std::shared_ptr<Shared> shared) : CopyStep<Shared>{std::move(shared)} {
    this->shared()->send();
    letting_go(*this->shared(), [this] { this->shared()->copying().end(); });
  }
  [[nodiscard]] Need step() {
    const Need need = CopyStep<Shared>::step();
    if (need != Need::nothing) return need;
    result_ = this->shared()->copying().result();
    this->shared()->let_go_if_over();
    return Need::nothing;
  }
  [[nodiscard]] std::size_t outcome() { return Result{std::move(result_)}.affected_rows(); }

 private:
  ResultHandle result_;
};

/// Has the server forget all of it. Throws `ConnectionLost`, `QueryTimeout` or `QueryCancelled`.
template <class Shared>
class CopyAborting : public CopyStep<Shared> {
 public:
  explicit CopyAborting(std::shared_ptr<Shared> shared) : CopyStep<Shared>{std::move(shared)} {
    this->shared()->require_open();
    letting_go(*this->shared(), [this] { this->shared()->copying().fail("the COPY was aborted"); });
  }
  [[nodiscard]] Need step() {
    try {
      const Need need = CopyStep<Shared>::step();
      if (need == Need::nothing) this->shared()->let_go_if_over();
      return need;
    } catch (const QueryError&) {  // as it was told to
      return Need::nothing;
    }
  }
  void outcome() const noexcept {}
};

}  // namespace lido::postgres::detail
