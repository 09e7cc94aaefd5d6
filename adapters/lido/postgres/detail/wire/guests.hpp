// Those that refer to a connection for longer than a call.
#pragma once

namespace lido::postgres::detail {

class Guest;

/// The guests of one connection. For the thread that has it.
class Guests {
 public:
  Guests() = default;
  Guests(const Guests&) = delete;
  Guests& operator=(const Guests&) = delete;
  ~Guests() { dismiss(); }

  /// Has all of them leave: the connection is about to go to somebody else.
  inline void dismiss() noexcept;
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }

 private:
  friend Guest;
  Guest* first_ = nullptr;
};

/// Rows that are walked over, or are being written. It leaves by itself as soon as nothing is to come, in the thread of
/// its owner, as the next holder of the connection may be in another by then. Else it is told to leave before the
/// connection goes back to a pool. It refers to nothing of that afterwards.
class Guest {
 public:
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

 protected:
  explicit Guest(Guests& guests) noexcept : guests_{&guests}, next_{guests.first_} {
    if (next_ != nullptr) next_->previous_ = this;
    guests.first_ = this;
  }
  ~Guest() { unlink(); }

  /// Harmless twice.
  void unlink() noexcept {
    if (guests_ == nullptr) return;
    (previous_ != nullptr ? previous_->next_ : guests_->first_) = next_;
    if (next_ != nullptr) next_->previous_ = previous_;
    guests_ = nullptr;
  }

 private:
  friend Guests;

  virtual void leave() noexcept = 0;

  Guests* guests_;  // null once it has left
  Guest* previous_ = nullptr;
  Guest* next_;
};

inline void Guests::dismiss() noexcept {
  while (first_ != nullptr) {
    Guest& guest = *first_;
    guest.unlink();
    guest.leave();
  }
}

}  // namespace lido::postgres::detail
