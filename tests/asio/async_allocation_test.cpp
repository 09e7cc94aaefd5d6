// What a statement allocates, and an acquire, once those before it have left their memory.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/async_acquire.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/detail/spare_blocks.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/result.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;
namespace net = boost::asio;

namespace {

constinit thread_local std::size_t allocations = 0;

}  // namespace

// This program's own, which count. Weak: where a sanitizer has its own, nothing is counted. Not inlined: GCC takes what
// is inlined for a mismatch.
[[gnu::weak, gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc{};
}
[[gnu::weak, gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::weak, gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept { std::free(memory); }

BOOST_AUTO_TEST_SUITE(asio_allocation)

namespace {

bool counts() {
  const std::size_t before = allocations;
  ::operator delete(::operator new(1));
  return allocations > before;
}

// Acquires, runs a statement and gives back, time and again. Callbacks: a coroutine's frame is Asio's own affair.
class Chain {
 public:
  Chain(net::io_context& loop, postgres::Pool& pool, bool limited) : loop_{loop}, pool_{pool}, limited_{limited} {}

  void run(int times) {
    left_ = times;
    next();
  }

 private:
  void next() {
    lido::asio::async_acquire(pool_, 1min,
                              net::bind_executor(loop_, [this](const std::exception_ptr& error, auto lease) {
                                if (error != nullptr) std::rethrow_exception(error);
                                lease_ = std::move(lease);
                                ask();
                              }));
  }
  void ask() {
    auto heard = net::bind_executor(loop_, [this](const std::exception_ptr& error, const postgres::Result& result) {
      if (error != nullptr) std::rethrow_exception(error);
      sum_ += result.one<int>();
      lease_.release();
      if (--left_ > 0) next();
    });
    const auto connection = lido::asio::async(*lease_, heard);
    limited_ ? connection.exec_until(soon(), sql, 20, word) : connection.exec(sql, 20, word);
  }

  const std::string sql = "select $1::int + length($2) as a_statement_of_some_length";
  const std::string word = "some word that is not very short";
  net::io_context& loop_;
  postgres::Pool& pool_;
  const bool limited_;
  postgres::Pool::Lease lease_;
  int left_ = 0;
  int sum_ = 0;
};

// Is aligned to more than `new` aligns, and counts where it was not.
struct alignas(64) Wide {
  Wide() = default;
  Wide(const Wide& /*other*/) noexcept { look(); }
  Wide& operator=(const Wide&) = delete;
  ~Wide() { look(); }

  void look() const noexcept {
    const void* const volatile where = this;  // else a compiler takes for granted that it is
    if (reinterpret_cast<std::uintptr_t>(where) % alignof(Wide) != 0) ++misplaced;
  }
  static inline int misplaced = 0;
};

// The allocator of a handler, which counts.
template <class T>
struct Own {
  using value_type = T;
  explicit Own(int* counts) : blocks{counts} {}
  template <class Other>
  Own(const Own<Other>& other) : blocks{other.blocks} {}  // NOLINT(google-explicit-constructor): as allocators do
  T* allocate(std::size_t count) {
    ++blocks[0];
    return std::allocator<T>{}.allocate(count);
  }
  void deallocate(T* memory, std::size_t count) {
    ++blocks[1];
    std::allocator<T>{}.deallocate(memory, count);
  }
  friend bool operator==(const Own&, const Own&) = default;
  int* blocks;  // allocated, and freed
};
struct OwnHandler {
  using executor_type = net::io_context::executor_type;
  using allocator_type = Own<char>;
  [[nodiscard]] executor_type get_executor() const noexcept { return executor; }
  [[nodiscard]] allocator_type get_allocator() const noexcept { return Own<char>{blocks}; }
  void operator()(const std::exception_ptr& error, const postgres::Result& result) const {
    if (error != nullptr) std::rethrow_exception(error);
    BOOST_TEST(result.one<int>() == 7);
    BOOST_TEST(blocks[1] == 1);
  }

  executor_type executor;
  int* blocks;
};

// How many there are a statement, of two on each connection at a time.
double allocations_a_statement(bool limited) {
  constexpr int chains = 4;
  constexpr int times = 100;
  postgres::Pool pool{server().conninfo(), {.pool_size = 2, .max_overflow = 0}};
  net::io_context loop;
  std::vector<Chain> all;
  for (int i = 0; i < chains; ++i) all.emplace_back(loop, pool, limited);
  const auto run = [&] {
    for (Chain& each : all) each.run(times);
    loop.restart();
    loop.run();
  };
  run();
  const std::size_t before = allocations;
  run();
  return static_cast<double>(allocations - before) / (chains * times);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_statement_allocates_nothing_but_its_result) { BOOST_TEST(allocations_a_statement(false) < 1.1); }

BOOST_AUTO_TEST_CASE(nor_does_one_with_a_deadline) { BOOST_TEST(allocations_a_statement(true) < 1.1); }

BOOST_AUTO_TEST_CASE(a_handler_may_be_aligned_to_more_than_new_aligns) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  net::io_context loop;
  postgres::Pool::Lease lease;
  int answer = 0;
  const auto ask = [&] {
    const auto heard = [&, wide = Wide{}](const std::exception_ptr& error, const postgres::Result& result) {
      if (error != nullptr) std::rethrow_exception(error);
      answer = result.one<int>();
      lease.release();
    };
    lido::asio::async(*lease, net::bind_executor(loop, heard)).exec("select 7");
  };
  const auto acquired = [&, wide = Wide{}](const std::exception_ptr& error, postgres::Pool::Lease given) {
    if (error != nullptr) std::rethrow_exception(error);
    lease = std::move(given);
    ask();
  };
  lido::asio::async_acquire(pool, 1min, net::bind_executor(loop, acquired));
  loop.run();
  BOOST_TEST(answer == 7);
  BOOST_TEST(Wide::misplaced == 0);
}

BOOST_AUTO_TEST_CASE(the_state_of_a_statement_comes_from_the_allocator_of_its_handler) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  net::io_context loop;
  const postgres::Pool::Lease lease = pool.acquire();
  std::array<int, 2> blocks{};
  lido::asio::async(*lease, OwnHandler{loop.get_executor(), blocks.data()}).exec("select 7");
  loop.run();
  BOOST_TEST(blocks[0] == 1);
  BOOST_TEST(blocks[1] == 1);
}

BOOST_AUTO_TEST_CASE(what_a_thread_has_freed_it_allocates_again) {
  using lido::detail::SpareBlocks;
  for (const std::size_t size : {std::size_t{1}, SpareBlocks::step, SpareBlocks::step + 1, std::size_t{1000}}) {
    SpareBlocks::free(SpareBlocks::allocate(size), size);
    const std::size_t before = allocations;
    void* const first = SpareBlocks::allocate(size);
    BOOST_TEST(allocations == before);
    void* const second = SpareBlocks::allocate(size);
    BOOST_TEST(first != second);
    SpareBlocks::free(first, size);
    SpareBlocks::free(second, size);
  }
}

BOOST_AUTO_TEST_CASE(a_thread_keeps_no_more_than_so_many_bytes) {
  using lido::detail::SpareBlocks;
  constexpr std::size_t size = 1024;
  constexpr std::size_t count = SpareBlocks::most / size + 100;
  std::vector<void*> blocks;
  blocks.reserve(count);
  for (std::size_t i = 0; i < count; ++i) blocks.push_back(SpareBlocks::allocate(size));
  for (void* const block : blocks) SpareBlocks::free(block, size);
  const std::size_t before = allocations;
  for (void*& block : blocks) block = SpareBlocks::allocate(size);
  BOOST_TEST((allocations >= before + 100 || !counts()));
  for (void* const block : blocks) SpareBlocks::free(block, size);
}

BOOST_AUTO_TEST_SUITE_END()
