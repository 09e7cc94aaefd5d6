// What the policies answer to literals, and what is one.
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <lido/growth.hpp>
#include <lido/health.hpp>
#include <lido/pool.hpp>
#include <lido/recycle.hpp>
#include <lido/statistics.hpp>
#include <stdexcept>

using namespace lido;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(policies)

namespace {

struct Plain {};
struct alignas(256) Aligned {};
struct Full {
  bool answers = true;
  int resets = 0;
  bool ping(TimePoint) { return answers; }
  bool reset(TimePoint) { return ++resets, answers; }
};

// Each concept has its smallest models, and what is nearly one is none.
static_assert(GrowthPolicy<FixedSize> && GrowthPolicy<Elastic> && GrowthPolicy<Overflow> && GrowthPolicy<NullPool>);
static_assert(!GrowthPolicy<int> && !GrowthPolicy<AssumeHealthy>);
static_assert(HealthPolicyFor<AssumeHealthy, Plain> && HealthPolicyFor<PingOnAcquire, Full>);
static_assert(!HealthPolicyFor<PingOnAcquire, Plain> && !HealthPolicyFor<PingIfIdle, Plain>);
static_assert(!HealthPolicyFor<KeepAlways, Plain>);
static_assert(RecyclePolicyFor<KeepAlways, Plain> && RecyclePolicyFor<RetireAfter, Plain>);
static_assert(RecyclePolicyFor<AllOf<RetireAfter, ResetOnReturn>, Full>);
static_assert(!RecyclePolicyFor<AllOf<RetireAfter, ResetOnReturn>, Plain> && !RecyclePolicyFor<ResetOnReturn, Plain>);
static_assert(!RecyclePolicyFor<AssumeHealthy, Plain>);
static_assert(always_keeps<AssumeHealthy> && always_keeps<AllOf<KeepAlways, KeepAlways>>);
static_assert(!always_keeps<PingIfIdle> && !always_keeps<AllOf<KeepAlways, RetireAfter>>);
static_assert(ConnectorType<Plain (*)()> && !ConnectorType<int>);
static_assert(!std::is_copy_constructible_v<Pool<Plain>>);

// What a user's own library may have: a check of anything.
namespace elsewhere {
struct Growing {
  std::size_t most = 2;
  GrowthPlan plan(const PoolCounts&) const noexcept { return {.max_size = most, .pool_size = 0}; }
};
struct Checking : AssumeHealthy {};
struct Keeping : KeepAlways {};
template <class Anything>
void validate(const Anything&) {
  throw std::logic_error{"called by chance"};
}
}  // namespace elsewhere
namespace ranged {
struct Growing : elsewhere::Growing {};
inline void lido_validate(const Growing& policy) {
  if (policy.most > 9) throw InvalidOption{"Growing::most", "at most 9"};
}
}  // namespace ranged

// Some iterators and smart pointers have one of their own.
struct Addressless {
  void operator&() const = delete;  // NOLINT(google-runtime-operator)
  int value = 7;
};

template <class Policy>
std::string refused_field(const Policy& policy) {
  try {
    lido_validate(policy);
  } catch (const InvalidOption& error) {
    return error.field();
  }
  return "none";
}

}  // namespace

BOOST_AUTO_TEST_CASE(fixed_size_opens_what_is_missing) {
  const FixedSize policy{.size = 3};
  BOOST_TEST(policy.plan({}).open == 3U);
  BOOST_TEST(policy.plan({.idle = 1, .leased = 1}).open == 1U);
  BOOST_TEST(policy.plan({.opening = 1, .closing = 2}).open == 0U);
  BOOST_TEST(policy.plan({.leased = 3, .waiting = 9}).open == 0U);
}

BOOST_AUTO_TEST_CASE(elastic_keeps_some_ready_and_opens_for_those_who_wait) {
  const Elastic policy{.min_idle = 2, .max_size = 10};
  BOOST_TEST(policy.plan({}).open == 2U);
  BOOST_TEST(policy.plan({.idle = 2, .leased = 3}).open == 0U);
  BOOST_TEST(policy.plan({.idle = 0, .leased = 3, .opening = 1}).open == 1U);
  BOOST_TEST(policy.plan({.leased = 3, .waiting = 4}).open == 6U);
}

