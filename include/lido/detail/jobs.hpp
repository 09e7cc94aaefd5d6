// What waits for a worker: slots whose connection is to be opened or closed, callers for whom one is to be checked.
#pragma once

#include <cstddef>

namespace lido::detail {

// Intrusive, first in first out: handing over work allocates nothing. Every member needs the lock.
template <class Job>
class JobQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  void push(Job& job) noexcept {
    job.next_job = nullptr;
    (last_ != nullptr ? last_->next_job : first_) = &job;
    last_ = &job;
    ++size_;
  }
  Job* pop() noexcept {
    Job* const job = first_;
    if (job == nullptr) return nullptr;
    first_ = job->next_job;
    if (first_ == nullptr) last_ = nullptr;
    --size_;
    return job;
  }

 private:
  Job* first_ = nullptr;
  Job* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace lido::detail
