// What a statement's own literals mean follows the settings of the session, also where it was prepared under others.
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/bulk/pipeline.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(literals)

namespace {

struct Reading {
  const char* setting;
  const char* value;  // another one than usual
  const char* sql;
  const char* usual;
  const char* then;
};

const std::vector<Reading> readings{
    {"DateStyle", "ISO, DMY", "select to_char('01/02/2026'::date, 'YYYY-MM-DD')", "2026-01-02", "2026-02-01"},
    {"TimeZone", "Asia/Tokyo", "select extract(epoch from '1970-01-02 00:00'::timestamptz)::bigint", "86400", "54000"},
    {"IntervalStyle", "sql_standard", "select extract(epoch from '-1 2:00:00'::interval)::bigint", "-79200", "-93600"},
    {"standard_conforming_strings", "off", "select length('a\\n')", "3", "2"},
    {"client_encoding", "LATIN1", "select length('\xC3\xA9')", "1", "2"},
    {"array_nulls", "off", "select ('{NULL}'::text[])[1] is null", "t", "f"},
    {"transform_null_equals", "on", "select (1 = null) is null", "t", "f"},
    {"timezone_abbreviations", "India", "select extract(epoch from '1970-01-01 12:00 IST'::timestamptz)::bigint",
     "36000", "23400"},
    {"quote_all_identifiers", "on", "select quote_ident('abc')", "abc", "\"abc\""},
    {"bytea_output", "escape", "select '\\x61'::bytea::text", "\\x61", "a"},
    {"extra_float_digits", "0", "select (0.1::float8 + 0.2::float8)::text", "0.30000000000000004", "0.3"},
};

Connection usual_connection(ConnectionSettings settings = {}) {
  Connection connection = lido::test::connect(std::move(settings));
  connection.exec_script("set datestyle = 'ISO, MDY'; set timezone = 'UTC'");
  return connection;
}

void read(auto& session, const Reading& reading, const char* expected) {
  for (int time = 0; time < 3; ++time)  // sent as it is, prepared, run
    BOOST_TEST(session.exec(reading.sql).template one<std::string>() == expected);
}

}  // namespace

BOOST_AUTO_TEST_CASE(are_read_by_the_settings_of_now) {
  const auto with = [](const char* text) {
    return [text](Connection& connection, const Reading& reading) {
      std::string sql{text};
      sql.replace(sql.find('?'), 1, reading.setting);
      sql.replace(sql.find('?'), 1, reading.value);
      connection.exec(sql);
    };
  };
  const std::vector<std::function<void(Connection&, const Reading&)>> ways{
      with("set ? = '?'"),
      with("set local ? = '?'"),
      with("/* who */ set local \"?\" to '?'"),
      with("select set_config('?', '?', false)"),
      with("select set_config('?', '?', true)"),
      with("select set_config($$?$$, '?', false)"),
      with("select set_config($of$?$of$, '?', false)"),
      with("select set_config(E'?', '?', false)"),
      with("select set_config(N'?', '?', false)"),
      [](Connection& connection, const Reading& reading) {
        connection.exec("select set_config($1, $2, false)", reading.setting, reading.value);
      },
      [](Connection& connection, const Reading& reading) {
        for (const Row row : connection.stream("select set_config($1, $2, false)", reading.setting, reading.value))
          BOOST_TEST(!row[0].is_null());
      },
      [](Connection& connection, const Reading& reading) {
        Pipeline pipeline;
        for (const char* const name : {"app.one", reading.setting, "app.two"})
          pipeline.add("select set_config($1, $2, false)", name, reading.value);
        connection.run(pipeline);
      },
      [](Connection& connection, const Reading& reading) {
        connection.exec_script(std::string{"select 1; set local "} + reading.setting + " = '" + reading.value + "'");
      },
  };
  for (const Reading& reading : readings)
    for (std::size_t way = 0; way < ways.size(); ++way)
      for (const bool commits : {true, false}) {
        BOOST_TEST_CONTEXT(reading.setting << ", way " << way << (commits ? ", commits" : ", rolls back")) {
          Connection connection = usual_connection();
          const bool stays = commits && (way == 0 || way == 3 || (way >= 5 && way + 1 < ways.size()));
          read(connection, reading, reading.usual);
          for (int i = 0; i < 2; ++i) {
            connection.exec("begin");
            read(connection, reading, i > 0 && stays ? reading.then : reading.usual);
            connection.exec("savepoint here");
            ways[way](connection, reading);
            read(connection, reading, reading.then);
            connection.exec("rollback to savepoint here");
            read(connection, reading, i > 0 && stays ? reading.then : reading.usual);
            ways[way](connection, reading);
            read(connection, reading, reading.then);
            connection.exec(commits ? "commit" : "rollback");
            read(connection, reading, stays ? reading.then : reading.usual);
          }
        }
      }
}

