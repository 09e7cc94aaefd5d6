// A socket in a context of Boost.Asio. It stays there from one operation on a connection to the next, which costs one
// system call then and not four.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <mutex>
#include <system_error>
#include <typeinfo>
#include <unordered_set>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <lido/postgres/socket.hpp>

namespace lido::asio::detail {

class Registration;

// What is registered with a context. Outlives it, as a registration may. `mutex` orders the end of the two, and is held
// until a descriptor is gone, as its context must not go meanwhile. It is the parent's after a fork, and may be locked
// there for ever: a child leaves it alone, unless its context was told: then all of this is the child's own.
struct Registered {
  explicit Registered(const boost::asio::execution_context& whose) : context{&whose} {}
  [[nodiscard]] bool is_ours() const noexcept { return owner == ::getpid(); }

  pid_t owner = ::getpid();
  std::mutex mutex;
  std::atomic<const boost::asio::execution_context*> context;  // null once it is gone
  std::unordered_set<Registration*> all;
};

class Registration final : public postgres::Registration {
 public:
  using Descriptor = boost::asio::posix::stream_descriptor;

  // The one that is kept with the socket, or else a new one, which is kept if it may be.
  template <class Executor>
  static std::shared_ptr<Registration> of(postgres::Socket socket, const Executor& executor);

  Registration(int socket, std::unique_ptr<Descriptor> descriptor, std::shared_ptr<Registered> registered)
      : registered_{std::move(registered)},
        descriptor_{std::move(descriptor)},
        duplicate_{::fcntl(socket, F_DUPFD_CLOEXEC, 0)} {
    if (duplicate_ < 0) throw std::system_error{errno, std::generic_category(), "dup"};
    boost::system::error_code error;
    static_cast<void>(descriptor_->assign(duplicate_, error));
    if (error) {
      ::close(duplicate_);
      throw boost::system::system_error{error, "registering a socket"};
    }
    const std::lock_guard lock{registered_->mutex};
    registered_->all.insert(this);
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration() override {
    if (!registered_->is_ours()) {
      // The child has its parent's epoll(7) instance: whatever is taken out there the parent does not hear of. To close
      // the child's copy of the socket takes out nothing. It would keep the session of a parent that is gone. Whoever
      // goes on with the context tells it before.
      if (descriptor_.release() != nullptr) ::close(duplicate_);
      return;
    }
    const std::lock_guard lock{registered_->mutex};
    registered_->all.erase(this);
    leave();
  }

  [[nodiscard]] Descriptor& descriptor() noexcept { return *descriptor_; }
  // Nothing waits any more.
  void cancel() noexcept {
    boost::system::error_code ignored;
    if (descriptor_ != nullptr) static_cast<void>(descriptor_->cancel(ignored));
  }
  // Needs the mutex.
  void leave() noexcept { descriptor_.reset(); }
  // For whoever uses that context. Relaxed: what was there before it, in the same place, was gone before it came.
  [[nodiscard]] bool is_with(const boost::asio::execution_context& context) const noexcept {
    return registered_->context.load(std::memory_order_relaxed) == &context;
  }

 private:
  // One that counts as work would keep its loop running for as long as the connection is there. What waits counts by
  // itself.
  static boost::asio::any_io_executor not_counting(const boost::asio::any_io_executor& executor) {
    return boost::asio::prefer(executor, boost::asio::execution::outstanding_work_t::untracked);
  }

  std::shared_ptr<Registered> registered_;
  std::unique_ptr<Descriptor> descriptor_;  // null once its context is gone
  const int duplicate_;                     // what it closes
};

// Tells the registrations with a context of its end.
class Registry final : public boost::asio::execution_context::service {
 public:
  using key_type = Registry;
  [[gnu::visibility("default")]] static inline boost::asio::execution_context::id id;

  explicit Registry(boost::asio::execution_context& context)
      : service{context}, registered_{std::make_shared<Registered>(context)} {}
  [[nodiscard]] const std::shared_ptr<Registered>& registered() const noexcept { return registered_; }

 private:
  void shutdown() noexcept override {
    if (!registered_->is_ours()) return;
    const std::lock_guard lock{registered_->mutex};
    registered_->context.store(nullptr, std::memory_order_relaxed);
    for (Registration* const each : registered_->all) each->leave();
  }
  // A pool's worker that closes a connection is kept out of the context while the process forks.
  void notify_fork(boost::asio::execution_context::fork_event event) override {
    using Context = boost::asio::execution_context;
    if (event == Context::fork_prepare) {
      registered_->mutex.lock();
      forks_ = true;
      return;
    }
    if (event == Context::fork_child) registered_->owner = ::getpid();
    if (std::exchange(forks_, false)) registered_->mutex.unlock();
  }

  std::shared_ptr<Registered> registered_;
  bool forks_ = false;  // and the mutex is locked for that; owned by whoever forks
};

template <class Executor>
std::shared_ptr<Registration> Registration::of(postgres::Socket socket, const Executor& executor) {
  auto& context = boost::asio::query(executor, boost::asio::execution::context);
  std::shared_ptr<postgres::Registration>* const kept = socket.registration();
  if (kept != nullptr) {
    const postgres::Registration* const known = kept->get();
    if (known != nullptr && typeid(*known) == typeid(Registration)) {  // else it is of another kind of loop
      auto ours = std::static_pointer_cast<Registration>(*kept);
      if (ours->is_with(context)) return ours;
    }
    kept->reset();
  }
  // First: what a descriptor needs of its context has to be there before the registry, as it ends after it.
  auto descriptor = std::make_unique<Descriptor>(not_counting(executor));
  auto made = std::make_shared<Registration>(socket, std::move(descriptor),
                                             boost::asio::use_service<Registry>(context).registered());
  if (kept != nullptr) *kept = made;
  return made;
}

}  // namespace lido::asio::detail
