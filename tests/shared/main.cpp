// Two shared libraries with hidden visibility, and one pool: prints `ok - NAME` or `not ok - NAME` a case.
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include <shared/shared.hpp>

using namespace std::chrono_literals;

namespace {

bool all_hold = true;

void report(bool holds, const char* name) {
  all_hold = all_hold && holds;
  std::printf("%s - %s\n", holds ? "ok" : "not ok", name);
  std::fflush(stdout);
}

template <class Expected>
bool throws(const std::function<void()>& body) {
  try {
    body();
  } catch (const Expected&) {
    return true;
  } catch (...) {
    return false;
  }
  return false;
}

}  // namespace

int main() {
  ::alarm(300);  // a deadlock fails
  shared::Pool pool{[] { return 7; }, lido::FixedSize{1}};
  auto lease = pool.acquire(30s);
  report(throws<lido::AcquireTimeout>([&] { shared::run_out_of_time(pool); }), "a time-out is caught by its type");
  report(throws<lido::PoolError>([&] { shared::run_out_of_time(pool); }), "a time-out is caught by its base");
  report(shared::catches_time_out([&] { shared::run_out_of_time(pool); }), "a time-out is caught in another library");
  report(throws<lido::InvalidOption>([] { shared::set_an_impossible_option(); }), "an option is caught by its type");
  {
    shared::Pool refused{&shared::refuse, lido::FixedSize{1}};
    report(throws<lido::PermanentFailure>([&] { (void)refused.acquire(30s); }), "a permanent failure is known as one");
    report(throws<std::runtime_error>([&] { (void)refused.acquire(30s); }), "and is what the connector threw");
  }
  {
    const shared::TwoWaiters waiters{pool};
    shared::close(pool);
    report(waiters.told == 1, "all waiters of one library are told before one of them goes on, from the other too");
  }
  report(throws<lido::PoolClosed>([&] { shared::ask_a_closed_pool(pool); }), "a closed pool is caught by its type");
  return all_hold ? 0 : 1;
}
