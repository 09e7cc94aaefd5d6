// Who is about to be worn, and how many are open or being opened in their places.
#pragma once

#include <algorithm>
#include <cstddef>

#include <lido/detail/slot.hpp>

namespace lido::detail {

// Each that is about to be worn is owed one replacement, once; so they are counted, as a policy that opens on demand
// misses nothing that is not used. One that is open belongs to whichever of the worn ends first. Owned by the pool's
// lock.
class Replacements {
 public:
  // How many more have to be opened.
  [[nodiscard]] std::size_t owed() const noexcept { return worn_ - std::min(worn_, open_ + under_way_); }
  // Whether one of the worn may go, since another is there in its place.
  [[nodiscard]] bool any_open() const noexcept { return open_ > 0; }
  [[nodiscard]] std::size_t worn() const noexcept { return worn_; }
  [[nodiscard]] std::size_t under_way() const noexcept { return under_way_; }

  // A connection will be worn soon; or not, after all. Then the one that was opened in its place is the next one's.
  void wears() noexcept { ++worn_; }
  void wears_no_more() noexcept { --worn_; }
  // An attempt begins in the place of one of them, and has a connection. It may be too late: then it is one as others.
  void begun() noexcept { ++under_way_; }
  void opened() noexcept {
    --under_way_;
    if (open_ < worn_) ++open_;
  }
  // The connection, or the attempt, has come to its end.
  void ended(Wear wear) noexcept {
    if (wear == Wear::replacement) --under_way_;
    if (wear != Wear::worn) return;
    --worn_;
    if (open_ > 0) --open_;
  }

 private:
  std::size_t worn_ = 0;
  std::size_t open_ = 0;
  std::size_t under_way_ = 0;
};

}  // namespace lido::detail