BOOST_AUTO_TEST_CASE(are_read_by_what_a_session_sets) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  for (const Reading& reading : readings) {
    BOOST_TEST_CONTEXT(reading.setting) {
      for (int i = 0; i < 4; ++i) {
        TransactionOptions options{.set_local = {{"datestyle", "ISO, MDY"}, {"timezone", "UTC"}}};
        if (i % 2 == 1) options.set_local.push_back({reading.setting, reading.value});
        Session session{pool, options};
        read(session, reading, i % 2 == 1 ? reading.then : reading.usual);
        session.commit();
      }
    }
  }
}

// Of these the server tells by itself; nothing in the text says that they may change.
BOOST_AUTO_TEST_CASE(are_read_by_what_a_trigger_sets) {
  server().ask(
      "drop table if exists sets_something; create table sets_something (name text, value text); "
      "create or replace function set_something() returns trigger language plpgsql as $$ begin "
      "perform set_config(new.name, new.value, false); return new; end $$; "
      "create trigger sets before insert on sets_something for each row execute function set_something()");
  for (std::size_t i = 0; i < 5; ++i) {
    const Reading& reading = readings[i];
    BOOST_TEST_CONTEXT(reading.setting) {
      Connection connection = usual_connection();
      const auto usual = connection.exec_script(std::string{"show "} + reading.setting).one<std::string>();
      for (int turn = 0; turn < 3; ++turn) {
        read(connection, reading, reading.usual);
        connection.exec("insert into sets_something values ($1, $2)", reading.setting, reading.value);
        read(connection, reading, reading.then);
        Pipeline pipeline;
        for (int time = 0; time < 3; ++time) pipeline.add(reading.sql);
        for (const Result& result : connection.run(pipeline)) BOOST_TEST(result.one<std::string>() == reading.then);
        connection.exec("insert into sets_something values ($1, $2)", reading.setting, usual);
        for (const Result& result : connection.run(pipeline)) BOOST_TEST(result.one<std::string>() == reading.usual);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(are_read_as_at_first_where_everything_is_reset) {
  const std::vector<std::function<void(Connection&)>> ways{
      [](Connection& connection) { connection.exec("reset all"); },
      [](Connection& connection) { connection.exec("/* who */ Reset /* what */ ALL"); },
      [](Connection& connection) { connection.exec_script("reset all; select 1"); },
      [](Connection& connection) {
        Pipeline pipeline;
        for (const char* const sql : {"select 1", "reset all", "select 2"}) pipeline.add(sql);
        connection.run(pipeline);
      },
  };
  for (const Reading& reading : readings)
    for (std::size_t way = 0; way < ways.size(); ++way)
      for (const char* const end : {"", "commit", "rollback"}) {
        BOOST_TEST_CONTEXT(reading.setting << ", way " << way << ", " << end) {
          Connection connection = lido::test::connect();
          const auto first = connection.exec(reading.sql).one<std::string>();
          for (int i = 0; i < 2; ++i) {
            connection.exec(std::string{"set "} + reading.setting + " = '" + reading.value + "'");
            read(connection, reading, reading.then);
            if (*end != '\0') {
              connection.exec("begin");
              read(connection, reading, reading.then);
              connection.exec("savepoint here");
              ways[way](connection);
              read(connection, reading, first.c_str());
              connection.exec("rollback to savepoint here");
              read(connection, reading, reading.then);
            }
            ways[way](connection);
            read(connection, reading, first.c_str());
            if (*end != '\0') connection.exec(end);
            read(connection, reading, std::string_view{end} == "rollback" ? reading.then : first.c_str());
          }
        }
      }
}

BOOST_AUTO_TEST_CASE(of_a_session_that_was_reset_are_read_as_at_first) {
  for (const ResetLevel reset : {ResetLevel::targeted, ResetLevel::discard_all}) {
    for (const Reading& reading : readings) {
      BOOST_TEST_CONTEXT(reading.setting << ", " << to_string(reset)) {
        Connection connection = lido::test::connect({.reset = reset});
        const auto first = connection.exec(reading.sql).one<std::string>();
        for (int i = 0; i < 2; ++i) {
          read(connection, reading, first.c_str());
          connection.exec(std::string{"set "} + reading.setting + " = '" + reading.value + "'");
          read(connection, reading, reading.then);
          BOOST_TEST(connection.reset(soon()));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
