#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <libpq-fe.h>

#include <lido/postgres/connection.hpp>
#include <lido/postgres/detail/wire/statement_cache.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/savepoint.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>
#include <lido/postgres/types/uuid.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(statement_cache)

namespace {

// What the library has prepared in the session; asked with a script, which is never prepared.
int prepared(Connection& connection) {
  return connection.exec_script("select count(*) from pg_prepared_statements where not from_sql").one<int>();
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_statement_is_prepared_when_it_comes_a_second_time) {
  Connection connection = lido::test::connect();
  BOOST_TEST(connection.exec("select $1::int + 1", 1).one<int>() == 2);
  BOOST_TEST(prepared(connection) == 0);
  BOOST_TEST(connection.exec("select $1::int + 1", 2).one<int>() == 3);
  BOOST_TEST(prepared(connection) == 1);
  for (int i = 0; i < 10; ++i) BOOST_TEST(connection.exec("select $1::int + 1", i).one<int>() == i + 1);
  BOOST_TEST(prepared(connection) == 1);
}

BOOST_AUTO_TEST_CASE(size_zero_prepares_nothing) {
  Connection connection = lido::test::connect({.statement_cache = 0});
  for (int i = 0; i < 5; ++i) BOOST_TEST(connection.exec("select $1::int", i).one<int>() == i);
  BOOST_TEST(prepared(connection) == 0);
}

BOOST_AUTO_TEST_CASE(the_least_recently_used_statement_goes_from_the_server_too) {
  Connection connection = lido::test::connect({.statement_cache = 2});
  const auto twice = [&](const std::string& sql) {
    connection.exec(sql);
    connection.exec(sql);
  };
  twice("select 1");
  twice("select 2");
  connection.exec("select 1");  // so that 2 is the oldest
  twice("select 3");
  BOOST_TEST(prepared(connection) == 2);
  BOOST_TEST(connection.exec_script("select string_agg(statement, ',' order by statement) from pg_prepared_statements")
                 .one<std::string>() == "select 1,select 3");
}

BOOST_AUTO_TEST_CASE(evicted_in_a_transaction_a_statement_goes_in_it) {
  Connection connection = lido::test::connect({.statement_cache = 2});
  connection.exec_script("begin");
  for (int i = 0; i < 10; ++i)
    for (int time = 0; time < 2; ++time) {
      BOOST_TEST(connection.exec("select " + std::to_string(i)).one<int>() == i);
      BOOST_TEST(prepared(connection) <= 2);
    }
  BOOST_TEST(prepared(connection) == 2);
  connection.exec_script("commit");
}

BOOST_AUTO_TEST_CASE(a_program_that_only_uses_sessions_leaves_no_more_than_the_cache_holds) {
  for (const ResetLevel reset : {ResetLevel::none, ResetLevel::targeted}) {
    postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .reset = reset, .statement_cache = 8}};
    const int pid = pool.acquire()->backend_pid();
    for (int i = 0; i < 100; ++i) {
      Session session{pool};
      for (int time = 0; time < 3; ++time) session.exec("select " + std::to_string(i));
      BOOST_REQUIRE(prepared(session.connection()) <= 8);
      session.commit();
    }
    auto connection = pool.acquire();
    BOOST_TEST(connection->backend_pid() == pid);
    BOOST_TEST(prepared(*connection) == 8);
  }
}

BOOST_AUTO_TEST_CASE(a_null_and_a_value_in_turn_are_two_statements) {
  Connection connection = lido::test::connect();
  connection.exec_script("begin");
  const postgres::Uuid id{};
  for (int i = 0; i < 50; ++i) {
    BOOST_TEST(connection.exec("select $1::uuid is null", nullptr).one<bool>());
    BOOST_TEST(!connection.exec("select $1::uuid is null", id).one<bool>());
  }
  BOOST_TEST(prepared(connection) == 2);
  connection.exec_script("commit");
}

BOOST_AUTO_TEST_CASE(where_the_statements_may_be_gone_a_transaction_prepares_no_more_than_the_cache_holds) {
  Connection connection = lido::test::connect({.statement_cache = 2});
  const auto twice = [&](const std::string& sql) {
    connection.exec(sql);
    connection.exec(sql);
  };
  twice("select 1");
  twice("select 2");
  connection.exec_script("do $$ begin execute 'deallocate all'; end $$; begin");
  for (int i = 3; i < 9; ++i) {
    twice("select " + std::to_string(i));  // one that deallocates what is gone would fail
    BOOST_TEST(prepared(connection) <= 2);
  }
  connection.exec_script("commit");
  twice("select 9");
  BOOST_TEST(prepared(connection) == 1);
  twice("select 10");
  BOOST_TEST(prepared(connection) == 2);
}

