// Plays a sequence of operations, decoded from bytes, on a real pool and on the reference, and compares what they say.
// The pool has no workers and one caller on the calm schedule, so that the bytes decide everything.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include <lido/pool.hpp>
#include <lido/testing/platform.hpp>
#include <support/reference_pool.hpp>

namespace lido::test {

using namespace std::chrono_literals;

// Any bytes are a program; after the last one there are zeros.
class Bytes {
 public:
  explicit Bytes(std::span<const std::uint8_t> bytes) : bytes_{bytes} {}
  [[nodiscard]] bool empty() const noexcept { return bytes_.empty(); }
  std::size_t below(std::size_t bound) {
    if (bytes_.empty()) return 0;
    const std::size_t value = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return value % bound;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

// What the server of the connections knows.
struct Server {
  enum class Mood : std::uint8_t { accepts, refuses, refuses_for_good };
  Mood mood = Mood::accepts;
  TimePoint refused_at = TimePoint::min();  // the last time since it accepted
  std::uint64_t refusals = 0;
  std::set<std::uint64_t> live;
  std::set<std::uint64_t> dead;
  std::vector<std::uint64_t> opened;  // since the call began
  std::vector<std::uint64_t> closed;
  std::uint64_t opened_ever = 0;
};

struct RefusedForGood : std::runtime_error, PermanentFailure {
  RefusedForGood() : std::runtime_error{"refused for good"} {}
};

class Connected {
 public:
  Connected(Server& server, std::uint64_t number) : id{number}, server_{&server} {
    server.live.insert(id);
    server.opened.push_back(id);
    ++server.opened_ever;
  }
  Connected(Connected&& other) noexcept : id{other.id}, server_{std::exchange(other.server_, nullptr)} {}
  Connected& operator=(Connected&&) = delete;
  ~Connected() {
    if (server_ == nullptr) return;
    server_->live.erase(id);
    server_->closed.push_back(id);
  }
  [[nodiscard]] bool ping(TimePoint) const { return !server_->dead.contains(id); }

  std::uint64_t id;

 private:
  Server* server_;
};

template <class Growth>
Growth decode_growth(Bytes& bytes) {
  const auto size = [&](std::size_t least) { return least + bytes.below(4); };
  if constexpr (std::is_same_v<Growth, FixedSize>) {
    return {.size = size(1)};
  } else if constexpr (std::is_same_v<Growth, Elastic>) {
    const std::size_t most = size(1);
    return {
        .min_idle = bytes.below(most + 1), .max_size = most, .idle_timeout = 10ms * static_cast<int>(bytes.below(3))};
  } else if constexpr (std::is_same_v<Growth, Overflow>) {
    const std::size_t kept = size(0);
    return {.pool_size = kept,
            .max_overflow = size(kept == 0 ? 1 : 0),
            .idle_timeout = 10ms * static_cast<int>(bytes.below(3))};
  } else {
    return {.max_size = size(1)};
  }
}

template <class Growth>
class ReferenceDriver {
  using P = Pool<Connected, Growth, PingOnAcquire, RetireAfter, sim::Platform>;
  static constexpr Duration pause = 1ms;

 public:
  ReferenceDriver(const ReferenceDriver&) = delete;
  ReferenceDriver& operator=(const ReferenceDriver&) = delete;
  // Throws Mismatch.
  static void play(Bytes bytes) {
    Server server;
    {
      ReferenceDriver driver{server, bytes};
      while (!driver.bytes_.empty()) {
        driver.step();
        driver.compare();
      }
      if (driver.bytes_.below(2) == 0) driver.leases_.clear();
    }
    expect(server.live.empty(), "a connection was left open");
  }

 private:
  ReferenceDriver(Server& server, Bytes bytes) : server_{server}, bytes_{bytes} {
    const auto growth = decode_growth<Growth>(bytes_);
    RetireAfter recycle{.jitter = 0};
    if (const std::size_t uses = bytes_.below(4); uses > 0) recycle.uses = uses;
    if (const auto age = static_cast<int>(bytes_.below(4)); age > 0) recycle.age = 10ms * age;
    model_.emplace(ReferencePool::Rules{
        .plan = plan(growth), .uses = recycle.uses, .age = recycle.age, .dead = [&](std::uint64_t id) {
          return server_.dead.contains(id);
        }});
    pool_.emplace([this](const OpenInfo& info) { return open(info); }, growth, PingOnAcquire{}, recycle,
                  PoolOptions{.workers = 0,
                              .keep_alive = Duration::max(),
                              // One after the other without jitter.
                              .backoff_min = pause,
                              .backoff_max = pause});
  }
  // A pool that goes first, and one that is outlived by its leases.
  ~ReferenceDriver() { pool_.reset(); }

  static ReferencePool::Plan plan(const Growth& growth) {
    return [growth](const PoolCounts& counts) { return growth.plan(counts); };
  }
  Connected open(const OpenInfo& info) {
    if (server_.mood == Server::Mood::accepts) {
      server_.refused_at = TimePoint::min();
      return Connected{server_, info.id};
    }
    ++server_.refusals;
    server_.refused_at = sim::Platform::now();
    if (server_.mood == Server::Mood::refuses) throw std::runtime_error{"refused"};
    throw RefusedForGood{};
  }

  // Calls the pool, and says what was seen of it.
  template <class Call>
  Seen see(Call call) {
    server_.opened.clear();
    server_.closed.clear();
    Seen seen{.begun = sim::Platform::now(), .ended = {}, .opened = {}, .closed = {}};
    call();
    seen.ended = sim::Platform::now();
    seen.opened = server_.opened;
    seen.closed = server_.closed;
    return seen;
  }
  [[nodiscard]] bool fails() const { return server_.mood != Server::Mood::accepts; }
  // Before an attempt: the earliest time of the next.
  [[nodiscard]] TimePoint retry_at() const {
    return server_.refused_at == TimePoint::min() ? TimePoint::min() : server_.refused_at + pause;
  }

  void step() {
    switch (bytes_.below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return acquire(std::array{0ms, 1ms, 5ms, 5ms}[bytes_.below(4)]);
      case 4:
        return try_acquire();
      case 5:
      case 6:
        return end([](auto& lease) { lease.release(); }, &ReferencePool::released);
      case 7:
        return end([](auto& lease) { lease.discard(); }, &ReferencePool::discarded);
      case 8:
        return end([this](auto& lease) { detached_.push_back(lease.detach()); }, &ReferencePool::detached);
      case 9:
        return model_->invalidated(see([&] { pool_->invalidate(); }));
      case 10:
        return resize(decode_growth<Growth>(bytes_));
      case 11:
        return bytes_.below(2) == 0 ? suspend() : resume();
      case 12:
        return sim::sleep_for(1ms * static_cast<int>(bytes_.below(16)));
      case 13:
        return maintain();
      case 14:
        return trouble(bytes_.below(8));
      default:
        if (bytes_.below(8) == 0) close();
    }
  }

  void acquire(Duration timeout) {
    const TimePoint retry = retry_at();
    Refusal why = Refusal::none;
    const Seen seen = see([&] {
      try {
        leases_.push_back(pool_->acquire(timeout));
      } catch (const AcquireTimeout&) {
        why = Refusal::timeout;
      } catch (const PoolSuspended&) {
        why = Refusal::suspended;
      } catch (const PoolClosed&) {
        why = Refusal::closed;
      } catch (const RefusedForGood&) {
        why = Refusal::permanent;
      }
    });
    if (why != Refusal::none) return model_->refused(why, timeout, retry, fails(), seen);
    model_->acquired(leases_.back()->id, timeout > Duration::zero(), retry, fails(), seen);
  }
  void try_acquire() {
    std::optional<typename P::Lease> lease;
    const Seen seen = see([&] { lease = pool_->try_acquire(); });
    if (!lease) return model_->missed(seen);
    leases_.push_back(std::move(*lease));
    model_->acquired(leases_.back()->id, false, retry_at(), fails(), seen);
  }
  template <class End>
  void end(End end, void (ReferencePool::*tell)(std::uint64_t, const Seen&)) {
    if (leases_.empty()) return;
    const auto which = leases_.begin() + static_cast<std::ptrdiff_t>(bytes_.below(leases_.size()));
    const std::uint64_t id = (*which)->id;
    const Seen seen = see([&] { end(*which); });
    leases_.erase(which);
    ((*model_).*tell)(id, seen);
    expect(seen.opened.empty(), "the end of a lease opened a connection");
  }
  void resize(const Growth& growth) {
    const Seen seen = see([&] { pool_->resize(growth); });
    model_->resized(plan(growth), seen);
    expect(seen.opened.empty(), "a resize opened a connection");
  }
  void suspend() {
    pool_->suspend();
    model_->suspended();
  }
  void resume() {
    pool_->resume();
    model_->resumed();
  }
  void maintain() {
    const TimePoint retry = retry_at();
    const Seen seen = see([&] { pool_->maintain(); });
    model_->maintained(retry, fails(), seen);
  }
  void close() {
    bool complete = false;
    const Seen seen = see([&] { complete = pool_->close().complete; });
    model_->closed(seen);
    expect(complete == model_->leased().empty(), "a close reports what is not so");
  }
  void trouble(std::size_t kind) {
    constexpr std::array moods{Server::Mood::accepts, Server::Mood::accepts, Server::Mood::refuses,
                               Server::Mood::refuses_for_good};
    if (kind < moods.size()) {
      server_.mood = moods[kind];
    } else if (!server_.live.empty()) {
      auto victim = server_.live.begin();
      std::advance(victim, static_cast<std::ptrdiff_t>(kind % server_.live.size()));
      server_.dead.insert(*victim);
    }
  }

  void compare() {
    const Statistics figures = pool_->statistics();
    const ReferencePool::Counters& counters = model_->counters();
    const GrowthPlan now = model_->plan();
    expect(figures.now.idle == model_->idle().size(), "idle connections are miscounted");
    expect(figures.now.leased == model_->leased().size(), "leased connections are miscounted");
    expect(figures.now.waiting + figures.now.checking + figures.now.closing == 0, "what nobody does is counted");
    expect(figures.now.opening == 0, "an opening that nobody does is counted");
    expect(figures.max_size == now.max_size && figures.pool_size == now.pool_size, "the sizes are not the policy's");
    expect(figures.acquired == counters.acquired, "acquires are miscounted");
    expect(figures.acquired - figures.released == leases_.size(), "releases are miscounted");
    expect(figures.timeouts == counters.timeouts, "time-outs are miscounted");
    expect(figures.discarded == counters.discarded, "discards are miscounted");
    expect(figures.opened == server_.opened_ever, "opens are miscounted");
    expect(figures.open_failures == server_.refusals, "failed opens are miscounted");
    expect(figures.closed + model_->total() == server_.opened_ever, "closes are miscounted");
    const std::uint64_t retired = figures.recycled + figures.found_dead + figures.invalidated;
    expect(retired >= counters.retired_least && retired <= counters.retired_most, "retirements are miscounted");
    expect(server_.live.size() == model_->total() + detached_.size(), "a connection was lost, or left open");
    expect(pool_->holders().size() == leases_.size(), "the holders are not those who hold one");
    for (const auto& lease : leases_) {
      const ReferencePool::Member member = model_->lease(lease->id);
      const ConnectionInfo facts = lease.info();
      expect(facts.id == member.id && facts.uses == member.uses, "a connection is told of another");
      expect(facts.age == sim::Platform::now() - member.opened_at, "a connection's age is wrong");
    }
  }

  Server& server_;
  Bytes bytes_;
  std::vector<Connected> detached_;
  std::vector<typename P::Lease> leases_;
  std::optional<ReferencePool> model_;
  std::optional<P> pool_;
};

// Throws Mismatch where the pool and the reference differ.
inline void play_on_pool_and_reference(std::span<const std::uint8_t> program) {
  sim::Simulation world;
  world.step_limit = 1'000'000;
  world.run([&] {
    Bytes bytes{program};
    switch (bytes.below(4)) {
      case 0:
        return ReferenceDriver<FixedSize>::play(bytes);
      case 1:
        return ReferenceDriver<Elastic>::play(bytes);
      case 2:
        return ReferenceDriver<Overflow>::play(bytes);
      default:
        return ReferenceDriver<NullPool>::play(bytes);
    }
  });
}

}  // namespace lido::test
