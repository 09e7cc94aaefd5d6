#include <fstream>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <postgres/server.hpp>
#include <support/directory.hpp>
#include <support/variable.hpp>

using namespace lido::postgres;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(encoding)

namespace {

constexpr const char* umlaut = "\xc3\xa4";  // a with two dots, in UTF-8

/// A database that stores text in that encoding.
class Encoded {
 public:
  explicit Encoded(const std::string& encoding) : owner_{lido::test::connect()} {
    owner_.exec_script("create database encoded encoding '" + encoding + "' template template0 locale 'C'");
  }
  Encoded(const Encoded&) = delete;
  Encoded& operator=(const Encoded&) = delete;
  ~Encoded() { owner_.exec_script("drop database encoded with (force)"); }

  [[nodiscard]] static Connection connect(const std::string& more = "") {
    return Connection::connect(server().conninfo() + " dbname=encoded " + more, soon());
  }

 private:
  Connection owner_;
};

std::string encoding_of(Connection& connection) {
  return connection.exec("select current_setting('client_encoding')").one<std::string>();
}

}  // namespace

BOOST_AUTO_TEST_CASE(text_is_utf8_whatever_the_database_stores) {
  const Encoded database{"LATIN1"};
  Connection connection = Encoded::connect();
  BOOST_TEST(encoding_of(connection) == "UTF8");
  connection.exec_script("create table t(name text)");
  BOOST_TEST(connection.exec("insert into t values ($1) returning length(name)", umlaut).one<int>() == 1);
  BOOST_TEST(connection.copy_in("copy t from stdin", std::vector{std::tuple{umlaut}}) == 1U);
  for (const Row& row : connection.exec("select name from t")) BOOST_TEST(row[0].as<std::string>() == umlaut);
  BOOST_TEST(connection.exec("select count(distinct name) from t where ascii(name) = 228").one<int>() == 1);
  BOOST_CHECK_THROW(connection.exec("insert into t values ($1)", "\xe2\x82\xac"), QueryError);  // no euro in there
  connection.exec_script("set client_encoding = 'LATIN1'");
  connection.exec_script("discard all");
  BOOST_TEST(encoding_of(connection) == "UTF8");
}

BOOST_AUTO_TEST_CASE(another_encoding_is_what_somebody_chose) {
  const Encoded database{"LATIN1"};
  const auto chosen = [](const std::string& more) {
    Connection connection = Encoded::connect(more);
    return encoding_of(connection);
  };
  BOOST_TEST(chosen("client_encoding=LATIN1") == "LATIN1");
  BOOST_TEST(chosen("options='-c client_encoding=LATIN1'") == "LATIN1");
  BOOST_TEST(chosen("options='-c work_mem=1MB'") == "UTF8");
  {
    const Variable variable{"PGCLIENTENCODING", "SQL_ASCII"};
    BOOST_TEST(chosen("") == "SQL_ASCII");
    BOOST_TEST(chosen("client_encoding=UTF8") == "UTF8");
  }
  {
    const Variable variable{"PGOPTIONS", "-c client_encoding=LATIN1"};
    BOOST_TEST(chosen("") == "LATIN1");
  }
  const Directory directory;
  std::ofstream{directory / "services"} << "[old]\nclient_encoding=LATIN1\n[new]\nconnect_timeout=5\n";
  const Variable file{"PGSERVICEFILE", directory / "services"};
  BOOST_TEST(chosen("service=old") == "LATIN1");
  BOOST_TEST(chosen("service=new") == "UTF8");
  Connection latin = Encoded::connect("client_encoding=LATIN1");
  BOOST_TEST(latin.exec("select length($1::text)", "\xe4").one<int>() == 1);
  BOOST_TEST(latin.exec("select $1::text", "\xe4").one<std::string>() == "\xe4");
}

BOOST_AUTO_TEST_SUITE_END()