BOOST_AUTO_TEST_CASE(survives_that_all_prepared_statements_are_dropped) {
  for (const char* drop : {"discard all", "deallocate all", "do $$ begin execute 'deallocate all'; end $$"}) {
    BOOST_TEST_CONTEXT(drop) {
      Connection connection = lido::test::connect();
      for (int i = 0; i < 3; ++i) connection.exec("select $1::int", i);
      connection.exec_script(std::string{"select 1; "}.substr(drop[1] == 'i' ? 10 : 0) + drop);
      BOOST_TEST(prepared(connection) == 0);
      BOOST_TEST(connection.exec("select $1::int", 7).one<int>() == 7);
      BOOST_TEST(connection.exec("select $1::int", 8).one<int>() == 8);
      BOOST_TEST(prepared(connection) == 1);
      connection.exec(drop);
      connection.exec(drop);  // prepared, and drops itself
      BOOST_TEST(connection.exec("select $1::int", 9).one<int>() == 9);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_dropped_statement_fails_once_in_a_transaction_and_then_no_more) {
  Connection connection = lido::test::connect();
  for (int i = 0; i < 3; ++i) connection.exec("select $1::int", i);
  connection.exec_script("do $$ begin execute 'deallocate all'; end $$");
  connection.exec("select 'this one asks what names mean now'");
  connection.exec_script("begin");
  BOOST_TEST(caught<QueryError>([&] { connection.exec("select $1::int", 4); }).sqlstate() == "26000");
  BOOST_TEST(connection.in_failed_transaction());
  connection.exec_script("rollback; begin");
  BOOST_TEST(connection.exec("select $1::int", 5).one<int>() == 5);
  connection.exec_script("commit");
}

BOOST_AUTO_TEST_CASE(what_misses_another_prepared_statement_in_the_middle_is_not_run_again) {
  server().ask(
      "drop table if exists payments; create table payments(id int); "
      "create or replace procedure pay(missing text) language plpgsql as $$ begin "
      "insert into payments values (1); commit; "
      "if missing <> '' then execute 'deallocate ' || missing; end if; end $$");
  Connection connection = lido::test::connect();
  for (int i = 0; i < 3; ++i) connection.exec("call pay($1)", "");
  const auto name =
      connection.exec_script("select name from pg_prepared_statements where not from_sql").one<std::string>();
  for (const std::string& missing : {std::string{"missing"}, name + "0"})
    BOOST_TEST(caught<QueryError>([&] { connection.exec("call pay($1)", missing); }).sqlstate() == "26000");
  BOOST_TEST(server().ask("select count(*) from payments") == "5");
}

BOOST_AUTO_TEST_CASE(a_changed_result_is_prepared_anew) {
  Connection connection = lido::test::connect();
  connection.exec_script("create temp table shape(a int); insert into shape values (1)");
  for (int i = 0; i < 3; ++i) BOOST_TEST(connection.exec("select * from shape where a = $1", 1).columns() == 1U);
  connection.exec_script("alter table shape add b text");
  BOOST_TEST(connection.exec("select * from shape where a = $1", 1).columns() == 2U);
  BOOST_TEST(connection.exec("select * from shape where a = $1", 1).columns() == 2U);
  BOOST_TEST(prepared(connection) == 1);
  connection.exec_script("alter table shape add c text");
  connection.exec("select 'this one asks what names mean now'");
  connection.exec_script("begin");
  BOOST_TEST(caught<QueryError>([&] { connection.exec("select * from shape where a = $1", 1); }).sqlstate() == "0A000");
  connection.exec_script("rollback; begin");
  BOOST_TEST(connection.exec("select * from shape where a = $1", 1).columns() == 3U);
  connection.exec_script("commit");
}

BOOST_AUTO_TEST_CASE(a_changed_result_in_the_middle_of_a_procedure_is_not_run_again) {
  server().ask(
      "drop table if exists payments, shape; create table payments(id int); create table shape(a int); "
      "create or replace procedure pay_and_look(id int) language plpgsql as $$ begin "
      "insert into payments values (id); commit; execute 'execute look'; end $$");
  Connection connection = lido::test::connect();
  connection.exec_script("prepare look as select * from shape");
  for (int i = 0; i < 3; ++i) connection.exec("/* pays */ call pay_and_look($1)", i);
  connection.exec_script("alter table shape add b text");
  BOOST_TEST(caught<QueryError>([&] { connection.exec("/* pays */ call pay_and_look($1)", 3); }).sqlstate() == "0A000");
  BOOST_TEST(server().ask("select count(*) from payments") == "4");
}

namespace {

// A column before and after a migration, and values for it that only the one and the other take.
struct Migration {
  const char* before;
  const char* value;
  const char* migrate;
  const char* other_value;
};
constexpr Migration migrations[] = {
    {"v int", "1", "alter table migrated alter v type bigint", "5000000000"},
    {"v varchar(9)", "1", "alter table migrated alter v type int using v::int", "2"},
    {"v text", "{}", "alter table migrated alter v type jsonb using v::jsonb", "{}"},
    {"v mood", "well", "drop type mood cascade; create type mood as enum ('ill'); alter table migrated add v mood",
     "ill"},
    {"v int", "1", "alter table migrated rename v to w; alter table migrated add v date", "2026-01-01"},
};
void before(const Migration& migration) {
  server().ask(std::string{"drop table if exists migrated; drop type if exists mood; create type mood as enum ('well');"
                           "create table migrated("} +
               migration.before + ")");
}
// The second one shows whether another stale statement comes through after the first.
void write(auto& connection, const char* value) {
  connection.exec("insert into migrated(v) values ($1)", value);
  BOOST_TEST(connection.exec("select * from migrated where v = $1", value).rows() > 0U);
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_migration_is_not_noticed_outside_a_transaction) {
  for (const Migration& migration : migrations) {
    BOOST_TEST_CONTEXT(migration.migrate) {
      Connection connection = lido::test::connect();
      before(migration);
      for (int i = 0; i < 3; ++i) write(connection, migration.value);
      server().ask(migration.migrate);
      for (int i = 0; i < 3; ++i) write(connection, migration.other_value);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_migration_is_not_noticed_in_transact) {
  for (const Migration& migration : migrations) {
    BOOST_TEST_CONTEXT(migration.migrate) {
      before(migration);
      postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
      int calls = 0;
      const auto body = [&](const char* value) {
        return [&, value](Session& session) {
          ++calls;
          write(session, value);
        };
      };
      for (int i = 0; i < 3; ++i) transact(pool, body(migration.value));
      BOOST_TEST(calls == 3);
      server().ask(migration.migrate);
      for (int i = 0; i < 3; ++i) transact(pool, body(migration.other_value));
      BOOST_TEST(calls > 6);
      BOOST_TEST(calls <= 8);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_migration_fails_a_session_once_a_statement) {
  const Migration& migration = migrations[0];
  before(migration);
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  const auto run = [&](const char* value) {
    Session session{pool};
    session.exec("insert into migrated(v) values ($1)", value);
    session.commit();
  };
  for (int i = 0; i < 3; ++i) run("1");
  server().ask(migration.migrate);
  BOOST_TEST(caught<QueryError>([&] { run(migration.other_value); }).sqlstate() == "22003");
  for (int i = 0; i < 3; ++i) run(migration.other_value);
}

BOOST_AUTO_TEST_CASE(what_a_statement_does_to_its_session_is_not_done_again) {
  Connection connection = lido::test::connect();
  connection.exec_script("create temp sequence runs");
  const char* const counts = "select nextval('runs'), 1 / ($1::int * ceil(random() + 0.1)::int)";  // in this order
  for (int i = 0; i < 3; ++i) connection.exec(counts, 1);
  BOOST_CHECK_THROW(connection.exec(counts, 0), QueryError);
  BOOST_TEST(connection.exec_script("select last_value from runs").one<int>() == 4);
}

BOOST_AUTO_TEST_CASE(a_commit_that_was_refused_is_not_sent_once_more) {
  server().ask(
      "drop table if exists divisors; create table divisors(a int); "
      "create or replace function divide() returns trigger language plpgsql as "
      "$$ begin perform 1 / new.a; return null; end $$; "
      "create constraint trigger divide after insert on divisors deferrable initially deferred for each row "
      "execute function divide()");
  for (const std::string commit : {"commit", "end"}) {
    Connection connection = lido::test::connect();
    const auto insert = [&](int a) {
      connection.exec("begin");
      connection.exec("insert into divisors values ($1)", a);
      connection.exec(commit);
    };
    for (int i = 0; i < 4; ++i) insert(1);
    BOOST_TEST(caught<QueryError>([&] { insert(0); }).sqlstate() == "22012");
    BOOST_TEST(!connection.in_transaction());
    for (int i = 0; i < 3; ++i) insert(1);
  }
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  const auto insert = [&](int a) {
    Session session{pool};
    session.exec("insert into divisors values ($1)", a);
    session.exec("commit");
  };
  for (int i = 0; i < 4; ++i) insert(1);
  BOOST_TEST(caught<QueryError>([&] { insert(0); }).sqlstate() == "22012");
  BOOST_TEST(server().ask("select count(*) from divisors where a = 0") == "0");
  BOOST_TEST(server().ask("select count(*) from divisors") == "18");
}

BOOST_AUTO_TEST_CASE(past_its_deadline_transact_throws_the_error_of_a_statement_that_was_prepared) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  once_in_time(200ms, [&](Duration timeout) {
    for (int i = 0; i < 3; ++i) transact(pool, [](Session& session) { session.exec("select 1 / $1::int", "1"); });
    int calls = 0;
    bool failed = false;
    const auto late = [&](Session& session) {
      ++calls;
      try {
        session.exec("select 1 / $1::int", "0");
      } catch (const QueryError&) {
        failed = true;
        postgres::detail::pause_until(Clock::now() + timeout);
        throw;
      }
    };
    try {
      transact(pool, late, {.timeout = timeout});
    } catch (const Error& error) {
      if (!failed) throw;
      BOOST_TEST(error.sqlstate() == "22012");
    } catch (const AcquireTimeout&) {
      if (!failed) throw;
      BOOST_ERROR("another attempt has begun");
    }
    BOOST_TEST(calls == 1);
  });
}

BOOST_AUTO_TEST_CASE(an_error_of_the_values_is_thrown_and_transact_tries_once_more_at_most) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  int calls = 0;
  const auto divide = [&](const char* by) {
    return [&, by](Session& session) {
      ++calls;
      session.exec("select 1 / $1::int", by);
    };
  };
  for (int i = 0; i < 3; ++i) transact(pool, divide("1"));
  calls = 0;
  BOOST_TEST(caught<QueryError>([&] { transact(pool, divide("0")); }).sqlstate() == "22012");
  BOOST_TEST(calls == 2);
  transact(pool, divide("1"));
  calls = 0;
  BOOST_TEST(caught<QueryError>([&] { transact(pool, divide("x"), {.attempts = 1}); }).sqlstate() == "22P02");
  BOOST_TEST(calls == 1);
  // What is not of a prepared statement, or not of the present one.
  calls = 0;
  const auto other = [&](Session& session) {
    ++calls;
    {
      Savepoint undone{session};
      BOOST_CHECK_THROW(session.exec("select 1 / $1::int", "0"), QueryError);
    }
    session.connection().exec_script("select 1 from nowhere");
  };
  transact(pool, divide("1"));
  transact(pool, divide("1"));
  calls = 0;
  BOOST_TEST(caught<QueryError>([&] { transact(pool, other); }).sqlstate() == "42P01");
  BOOST_TEST(calls == 1);
}

namespace {

// A table of the same name in two schemas, whose shape and whose id's type differ, and the ways to choose one.
struct Tenants {
  Tenants() {
    server().ask(
        "drop schema if exists tenant_a cascade; drop schema if exists tenant_b cascade; create schema tenant_a; "
        "create schema tenant_b; create table tenant_a.items(id int, a text); "
        "create table tenant_b.items(id text, b int, c int); insert into tenant_a.items values (1, 'a'); "
        "insert into tenant_b.items values ('x', 1, 1); "
        "create or replace function use_tenant(name text) returns void language plpgsql as $$ begin "
        "perform set_config('search_path', name, true); end $$");
  }
  static bool is_a(int i) { return i % 2 == 0; }
  static std::string name(int i) { return is_a(i) ? "tenant_a" : "tenant_b"; }
  // What fails where one's statement is used for the other.
  static void look(auto& session, int i) {
    for (int time = 0; time < 3; ++time)
      BOOST_TEST(session.exec("select * from items where id = $1", is_a(i) ? "1" : "x").columns() ==
                 (is_a(i) ? 2U : 3U));
  }
  static constexpr int turns = 8;
};

}  // namespace

// Whoever dropped them behind the library's back, another holder's transaction does not fail for it.
BOOST_AUTO_TEST_CASE(what_the_last_holder_dropped_costs_the_next_one_nothing) {
  for (const ResetLevel reset : {ResetLevel::rollback, ResetLevel::none}) {
    postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .reset = reset, .statement_cache = 2}};
    {
      auto lease = pool.acquire();
      for (int time = 0; time < 2; ++time)
        for (const char* sql : {"select 1", "select 2"}) lease->exec(sql);
      PQclear(PQexec(lease->native(), "deallocate all"));
    }
    Session session{pool};
    for (int time = 0; time < 3; ++time)
      for (const char* sql : {"select 3", "select 4"}) session.exec(sql);
    session.commit();
  }
}

BOOST_FIXTURE_TEST_CASE(tenants_by_search_path_do_not_meet_in_one_statement, Tenants) {
  for (const bool quoted : {false, true})
    for (const ResetLevel reset : {ResetLevel::rollback, ResetLevel::targeted}) {
      postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .reset = reset}};
      for (int i = 0; i < turns; ++i) {
        const std::string path = name(i) + (quoted ? ", public" : "");
        Session session{pool, {.set_local = {{quoted ? "Search_Path" : "search_path", path}}}};
        look(session, i);
        {
          const Savepoint undone{session};
          BOOST_CHECK_THROW(session.exec("select nonsense"), QueryError);
        }
        look(session, i);
        session.commit();
      }
      for (int i = 0; i < turns; ++i)
        transact(pool, [&](Session& session) { look(session, i); },
                 {.transaction = {.set_local = {{"search_path", name(i)}}}, .attempts = 1});
      auto connection = pool.acquire();
      BOOST_TEST(prepared(*connection) <= 4);
    }
}

BOOST_FIXTURE_TEST_CASE(tenants_do_not_meet_however_they_are_chosen, Tenants) {
  const auto with = [](const char* text) {
    return [text](Connection& connection, const std::string& tenant) {
      std::string sql{text};
      for (std::size_t at = sql.find('?'); at != std::string::npos; at = sql.find('?')) sql.replace(at, 1, tenant);
      connection.exec(sql);
    };
  };
  const std::vector<std::function<void(Connection&, const std::string&)>> ways{
      with("set search_path = ?"),
      with("set local search_path = ?, public"),
      with("/* who */ set local \"search_path\" to ?"),
      with("set schema '?'"),
      with("select set_config('search_path', '?', false)"),
      with("select pg_catalog.set_config('search_path', '?', true)"),
      with("select public.use_tenant('?')"),
      with("do $$ begin perform set_config('search_path', '?', false); end $$"),
      [](Connection& connection, const std::string& tenant) {
        connection.exec("select set_config('search_path', $1, true)", tenant);
      },
      [](Connection& connection, const std::string& tenant) {
        connection.exec("select public.use_tenant($1)", tenant);
      },
      [](Connection& connection, const std::string& tenant) {
        connection.exec_script("select 1; set local search_path = " + tenant);
      },
      [](Connection& connection, const std::string& tenant) {
        connection.exec_script("rollback; begin; set local search_path = " + tenant);
      },
      [](Connection& connection, const std::string& tenant) {
        connection.exec_script("set search_path = " + tenant + "; commit and chain");
      },
      [](Connection& connection, const std::string& tenant) {
        for (const Row& row : connection.stream("select public.use_tenant($1)", tenant)) static_cast<void>(row);
      },
      [](Connection& connection, const std::string& tenant) {
        Pipeline pipeline;
        pipeline.add("select public.use_tenant($1)", tenant);
        connection.run(pipeline);
      },
      [](Connection& connection, const std::string& tenant) {
        PQclear(PQexec(connection.native(), ("set search_path = " + tenant).c_str()));
      },
  };
  for (const ResetLevel reset : {ResetLevel::rollback, ResetLevel::targeted})
    for (const bool commits : {true, false})
      for (std::size_t way = 0; way < ways.size(); ++way) {
        BOOST_TEST_CONTEXT(to_string(reset) << ", way " << way << (commits ? ", commits" : ", rolls back")) {
          Connection connection = lido::test::connect({.reset = reset});
          for (int i = 0; i < turns; ++i) {
            connection.exec_script("begin");
            ways[way](connection, name(i));
            look(connection, i);
            connection.exec_script(commits ? "commit" : "rollback");
            // Once more by a savepoint, which undoes it.
            connection.exec("begin");
            ways[way](connection, name(i));
            look(connection, i);
            if (connection.in_transaction() && way != 10 && way != 12) {
              connection.exec("savepoint here");
              ways[way == 11 ? 0 : way](connection, name(i + 1));
              look(connection, i + 1);
              connection.exec("rollback to savepoint here");
              look(connection, i);
            }
            connection.exec_script(commits ? "commit" : "rollback");
            BOOST_TEST(connection.reset(soon()));
          }
        }
      }
}

BOOST_FIXTURE_TEST_CASE(tenants_by_role_do_not_meet_in_one_statement, Tenants) {
  server().ask(
      "do $$ begin create role tenant_a; create role tenant_b; exception when duplicate_object then null; end $$; "
      "grant usage on schema tenant_a to tenant_a; grant usage on schema tenant_b to tenant_b; "
      "grant select on tenant_a.items to tenant_a; grant select on tenant_b.items to tenant_b");
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  for (int i = 0; i < turns; ++i) {
    Session session{pool, {.set_local = {{"role", name(i)}}}};
    look(session, i);
    session.commit();
  }
  for (int i = 0; i < turns; ++i) {
    auto connection = pool.acquire();
    connection->exec(i % 4 < 2 ? "set role " + name(i) : "set session authorization " + name(i));
    look(*connection, i);
    connection->exec(i % 4 < 2 ? "reset role" : "reset session authorization");
  }
}

BOOST_AUTO_TEST_CASE(what_may_change_the_meaning_of_names_is_seen_in_the_text) {
  using postgres::detail::Renames;
  const auto of = [](const char* sql) { return postgres::detail::renames(sql, postgres::detail::leaves_behind(sql)); };
  for (const char* sql : {"select 1", "update t set a = 1", "insert into t(a, b) values (nextval('s'), lower($1))",
                          "set local a.b = 1", "select pg_advisory_lock($1)", "set transaction read only",
                          "listen search_path", "grant a to b; revoke a from b", "begin", "commit",
                          "insert into a.t select nextval('s')", "set local work_mem = '1MB'", "drop schema s", ""})
    BOOST_TEST_CONTEXT(sql) { BOOST_TEST((of(sql) == Renames::nothing)); }
  for (const char* sql : {"set local search_path = a", "SET LOCAL Role a", "begin; set local schema 'a'",
                          "set local session authorization a", "set local \"search_path\" = a",
                          "select set_config('search_path', $1, true)", "/* */ set local U&\"search_path\" = a"})
    BOOST_TEST_CONTEXT(sql) { BOOST_TEST((of(sql) != Renames::nothing)); }
  for (const char* sql : {"set search_path = a",
                          "set role a",
                          "reset all",
                          "reset role",
                          "discard all",
                          "set schema 'a'",
                          "do $$ $$",
                          "select set_config('search_path', $1, false)",
                          "select f()",
                          "select nextval('s'), f()",
                          "call p()",
                          "select nextval('s'); set search_path = a",
                          "listen a; set role b",
                          "execute a",
                          "select a.nextval('s')",
                          "update pg_settings set setting = 'a' where name = 'search_path'",
                          "select \"f\" ('s'), nextval('s')",
                          "fetch c",
                          "drop table t; select f()",
                          "select nextval('s'), u&\"f\" ()",
                          "update \"pg_settings\" set setting = nextval('s')",
                          "explain analyze select f()",
                          "begin; select f()"})
    BOOST_TEST_CONTEXT(sql) { BOOST_TEST((of(sql) >= Renames::session)); }
  for (const char* sql :
       {"create temp table t (a int)", "select 1; create table t (a int)", "select 1 into t",
        "with t as (select 1) select 1 into temp u from t", "alter table t rename to u",
        "listen a; create view v as select 1", "do $$ $$; create table t (a int)", "reset all; create table t (a int)"})
    BOOST_TEST_CONTEXT(sql) { BOOST_TEST((of(sql) == Renames::hides)); }
  for (const char* sql :
       {"select f()", "insert into t select f()", "set role a", "drop table t", "call p()", "alter table t add a int"})
    BOOST_TEST_CONTEXT(sql) { BOOST_TEST((of(sql) != Renames::hides)); }
  for (const char* sql : {"set local timezone = 'UTC'", "set local time zone 'UTC'", "SET LOCAL DateStyle = 'ISO'",
                          "set local names 'utf8'", "set local \"IntervalStyle\" = 'iso_8601'",
                          "select set_config('client_encoding', $1, true)"})
    BOOST_TEST_CONTEXT(sql) { BOOST_TEST((of(sql) == Renames::local)); }
  for (const char* sql :
       {"set array_nulls = off", "set local array_nulls = off", "set local xml option document",
        "select set_config('lc_monetary', 'C', true)", "set \"timezone_abbreviations\" = 'India'",
        "do $$ $$; set transform_null_equals = on", "reset bytea_output", "reset all; reset xmloption"})
    BOOST_TEST_CONTEXT(sql) { BOOST_TEST((of(sql) == Renames::untold)); }
  for (const char* sql : {"reset all", "/* */ Reset /* */ ALL", "select 1; reset all", "do $$ $$; reset all"})
    BOOST_TEST_CONTEXT(sql) { BOOST_TEST((of(sql) == Renames::resets)); }
  for (const char* sql : {"reset work_mem", "select f('reset all')", "set a.b = reset"}) BOOST_TEST_CONTEXT(sql) {
      BOOST_TEST((of(sql) == Renames::session));
    }
}

BOOST_AUTO_TEST_CASE(what_hides_the_table_of_a_statement_is_what_it_reads) {
  server().ask("drop table if exists hidden; create table hidden as select 'permanent'::text as a");
  for (const std::size_t size : {0U, 64U}) BOOST_TEST_CONTEXT(size) {
      Connection connection = lido::test::connect({.statement_cache = size});
      const auto read = [&](const char* expected) {
        for (int i = 0; i < 3; ++i) BOOST_TEST(connection.exec("select a from hidden").one<std::string>() == expected);
      };
      for (const char* make :
           {"create temp table hidden as select 'temporary'::text as a",
            "select 'temporary'::text as a into temp hidden",
            "drop table if exists other_name; create temp table other_name as select 'temporary'::text as a; "
            "alter table other_name rename to hidden"}) {
        connection.exec("create temp table another (a int)");  // after which the server takes no notice of a second one
        read("permanent");
        connection.exec_script(make);
        read("temporary");
        connection.exec("drop table pg_temp.hidden");
        read("permanent");
        connection.exec("begin");
        connection.exec_script(make);
        read("temporary");
        connection.exec("rollback");
        read("permanent");
        connection.exec_script(make);
        read("temporary");
        BOOST_REQUIRE(connection.reset(soon()));
        read("permanent");
      }
    }
  server().ask("drop table hidden");
}

BOOST_AUTO_TEST_CASE(what_a_trigger_raises_is_raised_once_whatever_its_state) {
  server().ask(
      "drop table if exists watched; create table watched (a int); drop sequence if exists raised; "
      "create sequence raised; create or replace function refuse() returns trigger language plpgsql as "
      "$$ begin perform nextval('raised'); raise 'no' using errcode = 'AB001'; end $$; "
      "create trigger refuse before insert on watched for each row execute function refuse()");
  Connection connection = lido::test::connect();
  for (int i = 0; i < 5; ++i)
    BOOST_TEST(caught<QueryError>([&] { connection.exec("insert into watched values ($1)", i); }).sqlstate() ==
               "AB001");
  BOOST_TEST(server().ask("select last_value from raised") == "5");
  server().ask("drop table watched; drop sequence raised; drop function refuse()");
}

BOOST_AUTO_TEST_CASE(what_leaves_the_meaning_of_names_alone_costs_no_preparation) {
  server().ask("create or replace function of_the_users() returns int language sql as 'select 1'");
  Connection connection = lido::test::connect();
  connection.exec_script("create temp table t(a int); create temp sequence s");
  for (const bool within : {false, true}) {
    if (within) connection.exec_script("begin");
    for (const char* between :
         {"select 1", "update pg_temp.t set a = 1", "set local work_mem = '5MB'", "listen news", "select nextval('s')",
          "select pg_advisory_lock(1)", "select of_the_users()", "set work_mem = '5MB'"}) {
      for (int i = 0; i < 4; ++i) {
        connection.exec("select $1::int", i);
        connection.exec(between);
      }
    }
    BOOST_TEST(connection.exec_script("select count(*) from pg_prepared_statements where statement = 'select $1::int'")
                   .one<int>() == 1);
    if (within) connection.exec_script("commit");
  }
}

BOOST_AUTO_TEST_CASE(errors_of_a_prepared_statement_are_those_of_the_statement) {
  Connection connection = lido::test::connect();
  for (int i = 0; i < 3; ++i) {
    const auto error = caught<QueryError>([&] { connection.exec("select 1 / $1::int", 0); });
    BOOST_TEST(error.sqlstate() == "22012");
    BOOST_TEST(error.statement() == "select 1 / $1::int");
    const auto wrong = caught<QueryError>([&] { connection.exec("select nonsense($1::int)", 0); });
    BOOST_TEST(wrong.sqlstate() == "42883");
    BOOST_TEST(caught<QueryError>([&] { connection.exec("select 1", 5); }).sqlstate() == "08P01");
  }
  BOOST_TEST(connection.exec("select 1 / $1::int", 1).one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(statements_of_every_kind_can_come_again) {
  Connection connection = lido::test::connect();
  connection.exec_script("create table if not exists swept(id int)");
  for (int i = 0; i < 3; ++i) {
    for (const char* sql :
         {"", "vacuum swept", "create temp table t(id int)", "insert into t values (1)", "drop table t",
          "set work_mem = '5MB'", "begin", "declare c cursor for select 1", "fetch c", "commit"})
      connection.exec(sql);
  }
  BOOST_TEST(connection.reset(soon()));
}

BOOST_AUTO_TEST_CASE(the_types_of_the_parameters_are_part_of_the_statement) {
  Connection connection = lido::test::connect();
  const auto type_of = [&](Oid type, const char* value) {
    const postgres::detail::Bound bound{.count = 1, .values = &value, .types = &type};
    postgres::detail::Execution execution{connection.channel(), "select pg_typeof($1)::text", bound};
    postgres::detail::complete(execution, soon());
    return Result{execution.result()}.one<std::string>();
  };
  for (int i = 0; i < 3; ++i) {
    BOOST_TEST(type_of(23, "1") == "integer");
    BOOST_TEST(type_of(25, "1") == "text");
  }
  for (int i = 0; i < 3; ++i) BOOST_TEST(type_of(25, "1") == "text");
  BOOST_TEST(prepared(connection) == 2);
}

BOOST_AUTO_TEST_CASE(a_failed_transaction_can_be_ended_with_a_statement_that_was_prepared) {
  Connection connection = lido::test::connect();
  for (int i = 0; i < 4; ++i) {
    connection.exec("begin");
    BOOST_CHECK_THROW(connection.exec("select 1/0"), QueryError);
    connection.exec("rollback");
    BOOST_TEST(!connection.in_transaction());
  }
}

BOOST_AUTO_TEST_CASE(a_reset_keeps_what_the_library_prepared_but_nothing_of_the_user) {
  Connection connection = lido::test::connect();
  for (int i = 0; i < 3; ++i) connection.exec("select $1::int", i);
  connection.exec_script("set search_path = pg_catalog; listen news; create temp table t as select 1");
  BOOST_TEST(connection.reset(soon()));
  BOOST_TEST(prepared(connection) == 1);
  BOOST_TEST(connection.exec_script("show search_path").one<std::string>() == "\"$user\", public");
  BOOST_TEST(connection.exec_script("select count(*) from pg_listening_channels()").one<int>() == 0);
  BOOST_TEST(connection.exec("select $1::int", 3).one<int>() == 3);

  connection.exec_script("prepare mine as select 1");
  BOOST_TEST(connection.reset(soon()));
  BOOST_TEST(connection.exec_script("select count(*) from pg_prepared_statements").one<int>() == 0);
  BOOST_TEST(connection.exec("select $1::int", 4).one<int>() == 4);
}

BOOST_AUTO_TEST_CASE(what_is_done_with_the_native_handle_cannot_break_it) {
  Connection connection = lido::test::connect();
  for (int i = 0; i < 3; ++i) connection.exec("select $1::int", i);
  PQclear(PQexec(connection.native(), "discard all"));
  connection.exec_script("begin");
  BOOST_TEST(connection.exec("select $1::int", 4).one<int>() == 4);
  connection.exec_script("commit");
}

BOOST_AUTO_TEST_CASE(gives_up_while_it_prepares) {
  Connection connection = lido::test::connect();
  connection.exec("select pg_sleep($1)", 0);
  const auto sleeps = [&](Duration span) { connection.exec_until(Clock::now() + span, "select pg_sleep($1)", 60); };
  const auto error = caught<QueryTimeout>([&] { once_sent(30ms, sleeps); });
  BOOST_TEST(error.statement() == "select pg_sleep($1)");
  BOOST_TEST(!connection.is_usable());
  BOOST_TEST(!connection.reset(soon()));
}

BOOST_AUTO_TEST_CASE(a_session_that_ends_while_it_prepares_is_lost) {
  Connection connection = lido::test::connect();
  connection.exec("select 1 from pg_sleep(0)");
  terminate(connection);
  BOOST_TEST(caught<ConnectionLost>([&] { connection.exec("select 1 from pg_sleep(0)"); }).sqlstate() == "57P01");
}

BOOST_AUTO_TEST_CASE(names_are_those_of_one_session_alone) {
  postgres::detail::StatementCache one{10};
  postgres::detail::StatementCache other{10};
  BOOST_TEST(one.new_name() != other.new_name());
  BOOST_TEST((one.use({std::string(20'000, 'x'), {}}) == nullptr));  // too long to be kept
}

BOOST_AUTO_TEST_SUITE_END()
