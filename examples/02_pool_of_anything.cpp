// A pool of something that is no database: channels to a partner, here the two ends of a socket pair. The pool asks
// little of a type: a function that makes one and a destructor that closes it. What else it has, policies may use;
// PingIfIdle, for instance, wants `bool ping(deadline)`.
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <system_error>

#include <lido/pool.hpp>

using namespace std::chrono_literals;

// [channel]
class Channel {
 public:
  Channel() {
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_) != 0) throw std::system_error{errno, std::generic_category()};
  }
  Channel(const Channel&) = delete;  // need not even be movable: it is made where it stays
  Channel& operator=(const Channel&) = delete;
  ~Channel() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }

  char echo(char sent) {  // what the partner at the other end answers; zero when there is none
    char heard = 0;
    if (::send(ends_[0], &sent, 1, MSG_NOSIGNAL) != 1 || ::recv(ends_[1], &heard, 1, MSG_DONTWAIT) != 1) return 0;
    return heard;
  }
  bool ping(lido::TimePoint) { return echo('?') == '?'; }
  void hang_up() { ::shutdown(ends_[1], SHUT_RDWR); }  // what a partner may do at any time

 private:
  int ends_[2] = {-1, -1};
};
// [/channel]

int main() try {
  // [pool_of_anything]
  lido::Pool pool{[] { return Channel{}; },                        // how to open one
                  lido::Elastic{.min_idle = 2, .max_size = 8},     // how many
                  lido::PingIfIdle{.after = 0s},                   // which are fit to be leased
                  lido::RetireAfter{.age = 30min, .uses = 1000}};  // which are kept
  pool.wait_until_ready(5s);

  auto channel = pool.acquire();
  std::cout << "channel " << channel.info().id << " echoes " << channel->echo('x') << '\n';
  // [/pool_of_anything]

  channel->hang_up();
  channel.release();  // goes back although it is dead: its holder did not notice
  for (int i = 0; i < 3; ++i)
    if (pool.acquire()->echo('y') != 'y') return 1;  // the ping keeps the dead one from being leased

  const lido::Statistics figures = pool.statistics();
  std::cout << "opened " << figures.opened << ", found dead " << figures.found_dead << ", now idle " << figures.now.idle
            << '\n';
  return figures.now.leased == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
