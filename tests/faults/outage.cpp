// Behaviour 25: how often a server that is away is asked, and how soon it is used once it is back.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <faults/deck.hpp>
#include <faults/load.hpp>
#include <faults/scenario.hpp>
#include <faults/servers.hpp>
#include <support/fault_proxy.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(outages)

namespace {

constexpr std::chrono::milliseconds away = 3500ms;
// Until the back-off has grown from 10 ms to its longest pause: until then there are a few attempts more.
constexpr std::chrono::milliseconds growth = 1s;
// What a shared machine may add to a promise, beyond what a thread that only sleeps has felt.
constexpr std::chrono::milliseconds margin = 250ms;

// When connects began, and how long the one took that was the first to succeed since `forget`.
class Attempts {
 public:
  std::size_t begin(TimePoint now) {
    const std::scoped_lock lock{mutex_};
    begun_.push_back(now);
    return begun_.size() - 1;
  }
  void succeeded(std::size_t which, TimePoint now) {
    const std::scoped_lock lock{mutex_};
    if (connect_ == Duration::zero()) connect_ = now - begun_[which];
  }
  void forget() {
    const std::scoped_lock lock{mutex_};
    connect_ = Duration::zero();
  }
  [[nodiscard]] std::vector<TimePoint> between(TimePoint first, TimePoint last) const {
    const std::scoped_lock lock{mutex_};
    std::vector<TimePoint> found;
    for (const TimePoint each : begun_)
      if (each >= first && each < last) found.push_back(each);
    std::ranges::sort(found);
    return found;
  }
  [[nodiscard]] Duration connect() const {
    const std::scoped_lock lock{mutex_};
    return connect_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<TimePoint> begun_;
  Duration connect_{};
};

struct Outage {
  std::size_t early = 0;      // attempts in its first second
  std::size_t at_length = 0;  // and after that
  std::size_t densest = 0;    // of these, the most in any second
  Duration first{}, full{}, connect{}, sleeper{};
};

// The most of them in any span, each of which begins with one.
std::size_t densest(const std::vector<TimePoint>& moments, Duration span) {
  std::size_t most = 0;
  for (auto first = moments.begin(); first != moments.end(); ++first) {
    const auto last = std::lower_bound(first, moments.end(), *first + span);
    most = std::max(most, static_cast<std::size_t>(last - first));
  }
  return most;
}

// `leave` returns when the server is gone, `come_back` when it is ready.
template <class Leave, class ComeBack>
Outage measure(const std::string& conninfo, Duration connect_timeout, Leave leave, ComeBack come_back) {
  Outage outage;
  Attempts attempts;
  const postgres::Connector connect{conninfo, {.application_name = application, .statement_timeout = 500ms}};
  PoolOptions options;
  options.acquire_timeout = 2s;
  options.open_timeout = connect_timeout;
  CorePool pool{[&](const OpenInfo& info) {
                  const std::size_t which = attempts.begin(Clock::now());
                  postgres::Connection made = connect(info);
                  attempts.succeeded(which, Clock::now());
                  return made;
                },
                postgres::Growth{.overflow = {8, 8}}, postgres::CheckSession{}, postgres::Recycle{}, options};
  const Control control;
  Load load{pool, 16};
  BOOST_TEST_REQUIRE(eventually(60s, [&] { return load.full(); }));
  leave();
  const TimePoint left = Clock::now();
  std::this_thread::sleep_for(away);  // not to be safe: this is what is measured
  const TimePoint over = Clock::now();
  attempts.forget();
  come_back();
  load.forget_successes();
  BOOST_TEST(eventually(60s, [&] { return load.full(); }));
  outage.sleeper = control.worst();
  outage.early = attempts.between(left, left + growth).size();
  const std::vector<TimePoint> late = attempts.between(left + growth, over);
  outage.at_length = late.size();
  // Two threads that take note of a second's two ends may be late by so much.
  outage.densest = densest(late, 1s - std::min<Duration>(outage.sleeper + 5ms, 200ms));
  outage.connect = attempts.connect();
  outage.first = load.until_first();
  outage.full = load.until_full();
  return outage;
}

void print(const char* what, const Outage& outage) {
  std::cout << "| outage of " << away.count() << " ms, " << what << ": " << outage.early
            << " attempts in its first second, then " << outage.at_length << ", " << outage.densest
            << " at most in any second; first answer after " << milliseconds(outage.first)
            << " ms, of which connecting took " << milliseconds(outage.connect) << "; 8 sessions after "
            << milliseconds(outage.full) << " ms; a sleeper: " << milliseconds(outage.sleeper) << " ms late\n";
  notes().add(std::string{"outage, "} + what,
              {{"first answer", outage.first}, {"8 sessions", outage.full}, {"a sleeper", outage.sleeper}});
}

constexpr std::size_t most_in_a_second = 4;
// All who may open at once (4), the pauses while they double from 10 ms on, and four.
constexpr std::size_t most_early = 14;

// To the longest pause between two attempts comes what it takes to connect.
Duration latest_first(const Outage& outage) { return 250ms + outage.connect + margin + outage.sleeper; }
Duration latest_full(const Outage& outage) { return 2s + margin + outage.sleeper; }

bool kept(const Outage& outage) {
  return outage.densest <= most_in_a_second && outage.early <= most_early && outage.first <= latest_first(outage) &&
         outage.full <= latest_full(outage);
}

// A thread that is kept from a processor between the begin of an attempt and its note shifts the one or the other.
template <class MeasureOnce>
void hold(const char* what, MeasureOnce measure_once) {
  Outage outage = measure_once();
  print(what, outage);
  const auto recovered = [&] { return outage.full != Duration::max(); };
  for (int tries = 0; !kept(outage) && recovered() && may_measure_again(tries, outage.sleeper); ++tries) {
    outage = measure_once();
    print(what, outage);
  }
  BOOST_TEST(outage.early + outage.at_length > 0U);
  BOOST_TEST(outage.densest <= most_in_a_second);
  BOOST_TEST(outage.early <= most_early);
  BOOST_TEST((outage.first <= latest_first(outage)));
  BOOST_TEST((outage.full <= latest_full(outage)));
}

// --- What happens to the server --------------------------------------------------------------------------------------

void is_stopped(const char* what, PostgresServer::Mode mode) {
  hold(what, [&] {
    return measure(server().conninfo("app"), 500ms, [&] { server().stop(mode); }, [] { server().start(); });
  });
}
void refuses() {
  FaultProxy proxy{server().socket()};
  const auto refuse = [&] { proxy.refuse(), proxy.cut(); };
  hold("refused", [&] { return measure(proxy.conninfo("app"), 500ms, refuse, [&] { proxy.pass(); }); });
}
// With a short time-out, and with the usual one, which is longer than the outage: so that the first attempts hang when
// the server is back, and stay so. Brief ones find it.
void never_answers(const char* what, Duration connect_timeout) {
  FaultProxy proxy{server().socket()};
  const auto hang = [&] { proxy.stay_silent(), proxy.cut(); };
  hold(what, [&] { return measure(proxy.conninfo("app"), connect_timeout, hang, [&] { proxy.pass(); }); });
}

void shuts_down() { is_stopped("shut down", PostgresServer::Mode::fast); }
void crashes() { is_stopped("crashed", PostgresServer::Mode::immediate); }
void hangs_shortly() { never_answers("never answered", 500ms); }
void hangs() { never_answers("never answered, connect_timeout 10 s", 10s); }

const InDeck cards{shuts_down, crashes, refuses, hangs_shortly, hangs};

}  // namespace

BOOST_AUTO_TEST_CASE(asks_a_server_that_was_shut_down_a_few_times_a_second_and_uses_it_at_once) { shuts_down(); }
BOOST_AUTO_TEST_CASE(asks_a_server_that_crashed_a_few_times_a_second_and_uses_it_at_once) { crashes(); }
BOOST_AUTO_TEST_CASE(asks_an_address_that_refuses_a_few_times_a_second_and_uses_it_at_once) { refuses(); }
BOOST_AUTO_TEST_CASE(asks_an_address_that_never_answers_again_and_uses_it_at_once) { hangs_shortly(); }
BOOST_AUTO_TEST_CASE(waits_for_no_attempt_that_hangs_when_the_server_is_back) { hangs(); }

BOOST_AUTO_TEST_SUITE_END()
