// What libpq's handle is set to, while nobody else sets it.
#pragma once

#include <libpq-fe.h>

namespace lido::postgres::detail {

/// For one handle, whose notices `receiver` gets with `self`.
class HandleSettings {
 public:
  HandleSettings(PGconn* raw, PQnoticeReceiver receiver, void* self) noexcept
      : receiver_{receiver}, self_{self}, processor_{PQsetNoticeProcessor(raw, nullptr, nullptr)} {}

  /// False: libpq refused.
  [[nodiscard]] bool put(PGconn* raw) const noexcept {
    PQsetNoticeReceiver(raw, receiver_, self_);
    PQsetNoticeProcessor(raw, processor_, nullptr);
    PQsetErrorVerbosity(raw, PQERRORS_DEFAULT);
    PQsetErrorContextVisibility(raw, PQSHOW_CONTEXT_ERRORS);
    PQuntrace(raw);
    return PQsetnonblocking(raw, 1) == 0;
  }
  /// Somebody has the handle, may set what he likes on it, also later, and may keep it.
  void hand_out() noexcept { handed_out_ = true; }
  /// Puts back what a holder may have set, if the handle was ever handed out; free. What was set to be called may be
  /// gone with the holder.
  [[nodiscard]] bool restore(PGconn* raw) const noexcept { return !handed_out_ || put(raw); }

 private:
  PQnoticeReceiver receiver_;
  void* self_;
  PQnoticeProcessor processor_;  // libpq's own
  bool handed_out_ = false;
};

}  // namespace lido::postgres::detail
