// What one holder leaves to the next, for each kind of state and each rung of the ladder. reset.md takes the table
// from here; it is what was found, or the test fails.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <iomanip>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view table = R"(
// [ladder]
what a holder leaves                  | none   rollback targeted discard_all reopen
open transaction                      | closed clean    clean    clean       closed
failed transaction                    | closed clean    clean    clean       closed
running query                         | closed closed   closed   closed      closed
COPY in progress                      | closed closed   closed   closed      closed
pipeline mode                         | closed closed   closed   closed      closed
settings of TransactionOptions        | closed clean    clean    clean       closed
notice receiver of libpq              | clean  clean    clean    clean       closed
notice processor of libpq             | clean  clean    clean    clean       closed
error verbosity of libpq              | clean  clean    clean    clean       closed
notification not read                 | clean  clean    clean    clean       closed
notification on its way               | leaks  leaks    clean    clean       closed
LISTEN                                | leaks  leaks    clean    clean       closed
SET                                   | leaks  leaks    clean    clean       closed
SET search_path                       | leaks  leaks    clean    clean       closed
SET application_name                  | leaks  leaks    clean    clean       closed
SET client_encoding                   | leaks  leaks    clean    clean       closed
SET default_transaction_read_only     | leaks  leaks    clean    clean       closed
SET of a variable of one's own        | leaks  leaks    empty    empty       closed
SET ROLE                              | leaks  leaks    clean    clean       closed
SET SESSION AUTHORIZATION             | leaks  leaks    clean    clean       closed
temporary table                       | leaks  leaks    clean    clean       closed
advisory lock of the session          | leaks  leaks    clean    clean       closed
PREPARE                               | leaks  leaks    clean    clean       closed
cursor WITH HOLD                      | leaks  leaks    clean    clean       closed
currval after nextval()               | leaks  leaks    clean    clean       closed
lastval after a column's default      | leaks  leaks    leaks    clean       closed
SET by a trigger                      | leaks  leaks    leaks    clean       closed
seed of random()                      | leaks  leaks    leaks    leaks       closed
replication origin of the session     | leaks  leaks    closed   closed      closed
backup that was begun                 | leaks  leaks    closed   closed      closed
temporary replication slot            | leaks  leaks    closed   closed      closed
// [/ladder]
)";

constexpr std::array levels{ResetLevel::none, ResetLevel::rollback, ResetLevel::targeted, ResetLevel::discard_all,
                            ResetLevel::reopen};
constexpr std::array<std::string_view, 5> names{"none", "rollback", "targeted", "discard_all", "reopen"};

// How a state is left, and how the next holder finds it: an empty text means not at all.
struct State {
  std::string name;
  std::function<void(Connection&)> leave;
  std::function<std::string(Connection&)> find;
};

std::function<void(Connection&)> run(const char* sql) {
  return [sql](Connection& connection) { connection.exec_script(sql); };
}
// Found where `sql` does not say what it says in a new session.
std::function<std::string(Connection&)> differs(const char* sql) {
  const auto ask = [sql](Connection& one) { return one.exec(sql).one<std::optional<std::string>>().value_or("null"); };
  Connection fresh = lido::test::connect();
  return [ask, before = ask(fresh)](Connection& connection) -> std::string {
    const std::string now = ask(connection);
    return now == before ? "" : now.empty() ? "empty" : "leaks";
  };
}
std::string leaks_if(bool found) { return found ? "leaks" : ""; }
std::string has_notification(Connection& connection) {
  PQconsumeInput(connection.native());
  const lido::postgres::detail::LibpqMemory<PGnotify> one{PQnotifies(connection.native())};
  return leaks_if(one != nullptr);
}
std::string in_transaction(Connection& connection) { return leaks_if(connection.in_transaction()); }
std::string not_usable(Connection& connection) { return leaks_if(!connection.is_usable()); }

// What is still called after its holder is gone.
int notices = 0;
void count_result(void*, const PGresult*) { ++notices; }
void count_text(void*, const char*) { ++notices; }
std::string hears_notices(Connection& connection) {
  notices = 0;
  connection.exec("do $$ begin raise notice 'x'; end $$");
  return leaks_if(notices > 0);
}

