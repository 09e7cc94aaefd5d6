// The reactor of Boost.Asio, whose waits may fail to begin.
#include <unistd.h>

#include <chrono>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/detail/asio_reactor.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/async/reactor.hpp>

using namespace lido;
using namespace std::chrono_literals;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_reactor)

namespace {

// What waits, as a fibre does: with one reactor, time and again.
class Waits final : public postgres::Waiter, public std::enable_shared_from_this<Waits> {
 public:
  explicit Waits(net::any_io_executor executor) : executor_{std::move(executor)}, reactor_{std::in_place, *this} {}
  void wake(postgres::Wake how) noexcept override { how_ = how; }

  // For the reactor. As a wait that asks for memory would, it may throw when it begins.
  [[nodiscard]] net::any_io_executor executor() const {
    if (begins_ && --*begins_ < 0) throw std::bad_alloc{};
    return executor_;
  }
  [[nodiscard]] static bool take_ended() noexcept { return false; }
  static void complete(std::shared_ptr<Waits>&& self) noexcept { self.reset(); }

  void post() noexcept { reactor_->post(*this); }

  // How a wait ends; as many times as `begins` says the executor is there, and then it throws.
  std::optional<postgres::Wake> wait(net::io_context& loop, int socket, Duration timeout,
                                     std::optional<int> begins = {}) {
    how_.reset();
    begins_ = begins;
    try {
      reactor_->wait(*this, postgres::Socket{socket}, postgres::Need::either, Clock::now() + timeout);
    } catch (const std::bad_alloc&) {
    }
    begins_.reset();
    loop.restart();
    loop.run();
    return how_;
  }

 private:
  mutable std::optional<int> begins_;
  net::any_io_executor executor_;
  std::optional<lido::asio::detail::AsioReactor<Waits>> reactor_;
  std::optional<postgres::Wake> how_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_wait_that_could_not_begin_leaves_nothing_behind) {
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  net::io_context loop;
  const auto waits = std::make_shared<Waits>(net::make_strand(loop));  // else nobody asks for the executor
  for (const int begins : {0, 1, 2, 3}) {
    BOOST_TEST(!waits->wait(loop, ends[0], 1h, begins).has_value());  // and the loop has nothing more to do
    BOOST_TEST((waits->wait(loop, -1, 1ms) == postgres::Wake::timed_out));
  }
  for (const int end : ends) ::close(end);
}

BOOST_AUTO_TEST_CASE(a_stop_that_comes_when_a_wait_is_ending_ends_the_next_one) {
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  net::io_context loop;
  const auto waits = std::make_shared<Waits>(loop.get_executor());
  // The stop is behind the handler of the pipe in the loop's queue, and before that of the timer, which is called off.
  net::post(loop, [&] {
    net::post(loop, [&] { waits->post(); });
    BOOST_TEST(::write(ends[1], "x", 1) == 1);
  });
  BOOST_TEST((waits->wait(loop, ends[0], 1h) == postgres::Wake::ready));
  BOOST_TEST((waits->wait(loop, -1, 1s) == postgres::Wake::stopped));
  for (const int end : ends) ::close(end);
}

BOOST_AUTO_TEST_SUITE_END()