BOOST_AUTO_TEST_CASE(overflow_opens_on_demand_alone) {
  const Overflow policy{.pool_size = 20, .max_overflow = 40};
  BOOST_TEST(policy.plan({}).open == 0U);
  BOOST_TEST(policy.plan({}).max_size == 60U);
  BOOST_TEST(policy.plan({}).pool_size == 20U);
  BOOST_TEST(policy.plan({.opening = 2, .waiting = 5}).open == 3U);
}

BOOST_AUTO_TEST_CASE(null_pool_opens_one_for_each_who_waits_and_reuses_none) {
  const NullPool policy{.max_size = 4};
  BOOST_TEST(policy.plan({.opening = 1, .waiting = 3}).open == 2U);
  BOOST_TEST(!policy.plan({}).reuse);
  BOOST_TEST(policy.plan({}).pool_size == 0U);
}

BOOST_AUTO_TEST_CASE(pings_follow_their_window) {
  Full dead{.answers = false};
  BOOST_TEST((PingOnAcquire{}.check(dead, {}) == Verdict::discard));
  const PingIfIdle policy{.after = 1s};
  BOOST_TEST((policy.check(dead, {.idle = 999ms}) == Verdict::keep));
  BOOST_TEST((policy.check(dead, {.idle = 1s, .moment = Moment::acquire}) == Verdict::discard));
}

BOOST_AUTO_TEST_CASE(retire_after_looks_at_age_idle_time_and_uses) {
  Plain plain;
  const RetireAfter policy{.age = 10min, .idle = 1min, .uses = 5, .jitter = 0.1};
  const auto discards = [&](const ConnectionInfo& info) { return policy.recycle(plain, info) == Verdict::discard; };
  BOOST_TEST(!discards({.age = 599s, .spread = 0}));
  BOOST_TEST(discards({.age = 600s, .spread = 0}));
  BOOST_TEST(discards({.age = 545s, .spread = 0.99}));  // by its own share of the jitter
  BOOST_TEST(!discards({.age = 535s, .spread = 0.99}));
  BOOST_TEST(discards({.idle = 60s}));
  BOOST_TEST(!discards({.idle = 59s}));
  BOOST_TEST(discards({.uses = 5, .moment = Moment::release}));
  BOOST_TEST(!discards({.uses = 4, .moment = Moment::release}));
  BOOST_TEST(!discards({.uses = 5, .moment = Moment::acquire}));
  BOOST_TEST((RetireAfter{}.recycle(plain, {.age = Duration::max(), .spread = 0.5}) == Verdict::keep));
}

BOOST_AUTO_TEST_CASE(reset_on_return_resets_at_release_only) {
  Full full;
  for (const Moment moment : {Moment::acquire, Moment::discard, Moment::sweep})
    (void)ResetOnReturn{}.recycle(full, {.moment = moment});
  BOOST_TEST(full.resets == 0);
  BOOST_TEST((ResetOnReturn{}.recycle(full, {.moment = Moment::release}) == Verdict::keep));
  BOOST_TEST(full.resets == 1);
}

struct Invalidates {
  template <class Connection>
  Verdict recycle(Connection&, const ConnectionInfo&) const {
    return Verdict::invalidate;
  }
};

BOOST_AUTO_TEST_CASE(all_of_says_what_the_first_says_that_does_not_keep) {
  Full full;
  const AllOf policy{KeepAlways{}, Invalidates{}, ResetOnReturn{}};
  BOOST_TEST((policy.recycle(full, {.moment = Moment::release}) == Verdict::invalidate));
  BOOST_TEST(full.resets == 0);
}

BOOST_AUTO_TEST_CASE(all_of_stops_at_the_first_discard) {
  Full full;
  const AllOf policy{RetireAfter{.uses = 1}, ResetOnReturn{}};
  BOOST_TEST((policy.recycle(full, {.uses = 1, .moment = Moment::release}) == Verdict::discard));
  BOOST_TEST(full.resets == 0);
}

