// Poco::ObjectPool, of Poco's Foundation.
// package: libpoco-dev
// link: -lPocoFoundation
#include <Poco/ObjectPool.h>

#include <cstddef>
#include <stdexcept>

#include "harness.hpp"

namespace {

struct Token {
  int number = 0;
};

class Peer {
 public:
  explicit Peer(std::size_t slots) : pool_{slots, slots} {}

  template <class Work>
  void use(Work work) {
    const Lease lease{pool_, pool_.borrowObject(30'000)};
    work();
  }

 private:
  using Pool = Poco::ObjectPool<Token>;
  // Poco's pool has no handle: this is what its user writes.
  class Lease {
   public:
    Lease(Pool& pool, Token* token) : pool_{pool}, token_{token} {
      if (token == nullptr) throw std::runtime_error{"timeout"};
    }
    ~Lease() { pool_.returnObject(token_); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;

   private:
    Pool& pool_;
    Token* token_;
  };

  Pool pool_;
};

const benchmark::Registration peer{"Poco::ObjectPool", "barges", benchmark::measure<Peer>};

}  // namespace
