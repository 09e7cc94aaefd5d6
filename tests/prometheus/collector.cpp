#include <lido/prometheus/collector.hpp>

#include <netinet/in.h>
#include <prometheus/exposer.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <lido/pool.hpp>

// Not `using namespace lido`: there is a `prometheus` in it and one outside.
namespace lido::prometheus {  // NOLINT(modernize-concat-nested-namespaces): the suite is a macro
BOOST_AUTO_TEST_SUITE(collector_)

namespace {

using namespace std::chrono_literals;

struct Token {
  int number = 0;
};
using TokenPool = Pool<Token, FixedSize>;

// What a scraper gets from the exposer, by a plain request over loopback.
std::string scrape(const ::prometheus::Exposer& exposer) {
  const int port = exposer.GetListeningPorts().at(0);
  const int link = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  BOOST_REQUIRE(link >= 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  BOOST_REQUIRE(::connect(link, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const std::string request = "GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n";
  BOOST_REQUIRE(::send(link, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size()));
  std::string answer;
  char buffer[4096];
  for (ssize_t size; (size = ::recv(link, buffer, sizeof buffer, 0)) > 0;)
    answer.append(buffer, static_cast<std::size_t>(size));
  ::close(link);
  BOOST_REQUIRE(answer.find(" 200 OK\r\n") != std::string::npos);
  return answer.substr(answer.find("\r\n\r\n") + 4);
}

std::string text_of(const Collector& collector) {
  return ::prometheus::TextSerializer{}.Serialize(collector.Collect());
}

// The value of the sample `name{labels}`; not a number where there is none.
double value_of(const std::string& text, const std::string& sample) {
  const std::size_t begin = ("\n" + text).find("\n" + sample + " ");
  return begin == std::string::npos ? std::nan("") : std::strtod(text.c_str() + begin + sample.size() + 1, nullptr);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

// What `promtool check metrics` says of the text: nothing, where it finds no fault.
std::string complaints_of_promtool(const std::string& text) {
  char path[] = "/tmp/lido_metrics_XXXXXX";
  const int file = ::mkstemp(path);
  BOOST_REQUIRE(file >= 0);
  BOOST_REQUIRE(::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  ::close(file);
  const std::string command = std::string{"promtool check metrics <"} + path + " 2>&1";
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  BOOST_REQUIRE(pipe != nullptr);
  std::string said;
  char buffer[512];
  while (std::fgets(buffer, sizeof buffer, pipe) != nullptr) said += buffer;
  const int status = ::pclose(pipe);
  ::unlink(path);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return said;
  return "promtool ended with " + std::to_string(WEXITSTATUS(status)) + ": " + said;
}

Statistics named(std::string name) {
  Statistics figures;
  figures.name = std::move(name);
  return figures;
}

BOOST_AUTO_TEST_CASE(shows_the_figures_of_its_pools_to_a_scraper) {
  TokenPool orders{[] { return Token{}; }, FixedSize{2}, {}, {}, {.name = "orders"}};
  TokenPool users{[] { return Token{}; }, FixedSize{3}, {}, {}, {.name = "users"}};
  // [metrics]
  ::prometheus::Exposer exposer{"127.0.0.1:0", 1};  // serves /metrics
  const auto collector = std::make_shared<lido::prometheus::Collector>();
  exposer.RegisterCollectable(collector);

  const auto orders_registration = collector->add(orders);  // shown for as long as this lives
  const auto users_registration = collector->add(users);
  // [/metrics]
  orders.wait_until_ready(60s);
  users.wait_until_ready(60s);
  const auto one = orders.acquire();
  const auto two = orders.acquire();
  BOOST_CHECK_THROW((void)orders.acquire(0s), AcquireTimeout);
  users.acquire().release();

  const std::string text = scrape(exposer);
  BOOST_TEST(value_of(text, R"(db_pool_size{pool="orders"})") == 2);
  BOOST_TEST(value_of(text, R"(db_pool_size{pool="users"})") == 3);
  BOOST_TEST(value_of(text, R"(db_pool_max_size{pool="orders"})") == 2);
  BOOST_TEST(value_of(text, R"(db_pool_checkedout{pool="orders"})") == 2);
  BOOST_TEST(value_of(text, R"(db_pool_checkedout{pool="users"})") == 0);
  BOOST_TEST(value_of(text, R"(db_pool_idle{pool="orders"})") == 0);
  BOOST_TEST(value_of(text, R"(db_pool_idle{pool="users"})") == 3);
  BOOST_TEST(value_of(text, R"(db_pool_acquired_total{pool="orders"})") == 2);
  BOOST_TEST(value_of(text, R"(db_pool_acquired_total{pool="users"})") == 1);
  BOOST_TEST(value_of(text, R"(db_pool_timeouts_total{pool="orders"})") == 1);
  BOOST_TEST(value_of(text, R"(db_pool_opened_total{pool="users"})") == 3);
  BOOST_TEST(value_of(text, R"(db_pool_open_seconds_count{pool="users"})") == 3);
  BOOST_TEST(value_of(text, R"(db_pool_open_seconds_bucket{pool="users",le="+Inf"})") == 3);
  BOOST_TEST(complaints_of_promtool(text) == "");
}

BOOST_AUTO_TEST_CASE(gives_each_figure_a_metric_of_its_own) {
  Collector collector;
  Statistics figures = named("orders");
  figures.now = {.idle = 1, .leased = 2, .opening = 3, .checking = 4, .closing = 5, .waiting = 6};
  figures.pool_size = 7;
  figures.max_size = 20;
  figures.acquired = 11;
  figures.waited = 12;
  figures.timeouts = 13;
  figures.cancelled = 14;
  figures.rejected = 15;
  figures.shed = 27;
  figures.hopeless = 28;
  figures.failed_fast = 26;
  figures.opened = 16;
  figures.open_failures = 17;
  figures.closed = 18;
  figures.found_dead = 19;
  figures.recycled = 21;
  figures.discarded = 22;
  figures.invalidated = 23;
  figures.leaks = 25;
  figures.listener_errors = 24;
  const auto registration = collector.add([&] { return figures; });
  const std::string text = text_of(collector);
  const std::vector<std::pair<std::string, double>> expected{{"db_pool_size", 7},
                                                             {"db_pool_max_size", 20},
                                                             {"db_pool_idle", 1},
                                                             {"db_pool_checkedout", 2},
                                                             {"db_pool_opening", 3},
                                                             {"db_pool_checking", 4},
                                                             {"db_pool_closing", 5},
                                                             {"db_pool_waiting", 6},
                                                             {"db_pool_overflow", 8},
                                                             {"db_pool_acquired_total", 11},
                                                             {"db_pool_waited_total", 12},
                                                             {"db_pool_timeouts_total", 13},
                                                             {"db_pool_cancelled_total", 14},
                                                             {"db_pool_rejected_total", 15},
                                                             {"db_pool_shed_total", 27},
                                                             {"db_pool_hopeless_total", 28},
                                                             {"db_pool_failed_fast_total", 26},
                                                             {"db_pool_opened_total", 16},
                                                             {"db_connection_errors_total", 17},
                                                             {"db_pool_closed_total", 18},
                                                             {"db_pool_found_dead_total", 19},
                                                             {"db_pool_recycled_total", 21},
                                                             {"db_pool_discarded_total", 22},
                                                             {"db_pool_invalidated_total", 23},
                                                             {"db_pool_leaks_total", 25},
                                                             {"db_pool_listener_errors_total", 24}};
  for (const auto& [name, value] : expected) {
    BOOST_TEST_CONTEXT(name) {
      BOOST_TEST(value_of(text, name + R"({pool="orders"})") == value);
      const bool grows = name.ends_with("_total");
      BOOST_TEST(count(text, "# TYPE " + name + (grows ? " counter\n" : " gauge\n")) == 1U);
    }
  }
  BOOST_TEST(count(text, "# TYPE ") == expected.size() + 3);  // and three histograms
  BOOST_TEST(complaints_of_promtool(text) == "");
}

BOOST_AUTO_TEST_CASE(shows_each_share_of_each_pool) {
  Collector collector;
  Statistics figures = named("orders");
  ShareStatistics web;
  web.name = "web";
  web.guaranteed = 1;
  web.at_most = 2;
  web.leased = 3;
  web.waiting = 4;
  web.acquired = 5;
  web.waited = 6;
  web.full = 7;
  web.timeouts = 8;
  web.rejected = 9;
  web.shed = 10;
  web.wait.record(1s);
  figures.shares = {web, {}};
  figures.shares.back().name = "jobs";
  Statistics others = named("users");  // which has none
  const auto first = collector.add([&] { return figures; });
  const auto second = collector.add([&] { return others; });
  const std::string text = text_of(collector);
  const std::vector<std::pair<std::string, double>> expected{
      {"guaranteed", 1},     {"at_most", 2},      {"checkedout", 3},         {"waiting", 4},
      {"acquired_total", 5}, {"waited_total", 6}, {"full_total", 7},         {"timeouts_total", 8},
      {"rejected_total", 9}, {"shed_total", 10},  {"wait_seconds_count", 1}, {"wait_seconds_sum", 1}};
  for (const auto& [name, value] : expected) {
    BOOST_TEST_CONTEXT(name) {
      BOOST_TEST(value_of(text, "db_pool_share_" + name + R"({pool="orders",share="web"})") == value);
      BOOST_TEST(value_of(text, "db_pool_share_" + name + R"({pool="orders",share="jobs"})") == 0);
    }
  }
  BOOST_TEST(count(text, R"({pool="users",share=)") == 0U);
  BOOST_TEST(complaints_of_promtool(text) == "");
}

BOOST_AUTO_TEST_CASE(has_the_names_of_open_telemetry_where_they_are_asked_for) {
  Statistics figures = named("orders");
  figures.now.idle = 3;
  figures.now.leased = 2;
  figures.acquired = 7;
  figures.at_once = 6;
  figures.timeouts = 1;
  figures.wait.record(1s);
  Statistics others = named("users");
  const auto collect = [&](Names names) {
    Collector collector{names};
    const auto first = collector.add([&] { return figures; });
    const auto second = collector.add([&] { return others; });
    const std::string text = text_of(collector);
    // What OpenTelemetry calls a count is none to Prometheus.
    const std::string said = complaints_of_promtool(text);
    BOOST_TEST((said.find("db_client_connection_count non-histogram") != std::string::npos));
    BOOST_TEST(std::ranges::count(said, '\n') == 1, said);
    return text;
  };
  const std::string text = collect(Names::open_telemetry);
  const auto labels = [](const std::string& more = {}) {
    return R"({db_client_connection_pool_name="orders")" + more + "}";
  };
  BOOST_TEST(value_of(text, "db_client_connection_count" + labels(R"(,db_client_connection_state="idle")")) == 3);
  BOOST_TEST(value_of(text, "db_client_connection_count" + labels(R"(,db_client_connection_state="used")")) == 2);
  BOOST_TEST(value_of(text, "db_client_connection_timeouts_total" + labels()) == 1);
  BOOST_TEST(value_of(text, "db_client_connection_wait_time_seconds_count" + labels()) == 7);
  BOOST_TEST(value_of(text, "db_client_connection_wait_time_seconds_sum" + labels()) == 1);
  BOOST_TEST(count(text, "# TYPE db_client_connection_count gauge") == 1U);
  BOOST_TEST(count(text, "db_pool_") == 0U);
  BOOST_TEST(count(collect(Names::both), "# TYPE db_pool_size gauge") == 1U);
  BOOST_TEST(count(collect(Names::both), "# TYPE db_client_connection_count gauge") == 1U);
}

BOOST_AUTO_TEST_CASE(makes_histograms_cumulative_and_their_bounds_seconds) {
  Collector collector;
  Statistics figures = named("orders");
  figures.wait.record(16us);
  figures.wait.record(17us);
  figures.wait.record(1s);
  figures.wait.record(2h);  // beyond the last bound
  const auto registration = collector.add([&] { return figures; });
  double before = 0;
  for (const ::prometheus::MetricFamily& family : collector.Collect()) {
    if (family.name != "db_pool_wait_seconds") continue;
    BOOST_TEST((family.type == ::prometheus::MetricType::Histogram));
    const auto& histogram = family.metric.at(0).histogram;
    BOOST_TEST(histogram.sample_count == 4U);
    BOOST_TEST(histogram.sample_sum == 7201.000033, boost::test_tools::tolerance(1e-12));
    BOOST_TEST(histogram.bucket.size() == Histogram::finite_buckets + 1);
    for (const auto& bucket : histogram.bucket) {
      BOOST_TEST(bucket.upper_bound > before);
      before = bucket.upper_bound;
      const std::uint64_t below = before < 20e-6 ? 1 : before < 1 ? 2 : std::isinf(before) ? 4 : 3;
      BOOST_TEST(bucket.cumulative_count == below);
    }
    BOOST_TEST(histogram.bucket.front().upper_bound == 16e-6, boost::test_tools::tolerance(1e-12));
  }
  BOOST_TEST(std::isinf(before));
}

BOOST_AUTO_TEST_CASE(shows_each_family_once_for_several_pools) {
  Collector collector;
  const auto one = collector.add([] { return named("one"); });
  const auto two = collector.add([] { return named("two"); });
  const std::string text = text_of(collector);
  BOOST_TEST(count(text, "# TYPE db_pool_size ") == 1U);
  BOOST_TEST(count(text, "\ndb_pool_size{") == 2U);
  BOOST_TEST(complaints_of_promtool(text) == "");
}

BOOST_AUTO_TEST_CASE(takes_any_name_as_a_label) {
  Collector collector;
  const auto registration = collector.add([] { return named("a \"b\" \\c\nd"); });
  BOOST_TEST(complaints_of_promtool(text_of(collector)) == "");
}

BOOST_AUTO_TEST_CASE(shows_bytes_that_are_no_utf8_as_escapes) {
  Collector collector;
  Statistics figures = named("b\374cher");  // Latin-1
  for (const char* const tenant : {"M\374ller", "M\366ller", "M\303\274ller", "M\342\202", "\355\240\200"})
    figures.shares.emplace_back().name = tenant;
  const auto registration = collector.add([&] { return figures; });
  const std::string text = text_of(collector);
  BOOST_TEST(value_of(text, R"(db_pool_size{pool="b\\xFCcher"})") == 0);
  const std::vector<std::string> shown{R"(M\\xFCller)", R"(M\\xF6ller)", "M\303\274ller", R"(M\\xE2\\x82)",
                                       R"(\\xED\\xA0\\x80)"};
  for (const std::string& tenant : shown) {
    const std::string labels = R"({pool="b\\xFCcher",share=")" + tenant + R"("})";
    BOOST_TEST(value_of(text, "db_pool_share_waiting" + labels) == 0);
  }
  BOOST_TEST(complaints_of_promtool(text) == "");
  BOOST_CHECK_THROW((void)collector.add([&] { return figures; }), InvalidOption);
}

BOOST_AUTO_TEST_CASE(refuses_a_second_pool_of_the_same_name) {
  Collector collector;
  auto first = collector.add([] { return named("orders"); });
  BOOST_CHECK_EXCEPTION((void)collector.add([] { return named("orders"); }), InvalidOption,
                        [](const InvalidOption& error) { return error.field() == "PoolOptions::name"; });
  first.end();
  const auto again = collector.add([] { return named("orders"); });
  BOOST_TEST(count(text_of(collector), "\ndb_pool_size{") == 1U);
}

BOOST_AUTO_TEST_CASE(shows_a_pool_under_the_name_that_it_was_added_with) {
  Collector collector{Names::both};
  const char* name = "b\374cher";
  const auto exchanged = collector.add([&] { return named(name); });
  const auto other = collector.add([] { return named("optimized"); });
  name = "optimized";
  const std::string text = text_of(collector);
  for (const std::string& pool : std::vector<std::string>{R"("b\\xFCcher")", R"("optimized")"}) {
    BOOST_TEST(count(text, "\ndb_pool_size{pool=" + pool + "}") == 1U);
    BOOST_TEST(count(text, "\ndb_client_connection_max{db_client_connection_pool_name=" + pool + "}") == 1U);
  }
}

BOOST_AUTO_TEST_CASE(shows_no_pool_whose_registration_has_ended) {
  Collector collector;
  const auto staying = collector.add([] { return named("staying"); });
  {
    const TokenPool pool{[] { return Token{}; }, FixedSize{1}, {}, {}, {.name = "going"}};
    const auto registration = collector.add(pool);
    BOOST_TEST(count(text_of(collector), "going") > 0U);
  }
  BOOST_TEST(count(text_of(collector), "going") == 0U);
  BOOST_TEST(count(text_of(collector), "staying") > 0U);
}

BOOST_AUTO_TEST_CASE(shows_nothing_without_pools) { BOOST_TEST(Collector{}.Collect().empty()); }

BOOST_AUTO_TEST_CASE(moves_a_registration_and_ends_the_one_that_it_replaces) {
  Collector collector;
  auto kept = collector.add([] { return named("one"); });
  kept = collector.add([] { return named("two"); });
  BOOST_TEST(count(text_of(collector), R"("one")") == 0U);
  auto moved = std::move(kept);
  kept.end();
  BOOST_TEST(count(text_of(collector), R"("two")") > 0U);
  moved.end();
  moved.end();
  BOOST_TEST(collector.Collect().empty());
}

BOOST_AUTO_TEST_CASE(lets_a_registration_outlive_its_collector) {
  std::optional<Collector> collector{std::in_place};
  auto registration = collector->add([] { return named("orders"); });
  collector.reset();
  registration.end();
}

BOOST_AUTO_TEST_CASE(leaves_out_a_pool_whose_figures_cannot_be_had) {
  Collector collector;
  bool fails = false;
  const auto broken = collector.add([&] {
    if (fails) throw std::runtime_error{"gone"};
    return named("broken");
  });
  const auto sound = collector.add([] { return named("sound"); });
  fails = true;
  const std::string text = text_of(collector);
  BOOST_TEST(count(text, "broken") == 0U);
  BOOST_TEST(value_of(text, R"(db_pool_size{pool="sound"})") == 0);
}

BOOST_AUTO_TEST_CASE(ends_a_registration_only_after_the_scrape_that_reads_its_pool) {
  Collector collector;
  std::latch reading{1};
  std::latch ending{1};
  std::atomic<bool> scraped{false};
  bool first = true;  // the figures are asked for once when they are added
  auto registration = collector.add([&] {
    if (!std::exchange(first, false)) {
      reading.count_down();
      ending.wait();
      for (int i = 0; i < 1000; ++i) std::this_thread::yield();  // long enough for an end that would not wait
      scraped = true;
    }
    return named("orders");
  });
  std::thread scraper{[&] { (void)collector.Collect(); }};
  reading.wait();
  ending.count_down();
  registration.end();
  BOOST_TEST(scraped);
  scraper.join();
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace lido::prometheus