BOOST_AUTO_TEST_CASE(settings_out_of_range_are_refused_with_their_name) {
  BOOST_TEST(refused_field(FixedSize{.size = 0}) == "FixedSize::size");
  BOOST_TEST(refused_field(Overflow{.pool_size = 0, .max_overflow = 0}) == "Overflow::pool_size");
  BOOST_TEST(refused_field(Overflow{.pool_size = 2, .max_overflow = ~std::size_t{0}}) == "Overflow::max_overflow");
  BOOST_TEST(refused_field(Overflow{.idle_timeout = -1s}) == "Overflow::idle_timeout");
  BOOST_TEST(refused_field(PingIfIdle{.after = -1s}) == "PingIfIdle::after");
  BOOST_TEST(refused_field(RetireAfter{.age = 0s}) == "RetireAfter::age");
  BOOST_TEST(refused_field(RetireAfter{.idle = -1s}) == "RetireAfter::idle");
  BOOST_TEST(refused_field(RetireAfter{.uses = 0}) == "RetireAfter::uses");
  BOOST_TEST(refused_field(RetireAfter{.jitter = 1.5}) == "RetireAfter::jitter");
  BOOST_TEST(refused_field(AllOf{KeepAlways{}, RetireAfter{.age = 0s}}) == "RetireAfter::age");
  BOOST_TEST(refused_field(AllOf{KeepAlways{}, RetireAfter{.age = 1s}}) == "none");
}

BOOST_AUTO_TEST_CASE(a_function_of_the_users_is_not_taken_for_the_check_of_settings) {
  using Checked = Pool<Plain, elsewhere::Growing, elsewhere::Checking, elsewhere::Keeping>;
  BOOST_CHECK_NO_THROW((Checked{[] { return Plain{}; }}));
  Pool<Plain, ranged::Growing> pool{[] { return Plain{}; }};
  BOOST_CHECK_THROW(pool.resize({{.most = 10}}), InvalidOption);
  BOOST_CHECK_THROW((Pool<Plain, ranged::Growing>{[] { return Plain{}; }, {{.most = 10}}}), InvalidOption);
}

BOOST_AUTO_TEST_CASE(a_connection_may_have_an_address_operator_of_its_own) {
  Pool<Addressless> pool{[] { return Addressless{}; }};
  auto lease = pool.acquire();
  BOOST_TEST(lease->value == 7);
  BOOST_TEST((*lease).value == 7);
}

BOOST_AUTO_TEST_CASE(a_connection_may_be_aligned_to_more_than_a_line) {
  Pool<Aligned> pool{[] { return Aligned{}; }};
  Pool<Aligned, Elastic, AssumeHealthy, RetireAfter> timed{[] { return Aligned{}; }};
  const auto one = pool.acquire();
  const auto other = pool.acquire();
  const auto third = timed.acquire();
  for (const Aligned* each : {&*one, &*other, &*third})
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(each) % alignof(Aligned) == 0U);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(figures)

BOOST_AUTO_TEST_CASE(a_span_falls_into_the_bucket_whose_bound_it_does_not_exceed) {
  for (std::size_t i = 0; i + 1 < Histogram::finite_buckets; ++i) {
    BOOST_TEST(Histogram::bucket(Histogram::bound(i)) == i);
    BOOST_TEST(Histogram::bucket(Histogram::bound(i) + 1ns) == i + 1);
  }
  BOOST_TEST(Histogram::bucket(0ns) == 0U);
  BOOST_TEST(Histogram::bucket(Duration::max()) == Histogram::finite_buckets);
}

BOOST_AUTO_TEST_CASE(a_deadline_never_overflows) {
  BOOST_TEST((saturating_add(TimePoint{1h}, Duration::max()) == TimePoint::max()));
  BOOST_TEST((saturating_add(TimePoint{1h}, 1s) == TimePoint{1h + 1s}));
  BOOST_TEST((saturating_add(TimePoint{-1h}, 2h) == TimePoint{1h}));
}

BOOST_AUTO_TEST_SUITE_END()