std::vector<State> states() {
  return {
      {"open transaction", run("begin"), in_transaction},
      {"failed transaction",
       [](Connection& connection) {
         connection.exec("begin");
         BOOST_CHECK_THROW(connection.exec("select 1/0"), QueryError);
       },
       in_transaction},
      {"running query", [](Connection& c) { PQsendQuery(c.native(), "select pg_sleep(0)"); }, not_usable},
      {"COPY in progress", [](Connection& c) { PQclear(PQexec(c.native(), "copy copied from stdin")); }, not_usable},
      {"pipeline mode", [](Connection& c) { PQenterPipelineMode(c.native()); }, not_usable},
      {"settings of TransactionOptions",
       [](Connection& c) { c.begin(soon(), {.lock_timeout = 1s, .set_local = {{"search_path", "nowhere"}}}); },
       [lock_and_path =
            differs("select current_setting('lock_timeout') || current_setting('search_path')")](Connection& c) {
         if (c.in_transaction()) return std::string{"leaks"};
         return lock_and_path(c);
       }},
      {"notice receiver of libpq", [](Connection& c) { PQsetNoticeReceiver(c.native(), count_result, nullptr); },
       hears_notices},
      {"notice processor of libpq",
       [](Connection& c) {
         // The processor alone is heard only by libpq's own receiver.
         PQsetNoticeProcessor(c.native(), count_text, nullptr);
       },
       [](Connection& c) { return leaks_if(PQsetNoticeProcessor(c.native(), nullptr, nullptr) == count_text); }},
      {"error verbosity of libpq", [](Connection& c) { PQsetErrorVerbosity(c.native(), PQERRORS_TERSE); },
       [](Connection& c) { return leaks_if(PQsetErrorVerbosity(c.native(), PQERRORS_DEFAULT) != PQERRORS_DEFAULT); }},
      {"notification not read", run("listen news; notify news"), has_notification},
      {"notification on its way",
       [](Connection& c) {
         c.exec("listen news");
         server().ask("notify news");
         // It has arrived, and libpq has not looked.
         BOOST_TEST((lido::postgres::detail::wait_for(c.channel().socket(), lido::postgres::detail::Need::readable,
                                                      soon()) == lido::postgres::detail::Wake::ready));
       },
       has_notification},
      {"LISTEN", run("listen news"), differs("select count(*)::text from pg_listening_channels()")},
      {"SET", run("set work_mem = '5MB'"), differs("show work_mem")},
      {"SET search_path", run("set search_path = pg_catalog"), differs("show search_path")},
      {"SET application_name", run("set application_name = 'other'"), differs("show application_name")},
      {"SET client_encoding", run("set client_encoding = 'LATIN1'"), differs("show client_encoding")},
      {"SET default_transaction_read_only", run("set default_transaction_read_only = on"),
       differs("show default_transaction_read_only")},
      {"SET of a variable of one's own", run("set my.variable = 'x'"),
       differs("select current_setting('my.variable', true)")},
      {"SET ROLE", run("set role somebody"), differs("select current_user::text")},
      {"SET SESSION AUTHORIZATION", run("set session authorization somebody"), differs("select session_user::text")},
      {"temporary table", run("create temp table scratch(id int)"), differs("select to_regclass('scratch')::text")},
      {"advisory lock of the session", run("select pg_advisory_lock(4711)"),
       differs("select count(*)::text from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")},
      {"PREPARE", run("prepare plan as select 1"), differs("select count(*)::text from pg_prepared_statements")},
      {"cursor WITH HOLD", run("declare held cursor with hold for select 1"),
       differs("select count(*)::text from pg_cursors where name = 'held'")},
      {"currval after nextval()", run("select nextval('counter')"),
       [](Connection& c) {
         try {
           static_cast<void>(c.exec("select currval('counter')"));
           return std::string{"leaks"};
         } catch (const QueryError&) {  // not yet defined in this session
           return std::string{};
         }
       }},
      {"lastval after a column's default", run("insert into counted default values"),
       [](Connection& c) {
         try {
           static_cast<void>(c.exec("select lastval()"));
           return std::string{"leaks"};
         } catch (const QueryError&) {
           return std::string{};
         }
       }},
      {"SET by a trigger", run("insert into triggered values (1)"), differs("show work_mem")},
      {"seed of random()", run("select setseed(0.25)"),
       [](Connection& c) {
         const std::string seeded = server().ask("select setseed(0.25); select random()::text");
         return leaks_if(c.exec("select random()::text").one<std::string>() == seeded);
       }},
      // Names of their own: a session that is closed may still hold its origin and its slot for a while.
      {"replication origin of the session",
       run("select pg_replication_origin_create('origin_' || pg_backend_pid()); "
           "select pg_replication_origin_session_setup('origin_' || pg_backend_pid())"),
       differs("select pg_replication_origin_session_is_setup()::text")},
      {"backup that was begun", run("select pg_backup_start('left', true)"),
       [](Connection& c) {
         try {
           static_cast<void>(c.exec("select pg_backup_start('next', true)"));
           static_cast<void>(c.exec("select pg_backup_stop(false)"));
           return std::string{};
         } catch (const QueryError&) {  // one is in progress
           return std::string{"leaks"};
         }
       }},
      {"temporary replication slot",
       run("select pg_create_physical_replication_slot(('slot_' || pg_backend_pid())::name, true, true)"),
       differs("select count(*)::text from pg_replication_slots where active_pid = pg_backend_pid()")},
  };
}

