// Things that wait for a thread, in their order.
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
  // The first of which this is true.
  template <class Predicate>
  Job* pop_if(Predicate is_wanted) noexcept {
    for (Job* each = first_; each != nullptr; each = each->next_job)
      if (is_wanted(*each)) return remove(*each), each;
    return nullptr;
  }
  // For a job that is given up, which is rare. False where it is not in the queue (any more).
  bool remove(Job& job) noexcept {
    Job* before = nullptr;
    for (Job* each = first_; each != &job; each = each->next_job) {
      if (each == nullptr) return false;
      before = each;
    }
    (before != nullptr ? before->next_job : first_) = job.next_job;
    if (last_ == &job) last_ = before;
    --size_;
    return true;
  }

 private:
  Job* first_ = nullptr;
  Job* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace lido::detail
