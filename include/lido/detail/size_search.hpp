// Which size to try next, by what the last ones gave. Plain values: no clock, no pool, no lock.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

namespace lido::detail {

class SizeSearch {
 public:
  struct Limits {
    std::size_t least = 1, most = 60;
  };
  // What happened between two looks.
  struct Look {
    double seconds = 0;
    std::uint64_t served = 0;
    double held = 0;           // seconds, of all that were served together
    std::uint64_t waited = 0;  // how many had to queue
    std::size_t waiting = 0;   // now
  };

  SizeSearch(Limits limits, std::size_t begin)
      : limits_{limits}, size_{std::clamp(begin, limits.least, limits.most)}, good_size_{size_} {}

  // The least is so many from now on.
  void keep_at_least(std::size_t least) noexcept {
    limits_.least = std::min(least, limits_.most);
    size_ = std::max(size_, limits_.least);
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

  void look(const Look& look) {
    // The first after a change has holds of before it, and connections that are being opened.
    if (fresh_) {
      fresh_ = false;
      return;
    }
    ++looks_;
    seconds_ += look.seconds;
    served_ += look.served;
    held_ += look.held;
    if (look.waiting > 0 || look.waited * 20 > look.served) ++crowded_;
    if (looks_ < 2 || (served_ < enough && looks_ < most_looks) || seconds_ <= 0) return;
    // Of a server that is away, or that nobody asks, no size is better than another.
    if (served_ == 0) return stand_still();
    const Figures now{.rate = static_cast<double>(served_) / seconds_,
                      .hold = served_ > 0 ? held_ / static_cast<double>(served_) : 0};
    const bool crowded = crowded_ * 2 > looks_;
    if (doubtful(now) && looks_ < most_looks) return;
    begin_looks();
    if (trying_ == Trying::nothing)
      crowded ? rest(now) : ease(now);
    else if (trying_ == Trying::twice || trying_ == Trying::a_bit_more)
      judge_more(now, crowded);
    else
      judge_fewer(now);
  }

 private:
  struct Figures {
    double rate = 0, hold = 0;                                 // served a second, and seconds each
    [[nodiscard]] double busy() const { return rate * hold; }  // Little's law
  };
  enum class Trying : std::uint8_t { nothing, twice, a_bit_more, half, a_bit_fewer };

  static constexpr std::uint64_t enough = 100;  // of which the mean of a rate is within a tenth, mostly
  static constexpr std::size_t most_looks = 12;
  static constexpr double worth_it = 0.5;  // so much of what was added has to be of use
  static constexpr double as_good = 0.92;  // of the best rate: about as many are served
  static constexpr double doubt = 0.05;    // a rate so near to what decides is looked at for longer
  static constexpr double spare = 1.25;
  static constexpr std::size_t first_rest = 16, longest_rest = 32, first_calm = 8, longest_calm = 64;

  void begin_looks() noexcept {
    looks_ = crowded_ = 0;
    served_ = 0;
    seconds_ = held_ = 0;
  }
  void stand_still() {
    const bool crowded = crowded_ > 0;
    begin_looks();
    if (trying_ != Trying::nothing) settle();
    if (!crowded) ease({});
  }

  // Callers wait. More connections would serve more of them, or make the server slower.
  void rest(const Figures& now) {
    calm_ = 0;
    calm_rest_ = first_calm;
    if (rest_ > 0 && !changed(now)) {
      // What later tries are held against is known the better the longer it rests.
      constexpr double share = 0.2;
      good_ = {.rate = good_.rate + share * (now.rate - good_.rate),
               .hold = good_.hold + share * (now.hold - good_.hold)};
      if (rested_++ < rest_) return;
      best_ = good_;
      bold_ = false;  // the same load as for long: others have little to fear from the try
    } else {
      good_ = best_ = now;
      rest_ = 0;
      bold_ = true;  // another load than before: the size may be far off
    }
    eased_ = false;
    if (size_ == limits_.most) return try_fewer(bold_ ? Trying::half : Trying::a_bit_fewer);
    attempt(bold_ ? Trying::twice : Trying::a_bit_more, bold_ ? 2 * size_ : a_bit_more(size_));
  }
  void judge_more(const Figures& now, bool crowded) {
    // Where nobody waits any more, no more can be served: they must not have made the server slower, then.
    const bool enough_now = !crowded && now.hold < good_.hold * (1 + worth_it * more());
    if (now.rate > bound() || enough_now) {
      reason_ = "grown from " + std::to_string(good_size_) + " to " + std::to_string(size_) + ": " +
                tenths(now.rate / good_.rate) + " times as many were served";
      keep(now);
      if (enough_now || size_ == limits_.most) return settle();
      return attempt(trying_, trying_ == Trying::twice ? 2 * size_ : a_bit_more(size_));
    }
    if (trying_ == Trying::twice && a_bit_more(good_size_) < size_) {
      set(good_size_);
      return attempt(Trying::a_bit_more, a_bit_more(good_size_));
    }
    try_fewer(bold_ ? Trying::half : Trying::a_bit_fewer);
  }
  void judge_fewer(const Figures& now) {
    // From a calm on, as many are served anyway: fewer must have been busy, and become faster by it.
    const double fewer = std::min(static_cast<double>(size_) / good_.busy(), 1.0) - 1;
    if (now.rate > bound() && (!eased_ || (fewer < 0 && now.hold < good_.hold * (1 + worth_it * fewer)))) {
      reason_ = "shrunk from " + std::to_string(good_size_) + " to " + std::to_string(size_) +
                ": as many were served, each " + tenths(now.hold > 0 ? good_.hold / now.hold : 1) + " times as fast";
      keep(now);
      calm_rest_ = first_calm;
      return try_fewer(trying_);
    }
    if (trying_ == Trying::half && good_size_ > size_ + 1) return try_fewer(Trying::a_bit_fewer);
    settle();
  }
  // Nobody waits: the size suffices, and may be more than is needed, or than the server can work on.
  void ease(const Figures& now) {
    good_size_ = size_;
    good_ = best_ = now;
    rested_ = rest_ = 0;  // as soon as somebody waits, more are tried
    if (++calm_ < calm_rest_) return;
    calm_ = 0;
    const auto needed = static_cast<std::size_t>(std::ceil(now.busy() * spare)) + 1;
    // By a quarter at most: a calm moment is not the end of the load.
    const std::size_t next = std::clamp(std::max(needed, size_ - size_ / 4), limits_.least, limits_.most);
    if (next < size_) {
      reason_ = "shrunk from " + std::to_string(size_) + " to " + std::to_string(next) + ": nobody waited, and " +
                tenths(now.busy()) + " were busy on average";
      set(next);
      good_size_ = next;
      return;
    }
    if (now.rate == 0) return;
    // What is busy may be so because the server works on too much at once.
    calm_rest_ = std::min(2 * calm_rest_, longest_calm);
    bold_ = eased_ = true;
    attempt(Trying::half, static_cast<std::size_t>(now.busy() / 2));
  }

  // By which part of the size that is kept the one that is tried is more; below zero: fewer.
  [[nodiscard]] double more() const { return static_cast<double>(size_) / static_cast<double>(good_size_) - 1; }
  // The rate above which the size that is tried is kept: of what was added or taken away half has to show, or none at
  // all of what was taken.
  [[nodiscard]] double bound() const {
    // At rest it takes more than that to move, so that chance does not.
    const double bias = bold_ ? 0 : 0.25;
    if (more() > 0) return good_.rate * (1 + (worth_it + bias) * more());
    return std::max(good_.rate * (1 + (worth_it - bias) * more()), as_good * best_.rate);
  }
  [[nodiscard]] bool doubtful(const Figures& now) const {
    return trying_ != Trying::nothing && std::abs(now.rate / bound() - 1) < doubt;
  }
  [[nodiscard]] bool changed(const Figures& now) const {
    const auto far = [](double one, double other) { return one > 1.4 * other || other > 1.4 * one; };
    return far(now.rate, good_.rate) || far(now.hold, good_.hold);
  }
  void try_fewer(Trying how) {
    set(good_size_);
    const std::size_t step = std::max<std::size_t>(good_size_ / (how == Trying::half ? 2 : 5), 1);
    attempt(how, good_size_ - std::min(step, good_size_ - 1));
  }
  void keep(const Figures& now) {
    good_size_ = size_;
    good_ = now;
    // The greatest of many is greater than what they scatter about.
    best_.rate = now.rate > best_.rate * (1 + doubt) ? now.rate : (best_.rate + now.rate) / 2;
  }
  // The longer nothing better was found, the longer nothing is tried: each try costs somebody something.
  void settle() {
    set(good_size_);
    trying_ = Trying::nothing;
    rested_ = 0;
    rest_ = std::clamp(rest_ * 2, first_rest, longest_rest);
  }
  void attempt(Trying what, std::size_t size) {
    trying_ = what;
    set(size);
    if (size_ == good_size_) settle();
  }
  void set(std::size_t size) {
    size = std::clamp(size, limits_.least, limits_.most);
    fresh_ = fresh_ || size != size_;
    size_ = size;
  }
  static std::size_t a_bit_more(std::size_t size) { return size + std::max<std::size_t>(size / 4, 1); }
  static std::string tenths(double value) {
    const auto rounded = static_cast<std::int64_t>(std::llround(value * 10));
    return std::to_string(rounded / 10) + "." + std::to_string(rounded % 10);
  }

  Limits limits_;
  std::size_t size_, good_size_;
  Figures good_, best_;  // of the size that is kept, and about the most that any gave in this search
  Trying trying_ = Trying::nothing;
  bool fresh_ = true, bold_ = true, eased_ = false;  // eased: nobody waited when the search began
  // In decisions: how long it is at rest and has been so, where callers wait and where none does.
  std::size_t rest_ = 0, rested_ = 0, calm_rest_ = first_calm, calm_ = 0;
  std::string reason_ = "as it was made";

  std::size_t looks_ = 0, crowded_ = 0;  // since the last decision, as what follows
  std::uint64_t served_ = 0;
  double seconds_ = 0, held_ = 0;
};

}  // namespace lido::detail