struct Prepared {
  Prepared() {
    server().ask(
        "drop role if exists somebody; create role somebody; "
        "drop table if exists counted, triggered, copied; drop sequence if exists counter; create sequence counter; "
        "create table counted(id serial); create table triggered(id int); create table copied(id int); "
        "create or replace function sets() returns trigger language plpgsql as "
        "$$ begin set work_mem = '7MB'; return new; end $$; "
        "create trigger sets before insert on triggered for each row execute function sets()");
  }
};

Options options_of(ResetLevel level) {
  return {.pool_size = 1, .max_overflow = 0, .pool_timeout = 1min, .pre_ping = false, .reset = level};
}

std::string finding(const State& state, ResetLevel level) {
  postgres::Pool pool{server().conninfo(), options_of(level)};
  int pid = 0;
  {
    auto lease = pool.acquire();
    pid = lease->backend_pid();
    state.leave(*lease);
  }
  auto lease = pool.acquire();
  const std::string found = state.find(*lease);
  if (lease->backend_pid() != pid) return found.empty() ? "closed" : found;
  return found.empty() ? "clean" : found;
}

// Median of the microseconds that a release and the next acquire took.
long cost(ResetLevel level, const char* sql) {
  postgres::Pool pool{server().conninfo(), options_of(level)};
  std::vector<Duration> took;
  auto lease = pool.acquire();
  for (int i = 0; i < 15; ++i) {
    lease->exec(sql);
    const TimePoint start = Clock::now();
    lease.release();
    lease = pool.acquire();
    took.push_back(Clock::now() - start);
  }
  std::ranges::nth_element(took, took.begin() + 7);
  return static_cast<long>(std::chrono::duration_cast<std::chrono::microseconds>(took[7]).count());
}

// A row, its columns as wide as the names of the rungs.
template <class Cell>
std::string row(std::string_view name, Cell cell) {
  std::ostringstream text;
  text << std::left << std::setw(38) << name << '|';
  for (std::size_t i = 0; i < levels.size(); ++i) {
    text << ' ';
    if (i + 1 < levels.size()) text << std::setw(static_cast<int>(std::max<std::size_t>(names[i].size(), 6)));
    text << cell(i);
  }
  text << '\n';
  return text.str();
}

std::string head(std::string_view name) {
  return row(name, [](std::size_t i) { return names[i]; });
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(reset_audit, Prepared)

BOOST_AUTO_TEST_CASE(each_rung_leaves_to_the_next_holder_what_the_table_says) {
  std::string found = head("what a holder leaves");
  Connection fresh = lido::test::connect();
  for (const State& state : states()) {
    BOOST_TEST(state.find(fresh) == "", state.name << " is found in a new session");
    found += row(state.name, [&](std::size_t i) { return finding(state, levels[i]); });
  }
  std::cout << found;
  found = "\n// [ladder]\n" + found + "// [/ladder]\n";
  BOOST_TEST((found == table), "found is" << found);
}

BOOST_AUTO_TEST_CASE(costs) {
  std::string text = head("us to release and acquire again");
  for (const auto& [name, sql] : {std::pair{"after a select", "select 1"},
                                  {"after a SET", "set work_mem = '5MB'"},
                                  {"in a transaction", "begin"}})
    text += row(name, [&, statement = sql](std::size_t i) { return std::to_string(cost(levels[i], statement)); });
  std::cout << text;
  // Else the ladder would be upside down; which statements each rung sends is tested with the connection.
  BOOST_TEST(cost(ResetLevel::discard_all, "select 1") < cost(ResetLevel::reopen, "select 1"));
}

BOOST_AUTO_TEST_SUITE_END()
