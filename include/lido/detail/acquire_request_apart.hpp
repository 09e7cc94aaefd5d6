// What an acquire that does not block does and is not worth a copy in each unit: not inline, as in core_apart.hpp.
#pragma once

#include <atomic>
#include <utility>

#include <lido/detail/acquire_request.hpp>

namespace lido::detail {

template <class Types>
AcquireRequests<Types>::Request::~Request() {
  // It need not have come to `wait`. Without a connection nor a trace it has nothing to give back, and perhaps no pool.
  const bool owes = keep_ || this->slot != nullptr || !spans_.empty();
  if (taken_ || !owes || !pool_.mark_.is_ours()) return;
  if (waits_) withdraw();
  if (this->slot != nullptr) {
    // Once the lease has begun a use was counted, and listeners may have changed the connection: it ends as any other.
    this->slot->has_holder() ? pool_.leases_.release_asking(*this->slot)
                             : pool_.leases_.give_back(*this->slot, CloseReason::none);
  }
  if (!spans_.empty()) end_trace(nullptr, pool_.admission_.given_up());
}

template <class Types>
bool AcquireRequests<Types>::Request::try_now() {
  if (!pool_.acquire_.traced() || !pool_.mark_.is_ours()) return claim_now();
  begin_trace(pool_.monitor_, pool_.ops_, spans_, timeout_, where_);
  return ending_with_it([this] { return claim_now(); });
}

template <class Types>
void AcquireRequests<Types>::Request::wait() {
  const Resumption::Hold hold;  // nobody destroys this request before it is done here
  spans_.empty() ? enter() : ending_with_it([this] { enter(); });
}

template <class Types>
typename Types::Slot& AcquireRequests<Types>::Request::result() {
  if (spans_.empty() || !pool_.mark_.is_ours()) return take();
  Slot& found = ending_with_it([this]() -> Slot& { return take(); });
  end_trace(&found, nullptr);
  return found;
}

template <class Types>
void AcquireRequests<Types>::Request::cancel() noexcept {
  if (!waits_ || !pool_.mark_.is_ours()) return;
  const Resumption::Hold hold;  // as in `wait`
  {
    Guard lock = pool_.monitor_.enter();
    cancelled_ = true;
    if (!pool_.monitor_.take_back(*this, lock)) {
      pool_.monitor_.dispatcher.leave(*this, WaitState::cancelled, false, lock);
      return;
    }
  }
  pool_.leases_.give_back(*std::exchange(this->slot, nullptr), CloseReason::none);
  complete_at_once(WaitState::cancelled);
  heard(*this);
}

template <class Types>
void AcquireRequests<Types>::Request::heard(Waiter& waiter) noexcept {
  auto& self = static_cast<Request&>(waiter);
  const Resumption::Hold hold;  // as in `wait`
  if (self.state.load(std::memory_order_relaxed) == WaitState::granted && !self.accept()) return;
  if (self.completion_.tell()) self.done_(self);
}

}  // namespace lido::detail
