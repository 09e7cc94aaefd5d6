// The classification of statements against a server: what is called harmless leaves the session as it was, and what is
// not is put back.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <postgres/generated_statements.hpp>
#include <postgres/server.hpp>
#include <support/seeds.hpp>
#include <support/slow.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::postgres::detail;
using namespace lido::test;

namespace {

// Settings of one's own that a SET LOCAL leaves are empty, which is in the table of the rungs; those of a language come
// with its first function.
constexpr const char* whole_session =
    "select concat_ws('|', current_user, session_user,"
    " (select string_agg(name || '=' || setting, ',' order by name) from pg_settings"
    "  where (setting <> '' or name !~ '[.]') and name !~ '^plpgsql[.]'),"
    " (select string_agg(concat_ws(',', locktype, mode, objid, classid), ';' order by objid, mode) from pg_locks"
    "  where pid = pg_backend_pid() and locktype = 'advisory'),"
    " (select string_agg(name, ',') from pg_listening_channels() as name),"
    " (select string_agg(relname, ',' order by relname) from pg_class where relnamespace = pg_my_temp_schema()),"
    " (select string_agg(name, ',' order by name) from pg_prepared_statements),"
    " (select string_agg(name, ',' order by name) from pg_cursors))";

// A database of its own, so that nothing here meets what other tests have left. Whatever is called in it sets
// `app.leak`.
struct Playground {
  Playground() {
    server().ask("drop database if exists playground");
    server().ask("create database playground");
    const std::string body = " returns text language sql as $$ select set_config('app.leak', 'x', false) $$; ";
    std::string script =
        "create schema s; "
        "do $$ begin create role somebody; exception when duplicate_object then end $$; "
        "create table t (id serial primary key, a text, b text, \"update\" text, \"set\" text); "
        "create table t2 (id serial, a text, b text, \"update\" text, \"set\" text); create table data (a text, b "
        "text); "
        "grant all on t, t2, data to somebody; create sequence counter; create procedure leaking() language sql as "
        "$$ select set_config('app.leak', 'x', false) $$; ";
    const GeneratedStatements generated{0};
    const auto add = [&](const std::string& name) {
      for (const char* parameters : {"()", "(v text)", "(v text, w text)"})
        script.append("create or replace function ").append(name).append(parameters).append(body);
    };
    for (const std::string& name : generated.functions()) add("public.\"" + name + '"');
    for (const std::string& name : generated.reserved()) add("s.\"" + name + '"');
    add("public.leak");
    add("s.lower");
    ask(script);
    fill();
  }
  ~Playground() { server().ask("drop database playground with (force)"); }
  [[nodiscard]] static std::string conninfo() { return server().conninfo() + " dbname=playground"; }
  static void ask(const std::string& script) { Connection::connect(conninfo(), soon()).exec_script(script); }
  static void fill() {
    ask("drop table if exists y; truncate t, t2, data restart identity; insert into t (a, b, \"update\", \"set\") "
        "values ('a', 'b', 'u', 's'); "
        "insert into t2 (a, b, \"update\", \"set\") values ('a', 'b', 'u', 's'); insert into data values ('a', 'b')");
  }
};

// Runs scripts one after the other on one session, as the holders of a pool's connection would.
class Holders {
 public:
  explicit Holders(const char* settings) : settings_{settings} { open(); }

  void hold(const std::string& sql) {
    ++ran;
    const Leaves leaves = leaves_behind(sql);
    try {
      connection_->exec_script(sql, soon());
      ++succeeded;
    } catch (const QueryError&) {  // it is wrong, or a COPY, which costs the connection
    }
    if (!connection_->is_usable()) return open();
    if (leaves == Leaves::nothing) ++harmless;
    if (leaves != Leaves::nothing && !connection_->in_transaction() && look() != before_) ++changed;
    BOOST_REQUIRE(connection_->reset(soon()));
    if (const std::string now = look(); now != before_) {
      BOOST_ERROR("classified as " << static_cast<int>(leaves) << ", and changes the session: " << sql << "\nfrom "
                                   << difference(before_, now));
      open();
    }
  }

  std::size_t ran = 0, succeeded = 0, harmless = 0, changed = 0;

 private:
  void open() {
    connection_.emplace(Connection::connect(Playground::conninfo() + settings_, soon()));
    before_ = look();
  }
  // Past the statement cache and what the connection notes.
  [[nodiscard]] std::string look() {
    const ResultHandle result{PQexec(connection_->channel().raw(), whole_session)};
    BOOST_REQUIRE_MESSAGE(PQresultStatus(result.get()) == PGRES_TUPLES_OK, PQresultErrorMessage(result.get()));
    return PQgetvalue(result.get(), 0, 0);
  }
  [[nodiscard]] static std::string difference(const std::string& before, const std::string& now) {
    std::size_t at = 0;
    while (at < before.size() && at < now.size() && before[at] == now[at]) ++at;
    at = at < 40 ? 0 : at - 40;
    return before.substr(at, 120) + "\nto   " + now.substr(at, 120);
  }

  std::string settings_;
  std::optional<Connection> connection_;
  std::string before_;
};

void play(const char* settings, std::uint64_t seed, int usual) {
  const int count = lido::test::slow ? usual / 4 : usual;
  GeneratedStatements statements{seed};
  Holders holders{settings};
  for (int i = 0; i < count; ++i) {
    if (i % 50 == 0) Playground::fill();
    holders.hold(statements.next());
  }
  std::cout << holders.ran << " statements, " << holders.succeeded << " succeeded, " << holders.harmless
            << " harmless, " << holders.changed << " of the others changed the session\n";
  BOOST_TEST(holders.succeeded > holders.ran / 4);
  BOOST_TEST(holders.harmless > holders.ran / 5);
  BOOST_TEST(holders.changed > holders.ran / 25);
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(session_state, Playground)

BOOST_AUTO_TEST_CASE(no_generated_statement_that_is_called_harmless_changes_the_session) { play("", seed(), 3000); }

BOOST_AUTO_TEST_CASE(nor_where_a_backslash_escapes_in_every_literal) {
  play(" options='-c standard_conforming_strings=off -c escape_string_warning=off -c backslash_quote=on'", seed() + 1,
       1000);
}

BOOST_AUTO_TEST_SUITE_END()
