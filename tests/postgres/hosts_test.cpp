#include <chrono>
#include <cstddef>
#include <fstream>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/detail/connect/hosts.hpp>
#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>
#include <support/directory.hpp>
#include <support/fault_proxy.hpp>
#include <support/variable.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(hosts)

namespace {

std::vector<std::string> tried(const std::string& connection_string, const std::string& key, bool shuffled = false) {
  std::vector<std::string> values;
  for (const auto& one : postgres::detail::one_by_one(postgres::detail::ConnectionString{connection_string}, shuffled))
    values.emplace_back(one.value(key));
  return values;
}

using Strings = std::vector<std::string>;

const std::string rest = " user=postgres dbname=postgres sslmode=disable gssencmode=disable";

std::string port_of(const FaultProxy& proxy) {
  const std::string text = proxy.conninfo("postgres");
  const std::size_t at = text.find("port=") + 5;
  return text.substr(at, text.find(' ', at) - at);
}

}  // namespace

BOOST_AUTO_TEST_CASE(takes_the_lists_of_a_connection_string_apart) {
  const std::string uri = "postgresql://a:1,b:2,c:3/app?target_session_attrs=read-write";
  BOOST_TEST(tried(uri, "host") == (Strings{"a", "b", "c"}), boost::test_tools::per_element());
  BOOST_TEST(tried(uri, "port") == (Strings{"1", "2", "3"}), boost::test_tools::per_element());
  BOOST_TEST(tried(uri, "target_session_attrs") == (Strings(3, "read-write")), boost::test_tools::per_element());
  BOOST_TEST(tried("host=a,b port=7", "port") == (Strings{"7", "7"}), boost::test_tools::per_element());
  BOOST_TEST(tried("host=a, hostaddr=1.1.1.1,2.2.2.2", "host") == (Strings{"a", ""}), boost::test_tools::per_element());
  BOOST_TEST(tried("hostaddr=1.1.1.1,2.2.2.2", "hostaddr") == (Strings{"1.1.1.1", "2.2.2.2"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(leaves_alone_what_names_one_host_or_lists_that_do_not_match) {
  BOOST_TEST(tried("dbname=app", "host").size() == 1U);
  BOOST_TEST(tried("host=a target_session_attrs=prefer-standby", "host").size() == 1U);
  BOOST_TEST(tried("host=a,b port=1,2,3", "host") == (Strings{"a,b"}), boost::test_tools::per_element());
  BOOST_TEST(tried("host=a,b,c hostaddr=1.1.1.1,2.2.2.2", "host") == (Strings{"a,b,c"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(takes_lists_of_the_environment_and_of_a_service_file_apart) {
  {
    const Variable hosts{"PGHOST", "a,b,c"}, ports{"PGPORT", "1,2,3"}, limit{"PGCONNECT_TIMEOUT", "7"};
    BOOST_TEST(tried("dbname=app", "host") == (Strings{"a", "b", "c"}), boost::test_tools::per_element());
    BOOST_TEST(tried("dbname=app", "port") == (Strings{"1", "2", "3"}), boost::test_tools::per_element());
    BOOST_TEST(tried("dbname=app", "connect_timeout") == Strings(3, "7"), boost::test_tools::per_element());
    BOOST_TEST(tried("connect_timeout=9", "connect_timeout") == Strings(3, "9"), boost::test_tools::per_element());
    // The string wins.
    BOOST_TEST(tried("host=one port=5", "host") == Strings{"one"}, boost::test_tools::per_element());
    BOOST_TEST(tried("host=x,y port=5", "host") == (Strings{"x", "y"}), boost::test_tools::per_element());
    const Variable wanted{"PGTARGETSESSIONATTRS", "prefer-standby"};
    BOOST_TEST(tried("port=5", "host") == (Strings{"a", "b", "c", "a", "b", "c"}), boost::test_tools::per_element());
  }
  const Directory directory;
  std::ofstream{directory / "services"} << "[several]\nhost=d,e\nport=4,5\ntarget_session_attrs=prefer-standby\n";
  const Variable services{"PGSERVICEFILE", directory / "services"};
  BOOST_TEST(tried("service=several", "host") == (Strings{"d", "e", "d", "e"}), boost::test_tools::per_element());
  BOOST_TEST(tried("service=several", "port") == (Strings{"4", "5", "4", "5"}), boost::test_tools::per_element());
  BOOST_TEST(tried("service=several target_session_attrs=any", "target_session_attrs") == Strings(2, "any"),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_empty_part_of_a_list_is_libpqs_own_and_not_what_the_environment_says) {
  {
    const Variable port{"PGPORT", "7"};
    BOOST_TEST(tried("postgresql://a:1,b/x", "port") == (Strings{"1", "5432"}), boost::test_tools::per_element());
    BOOST_TEST(tried("host=a,b", "port") == (Strings{"", ""}), boost::test_tools::per_element());
  }
  {
    const Variable hosts{"PGHOST", "a,b"}, ports{"PGPORT", "1,"};
    BOOST_TEST(tried("dbname=x", "port") == (Strings{"1", "5432"}), boost::test_tools::per_element());
  }
  // Nothing says of one host alone that it has no name, or no address: libpq takes the whole list.
  BOOST_TEST(tried("host=a,b hostaddr=,1.1.1.1", "hostaddr") == (Strings{"", "1.1.1.1"}),
             boost::test_tools::per_element());
  BOOST_TEST(tried("host=a, port=1,2", "host") == (Strings{"a", ""}), boost::test_tools::per_element());
  {
    const Variable address{"PGHOSTADDR", "9.9.9.9"};
    BOOST_TEST(tried("host=a,b hostaddr=,1.1.1.1", "host") == Strings{"a,b"}, boost::test_tools::per_element());
  }
  {
    const Variable host{"PGHOST", "c"};
    BOOST_TEST(tried("host=a, port=1,2", "host") == Strings{"a,"}, boost::test_tools::per_element());
  }
  const Variable hosts{"PGHOST", "a,"}, ports{"PGPORT", "1,2"};
  BOOST_TEST(tried("dbname=x", "host").size() == 1U);
}

BOOST_AUTO_TEST_CASE(reaches_a_host_without_an_address_where_the_environment_has_one) {
  FaultProxy good{server().socket()}, refuses{server().socket()};
  refuses.refuse();
  const Variable address{"PGHOSTADDR", "203.0.113.1"};
  const std::string ports = " port=" + port_of(good) + "," + port_of(refuses);
  Connection connection = Connection::connect("host=127.0.0.1,127.0.0.1 hostaddr=,127.0.0.1" + ports + rest, soon());
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(a_host_of_the_environment_that_never_answers_leaves_time_for_the_next) {
  FaultProxy silent{server().socket()}, good{server().socket()};
  silent.stay_silent();
  const Variable hosts{"PGHOST", "127.0.0.1,127.0.0.1"}, ports{"PGPORT", port_of(silent) + "," + port_of(good)};
  Connection connection = Connection::connect(rest.substr(1), lido::Clock::now() + 20s);
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(looks_twice_at_the_list_for_a_preferred_standby) {
  const std::string text = "host=a,b target_session_attrs=prefer-standby";
  BOOST_TEST(tried(text, "host") == (Strings{"a", "b", "a", "b"}), boost::test_tools::per_element());
  BOOST_TEST(tried(text, "target_session_attrs") == (Strings{"standby", "standby", "any", "any"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(tries_hosts_in_a_random_order_where_that_is_asked_for) {
  std::set<Strings> orders;
  for (int i = 0; i < 200 && orders.size() < 6; ++i) orders.insert(tried("host=a,b,c port=1,2,3", "port", true));
  BOOST_TEST(orders.size() == 6U);
}

BOOST_AUTO_TEST_CASE(takes_libpqs_own_key_for_a_random_order) {
  // As PostgreSQL 16 has it; an older libpq does not know it.
  for (const std::string text :
       {"load_balance_hosts = 'random' host=a,b,c port=1,2,3", "host=a,b,c port=1,2,3 load_balance_hosts=random",
        "postgresql://a:1,b:2,c:3/app?load_balance_hosts=random",
        "postgresql://a:1,b:2,c:3/app?load_balance_hosts=disable&load_balance_hosts=rando%6d&connect_timeout=3"}) {
    std::set<Strings> orders;
    for (int i = 0; i < 200 && orders.size() < 6; ++i) orders.insert(tried(text, "port"));
    BOOST_TEST(orders.size() == 6U, text);
  }
  for (const std::string text :
       {"host=a,b,c port=1,2,3 load_balance_hosts=disable", "postgresql://a:1,b:2,c:3/app?load_balance_hosts=disable"})
    for (int i = 0; i < 20; ++i)
      BOOST_TEST(tried(text, "port") == (Strings{"1", "2", "3"}), boost::test_tools::per_element());
  for (const char* const wrong : {"host=a,b load_balance_hosts=some", "postgresql://a,b/?load_balance_hosts=some"})
    BOOST_CHECK_THROW(static_cast<void>(Connection::connect(wrong, soon())), ConnectError);
}

BOOST_AUTO_TEST_CASE(a_host_that_never_answers_leaves_time_for_the_next) {
  FaultProxy silent{server().socket()}, good{server().socket()};
  silent.stay_silent();
  const std::string text = "host=127.0.0.1,127.0.0.1 port=" + port_of(silent) + "," + port_of(good) + rest;
  const lido::TimePoint begun = lido::Clock::now();
  Connection connection = Connection::connect(text, begun + 20s);
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
  const lido::Duration took = lido::Clock::now() - begun;
  BOOST_TEST((took >= 9s));
  BOOST_TEST((took < 20s));
}

BOOST_AUTO_TEST_CASE(connect_timeout_is_for_each_host) {
  FaultProxy silent{server().socket()}, good{server().socket()};
  silent.stay_silent();
  const std::string ports = " port=" + port_of(silent) + "," + port_of(good);
  const lido::TimePoint begun = lido::Clock::now();
  static_cast<void>(Connection::connect("host=127.0.0.1,127.0.0.1 connect_timeout=3" + ports + rest, begun + 60s));
  BOOST_TEST((lido::Clock::now() - begun < 30s));
}

BOOST_AUTO_TEST_CASE(hosts_that_all_stay_silent_are_given_up_at_the_deadline) {
  FaultProxy silent{server().socket()};
  silent.stay_silent();
  const std::string port = port_of(silent);
  const lido::TimePoint begun = lido::Clock::now();
  const auto error = caught<ConnectError>([&] {
    static_cast<void>(Connection::connect("host=127.0.0.1,localhost port=" + port + "," + port + rest, begun + 300ms));
  });
  BOOST_TEST((lido::Clock::now() - begun >= 300ms));
  BOOST_TEST((lido::Clock::now() - begun < 60s));
  const std::string_view said = error.what();
  BOOST_TEST(said.find("no host will do: connection to 127.0.0.1") == 0U);
  BOOST_TEST(said.find("; connection to localhost") != std::string_view::npos);
}

BOOST_AUTO_TEST_CASE(hosts_fail_for_good_only_if_each_does) {
  const std::string here = server().host();
  const std::string nowhere = " user=postgres dbname=nowhere";
  const auto both = caught<PermanentConnectError>(
      [&] { static_cast<void>(Connection::connect("host=" + here + "," + here + nowhere, soon())); });
  BOOST_TEST(both.sqlstate() == "3D000");
  const auto one = caught<ConnectError>(
      [&] { static_cast<void>(Connection::connect("host=/nonexistent," + here + nowhere, soon())); });
  BOOST_TEST(one.sqlstate() == "3D000");
}

BOOST_AUTO_TEST_CASE(a_stop_ends_the_whole_list) {
  FaultProxy silent{server().socket()};
  silent.stay_silent();
  std::stop_source stop;
  stop.request_stop();
  const std::string ports = " port=" + port_of(silent) + "," + port_of(silent);
  const auto error = caught<ConnectError>([&] {
    static_cast<void>(Connection::connect("host=127.0.0.1,127.0.0.1" + ports + rest, soon(), stop.get_token()));
  });
  BOOST_TEST(std::string_view{error.what()}.find("was given up") != std::string_view::npos);
}

BOOST_AUTO_TEST_CASE(a_stop_is_heard_while_the_lag_of_a_new_connection_is_measured) {
  FaultProxy mute{server().socket()};
  mute.fall_silent_once_ready();
  const std::string here = "connection to 127.0.0.1, port " + port_of(mute) + " was given up";
  for (const auto& [hosts, said] :
       {std::pair{std::string{"127.0.0.1"}, here}, {"127.0.0.1,127.0.0.1", "no host will do: " + here}}) {
    const std::size_t before = mute.swallowed();
    std::stop_source stop;
    const std::jthread stopper{[&] {
      const lido::TimePoint latest = soon();
      while (mute.swallowed() == before && lido::Clock::now() < latest)
        postgres::detail::pause_until(lido::Clock::now() + 1ms);
      stop.request_stop();
    }};
    std::string text = "host=" + hosts;
    text.append(" port=").append(port_of(mute)).append(rest);
    const auto error = caught<ConnectError>(
        [&] { static_cast<void>(Connection::connect(text, soon() + 1min, stop.get_token(), {.max_lag = 1s})); });
    BOOST_TEST(error.what() == said);
  }
}

BOOST_AUTO_TEST_CASE(a_balanced_pool_spreads_over_its_hosts) {
  FaultProxy one{server().socket()}, other{server().socket()};
  const std::string text = "host=127.0.0.1,127.0.0.1 port=" + port_of(one) + "," + port_of(other) + rest;
  for (const auto& [key, option] : {std::pair{"", false}, {"", true}, {" load_balance_hosts=random", false}}) {
    const bool balanced = option || *key != '\0';
    postgres::Pool pool{text + key, {.pool_size = 20, .max_overflow = 0, .load_balance_hosts = option}};
    std::vector<postgres::Pool::Lease> leases;
    std::set<std::string> ports;
    for (int i = 0; i < 20; ++i) {
      leases.push_back(pool.acquire());
      ports.insert(PQport(leases.back()->native()));
    }
    BOOST_TEST(ports.size() == (balanced ? 2U : 1U));  // by chance with one in half a million
  }
}

BOOST_AUTO_TEST_SUITE_END()
