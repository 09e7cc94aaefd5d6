// cppdb::pool, over SQLite in memory. It has no bound: where none is idle it opens one, so that it cannot be asked to
// wait and takes part where there are connections enough.
// package: libcppdb-dev libcppdb-sqlite3-0
// link: -lcppdb
#include <cppdb/backend.h>
#include <cppdb/pool.h>
#include <cppdb/ref_ptr.h>

#include <cstddef>
#include <string>
#include <vector>

#include "harness.hpp"

namespace {

class Peer {
 public:
  explicit Peer(std::size_t slots)
      : pool_{cppdb::pool::create("sqlite3:db=:memory:;@pool_size=" + std::to_string(slots))} {
    const std::vector<cppdb::ref_ptr<cppdb::backend::connection>> opened = [&] {
      std::vector<cppdb::ref_ptr<cppdb::backend::connection>> all;
      for (std::size_t i = 0; i < slots; ++i) all.push_back(pool_->open());
      return all;
    }();
  }

  template <class Work>
  void use(Work work) {
    const cppdb::ref_ptr<cppdb::backend::connection> connection = pool_->open();  // gives itself back
    work();
  }

 private:
  cppdb::pool::pointer pool_;
};

const benchmark::Registration peer{"cppdb::pool", "never waits", benchmark::measure<Peer>};

}  // namespace
