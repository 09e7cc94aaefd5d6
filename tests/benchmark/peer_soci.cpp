// soci::connection_pool. Its sessions are not connected: that is not part of a cycle.
// package: libsoci-dev
// link: -lsoci_core
#include <soci/connection-pool.h>

#include <cstddef>
#include <stdexcept>

#include "harness.hpp"

namespace {

class Peer {
 public:
  explicit Peer(std::size_t slots) : pool_{slots} {}

  template <class Work>
  void use(Work work) {
    const Lease lease{pool_};
    work();
  }

 private:
  class Lease {
   public:
    explicit Lease(soci::connection_pool& pool) : pool_{pool} {
      if (!pool.try_lease(position_, 30'000)) throw std::runtime_error{"timeout"};
    }
    ~Lease() { pool_.give_back(position_); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

   private:
    soci::connection_pool& pool_;
    std::size_t position_ = 0;
  };

  soci::connection_pool pool_;
};

const benchmark::Registration peer{"soci::connection_pool", "barges", benchmark::measure<Peer>};

}  // namespace
