// Every schedule of a simulated program with at most so many preemptions, one after the other.
//
// Few preemptions find most errors: nearly all that were ever found by hand need one or two (Musuvathi and Qadeer,
// "Iterative Context Bounding for Systematic Testing of Multithreaded Programs", 2007). What happens where a thread
// stops by itself need not be bounded: there each thread that can go on gets its turn. Where many threads stop often
// that is too much, and the choices other than the first are bounded too (Emmi, Qadeer and Rakamaric, "Delay-Bounded
// Scheduling", 2011).
#pragma once

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <lido/testing/platform.hpp>

namespace lido::test {

struct SearchBounds {
  std::size_t preemptions = 0;                                    // where a thread could have gone on
  std::size_t detours = std::numeric_limits<std::size_t>::max();  // choices other than the first, preemptions too
};

// Depth first: a schedule is the list of choices made in it, and the next one repeats its beginning.
class ScheduleSearch final : public sim::Chooser {
 public:
  // Begins with what `schedule()` named, if it is not empty.
  ScheduleSearch(SearchBounds bounds, const std::string& schedule) : bounds_{bounds} {
    const char* rest = schedule.c_str();
    while (*rest != '\0') {
      char* end = nullptr;
      const auto position = static_cast<std::size_t>(std::strtoull(rest, &end, 10));
      const auto choice = static_cast<std::size_t>(*end == '.' ? std::strtoull(end + 1, &end, 10) : 0);
      if (choice == 0 || position < choices_.size()) fail("this is no schedule");
      choices_.resize(position + 1);
      choices_.back().taken = choice;
      rest = *end == '\0' ? end : end + 1;
    }
  }

  std::size_t choose(std::size_t options, bool free) override {
    if (next_ == choices_.size()) choices_.push_back({.taken = 0, .options = options, .free = free});
    Choice& choice = choices_[next_++];
    if (choice.options == 0) choice = {.taken = choice.taken, .options = options, .free = free};
    if (choice.options != options || choice.free != free || choice.taken >= options)
      fail("the program took another way than before");
    return choice.taken;
  }

  // To the next schedule; false when there is none.
  bool advance() {
    ++explored_;
    if (next_ < choices_.size()) fail("the program ended earlier than before");
    next_ = 0;
    SearchBounds used{.preemptions = 0, .detours = 0};
    for (const Choice& choice : choices_) count(choice, used, 1);
    for (; !choices_.empty(); choices_.pop_back()) {
      Choice& last = choices_.back();
      count(last, used, -1);
      if (++last.taken == last.options) continue;
      SearchBounds then = used;
      count(last, then, 1);
      if (then.preemptions <= bounds_.preemptions && then.detours <= bounds_.detours) return true;
    }
    return false;
  }

  [[nodiscard]] std::size_t explored() const noexcept { return explored_; }

  // What differs from always taking the first choice: "17.1,203.2" is 1 at the 17th point and 2 at the 203rd, counted
  // from 0. All that follows is the first choice.
  [[nodiscard]] std::string schedule() const {
    std::string text;
    for (std::size_t i = 0; i < choices_.size(); ++i)
      if (choices_[i].taken != 0)
        text += (text.empty() ? "" : ",") + std::to_string(i) + '.' + std::to_string(choices_[i].taken);
    return text;
  }

 private:
  struct Choice {
    std::size_t taken = 0;
    std::size_t options = 0;  // 0: not known yet
    bool free = true;
  };

  static void count(const Choice& choice, SearchBounds& used, int by) noexcept {
    if (choice.taken == 0) return;
    used.detours += static_cast<std::size_t>(by);
    if (!choice.free) used.preemptions += static_cast<std::size_t>(by);
  }

  // Not an exception: this is called from the midst of the pool.
  [[noreturn]] static void fail(const char* why) {
    std::fprintf(stderr, "schedule search: %s\n", why);
    std::abort();
  }

  SearchBounds bounds_;
  std::vector<Choice> choices_;
  std::size_t next_ = 0;
  std::size_t explored_ = 0;
};

}  // namespace lido::test
