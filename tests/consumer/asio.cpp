// What somebody writes who pools a type of their own and waits with Boost.Asio.
#include <boost/asio/use_future.hpp>
#include <iostream>
#include <lido/asio/async_acquire.hpp>
#include <lido/pool.hpp>

int main() {
  lido::Pool pool{[] { return 42; }, lido::FixedSize{.size = 1}};
  const auto lease = lido::asio::async_acquire(pool, boost::asio::use_future).get();
  std::cout << "leased " << *lease << " to a future\n";
}
