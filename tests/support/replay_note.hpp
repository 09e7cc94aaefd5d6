// How to repeat what runs just now, said by a program that dies of it: a lost wake-up, a crash, a sanitizer's finding.
#pragma once

#include <csignal>
#include <cstddef>
#include <string>
#include <utility>

#ifdef __unix__
#  include <unistd.h>
#endif

// There in programs with a sanitizer, which ends them without a signal.
// NOLINTNEXTLINE(bugprone-reserved-identifier): the sanitizer's own
extern "C" void __sanitizer_set_death_callback(void (*)()) __attribute__((weak));

namespace lido::test {

// One at a time.
class ReplayNote {
 public:
  explicit ReplayNote(std::string text) : text_{std::move(text) + '\n'} {
    current_ = this;
    // Again for each: the test framework sets its own handlers at the beginning of a test.
    for (const int fatal : {SIGABRT, SIGSEGV, SIGFPE, SIGILL}) std::signal(fatal, on_signal);
    if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(say);
  }
  ~ReplayNote() { current_ = nullptr; }
  ReplayNote(const ReplayNote&) = delete;
  ReplayNote& operator=(const ReplayNote&) = delete;

 private:
  static void say() {
#ifdef __unix__
    if (current_ == nullptr) return;
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, current_->text_.data(), current_->text_.size());
#endif
  }
  static void on_signal(int fatal) {
    say();
    std::signal(fatal, SIG_DFL);
    std::raise(fatal);
  }

  static inline const ReplayNote* current_ = nullptr;
  std::string text_;
};

}  // namespace lido::test
