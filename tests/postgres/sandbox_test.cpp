// A pool whose every change is undone.
#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/error.hpp>
#include <lido/postgres/detail/sql/transaction_control.hpp>
#include <lido/postgres/detail/wire/held_transaction.hpp>
#include <lido/postgres/sandbox.hpp>
#include <lido/postgres/savepoint.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(sandbox)

namespace {

// The code under test.
void add_one(postgres::Pool& pool, int id) {
  transact(pool, [&](Session& session) { session.exec("insert into boxed values ($1)", id); });
}
int count_in(postgres::Pool& pool) { return pool.acquire()->exec("select count(*) from boxed").one<int>(); }

struct Table {
  Table() {
    server().ask(
        "drop table if exists boxed_child, boxed; create table boxed(id int primary key); "
        "create table boxed_child(id int references boxed deferrable initially deferred)");
  }
  ~Table() {
    BOOST_TEST(server().ask("select count(*) from boxed") == "0");
    // What was cancelled, or closed in the midst, may still be about to end.
    BOOST_CHECK_NO_THROW(PostgresServer::wait_until("no transaction is open", [] {
      return server().ask(
                 "select count(*) from pg_stat_activity where xact_start is not null and pid <> "
                 "pg_backend_pid() and backend_type = 'client backend'") == "0";
    }));
  }
  Sandbox sandbox{server().conninfo(), {.pool_timeout = 1min}};
  postgres::Pool& pool = sandbox;

  void end() { sandbox.rollback(); }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(what_is_committed_is_seen_within_and_undone_at_the_end, Table) {
  add_one(pool, 1);
  pool.acquire()->exec("insert into boxed values (2)");  // commits by itself
  {
    Session session{pool};
    session.exec("insert into boxed values (3)");
    session.commit();
  }
  {
    Session forgotten{pool};
    forgotten.exec("insert into boxed values (4)");
  }
  BOOST_TEST(count_in(pool) == 3);
  BOOST_TEST(server().ask("select count(*) from boxed") == "0");
  end();
  BOOST_TEST(count_in(pool) == 0);
  add_one(pool, 1);
  BOOST_TEST(count_in(pool) == 1);
  end();
}

BOOST_FIXTURE_TEST_CASE(its_destructor_undoes_all, Table) {
  {
    Sandbox other{server().conninfo()};
    add_one(other, 1);
    BOOST_TEST(count_in(other) == 1);
  }
  BOOST_TEST(count_in(pool) == 0);
  end();
}

BOOST_FIXTURE_TEST_CASE(a_statement_that_fails_undoes_itself_alone, Table) {
  auto lease = pool.acquire();
  lease->exec("insert into boxed values (1)");
  BOOST_CHECK_THROW(lease->exec("insert into boxed values (1)"), QueryError);
  BOOST_TEST(!lease->in_transaction());
  lease->exec("insert into boxed values (2)");
  BOOST_CHECK_THROW(lease->exec_script("insert into boxed values (3); insert into boxed values (1)"), QueryError);
  BOOST_TEST(lease->exec("select count(*) from boxed").one<int>() == 2);
  lease.release();
  end();
}

BOOST_FIXTURE_TEST_CASE(sessions_and_savepoints_behave_as_outside, Table) {
  {
    Session session{pool};
    BOOST_TEST(session.connection().in_transaction());
    session.exec("insert into boxed values (1)");
    {
      Savepoint undone{session};
      session.exec("insert into boxed values (2)");
    }
    {
      Savepoint kept{session};
      session.exec("insert into boxed values (3)");
      Savepoint within{session};
      BOOST_CHECK_THROW(session.exec("insert into boxed values (3)"), QueryError);
      BOOST_TEST(session.connection().in_failed_transaction());
      within.rollback();
      kept.release();
    }
    session.commit();
    BOOST_TEST(session.is_committed());
  }
  BOOST_TEST(count_in(pool) == 2);
  {
    Session fails{pool};
    fails.exec("insert into boxed values (4)");
    BOOST_CHECK_THROW(fails.exec("insert into boxed values (1)"), QueryError);
    const auto in_vain = caught<QueryError>([&] { fails.exec("select 1"); });
    BOOST_TEST(in_vain.sqlstate() == "25P02");
    const auto rolled_back = caught<QueryError>([&] { fails.commit(); });
    BOOST_TEST(rolled_back.sqlstate() == "25P02");
  }
  BOOST_TEST(count_in(pool) == 2);
  end();
}

BOOST_FIXTURE_TEST_CASE(transact_tries_again, Table) {
  int calls = 0;
  transact(pool, [&](Session& session) {
    session.exec("insert into boxed values ($1)", ++calls);
    if (calls < 3) session.exec("do $$ begin raise 'lost' using errcode = '40001'; end $$");
  });
  BOOST_TEST(calls == 3);
  BOOST_TEST(pool.acquire()->exec("select min(id) from boxed").one<int>() == 3);
  BOOST_TEST(count_in(pool) == 1);
  BOOST_CHECK_THROW(transact(pool,
                             [&](Session& session) {
                               session.exec("insert into boxed values (7)");
                               throw std::runtime_error{"no"};
                             }),
                    std::runtime_error);
  BOOST_TEST(count_in(pool) == 1);
  end();
}

BOOST_FIXTURE_TEST_CASE(what_is_deferred_is_checked_by_commit, Table) {
  add_one(pool, 1);
  {
    Session session{pool};
    session.exec("insert into boxed_child values (1)");
    session.commit();
  }
  Session session{pool};
  session.exec("insert into boxed_child values (2)");
  BOOST_TEST(caught<QueryError>([&] { session.commit(); }).sqlstate() == "23503");
  BOOST_TEST(pool.acquire()->exec("select count(*) from boxed_child").one<int>() == 1);
  auto lease = pool.acquire();
  lease->exec("begin");
  lease->exec("insert into boxed_child values (2)");
  BOOST_CHECK_THROW(lease->exec("commit"), QueryError);
  BOOST_TEST(!lease->in_transaction());
  BOOST_TEST(lease->exec("select count(*) from boxed_child").one<int>() == 1);
  lease.release();
  end();
}

BOOST_FIXTURE_TEST_CASE(the_options_of_a_transaction_hold_for_it_alone, Table) {
  {
    Session session{pool,
                    {.isolation = Isolation::serializable,
                     .read_only = true,
                     .deferrable = true,
                     .statement_timeout = 61s,
                     .application_name = "boxed",
                     .set_local = {{"search_path", "pg_catalog"}, {"app.secret", "it's; commit"}}}};
    BOOST_TEST(session.exec("select current_setting('app.secret')").one<std::string>() == "it's; commit");
    BOOST_TEST(session.exec("show statement_timeout").one<std::string>() == "61s");
    BOOST_TEST(caught<QueryError>([&] { session.exec("insert into public.boxed values (1)"); }).sqlstate() == "25006");
  }
  {
    Session reads{pool, {.read_only = true}};
    BOOST_TEST(reads.exec("select count(*) from boxed").one<int>() == 0);
    reads.commit();
  }
  {
    Session session{pool, {.set_local = {{"search_path", "pg_catalog"}}, .track_commit = true}};
    BOOST_TEST(session.transaction_id().has_value());
    session.exec("insert into public.boxed values (1)");
    session.commit();
  }
  BOOST_TEST(pool.acquire()->exec("show search_path").one<std::string>() != "pg_catalog");
  BOOST_TEST(pool.acquire()->exec("show statement_timeout").one<std::string>() == "0");
  BOOST_TEST(count_in(pool) == 1);
  BOOST_CHECK_THROW((Session{pool, {.set_local = {{"no_such_setting", "1"}}}}), QueryError);
  BOOST_TEST(count_in(pool) == 1);
  end();
}

BOOST_FIXTURE_TEST_CASE(statements_of_your_own_begin_and_end_transactions_too, Table) {
  auto lease = pool.acquire();
  lease->exec("begin");
  BOOST_TEST(lease->in_transaction());
  lease->exec("insert into boxed values (1)");
  lease->exec("COMMIT work");
  BOOST_TEST(!lease->in_transaction());
  lease->exec_script("start transaction isolation level serializable");
  lease->exec("insert into boxed values (2)");
  lease->exec("savepoint mine");
  lease->exec("insert into boxed values (3)");
  lease->exec("rollback to savepoint mine");
  lease->exec("end");
  lease->exec("begin read only");
  BOOST_CHECK_THROW(lease->exec("insert into boxed values (4)"), QueryError);
  lease->exec("abort");
  lease->exec("begin");
  lease->exec("insert into boxed values (5)");
  BOOST_CHECK_THROW(lease->exec("select 1/0"), QueryError);
  BOOST_TEST(caught<QueryError>([&] { lease->exec("commit"); }).sqlstate() == "25P02");
  lease->exec("rollback");  // there is none
  lease->exec("commit");
  BOOST_TEST(lease->exec("select count(*) from boxed").one<int>() == 2);
  lease->exec("discard all");
  lease.release();
  BOOST_TEST(count_in(pool) == 2);
  end();
}

BOOST_FIXTURE_TEST_CASE(what_would_end_it_unseen_is_refused_before_it_is_sent, Table) {
  add_one(pool, 1);
  {
    auto lease = pool.acquire();
    const char* const behind_a_body =
        "create function boxed_g() returns int language sql begin atomic select case when true then 1 end; end; "
        "insert into boxed values (2); commit";
    for (const char* sql : {"insert into boxed values (2); commit", "begin; insert into boxed values (2); commit",
                            "commit; begin", "commit and chain", "rollback and chain", "prepare transaction 'x'",
                            "select 1; /* ; */ ROLLBACK -- x", behind_a_body}) {
      const auto error = caught<QueryError>([&] { lease->exec_script(sql); });
      BOOST_TEST(error.sqlstate() == "0A000", sql);
    }
    Pipeline pipeline;
    pipeline.add("insert into boxed values (2)");
    pipeline.add("commit");
    BOOST_CHECK_THROW(lease->run(pipeline), QueryError);
    BOOST_CHECK_THROW(lease->exec("vacuum boxed"), QueryError);  // by the server
    BOOST_TEST(lease->is_usable());
    lease->exec_script(
        "create function boxed_f() returns int language sql begin atomic select 1; select 2; end; select boxed_f()");
    BOOST_CHECK_THROW(lease->exec("do $$ begin commit; end $$"), QueryError);  // by the server
  }
  BOOST_TEST(count_in(pool) == 1);
  end();
}

BOOST_FIXTURE_TEST_CASE(an_end_that_nobody_saw_is_told_by_the_next_statement_and_by_rollback, Table) {
  for (const char* sql : {"commit", "commit; begin"}) {
    add_one(pool, 1);
    {
      auto lease = pool.acquire();
      PQclear(PQexec(lease->native(), sql));
      const auto error = caught<QueryError>([&] { lease->exec("select 1"); });
      BOOST_TEST(error.message().find("is not undone") != std::string::npos);
      BOOST_CHECK_THROW(lease->exec("select 1"), QueryError);
    }
    BOOST_CHECK_THROW(end(), Error);
    server().ask("delete from boxed");
    BOOST_TEST(count_in(pool) == 0);
    end();
  }
}

BOOST_FIXTURE_TEST_CASE(a_lost_connection_is_an_error_until_rollback, Table) {
  Options options{.pool_timeout = 1min};
  options.max_lag = 1s;  // of the application's environment: it has no meaning here
  Sandbox with_lag{server().conninfo(), options};
  for (Sandbox* const each : {&sandbox, &with_lag}) {
    add_one(*each, 1);
    {
      auto lease = each->acquire();
      terminate(*lease);
      BOOST_CHECK_THROW(lease->exec("select 1"), ConnectionLost);
    }
    for (int i = 0; i < 3; ++i) {
      const auto error = caught<QueryError>([&] { static_cast<void>(count_in(*each)); });
      BOOST_TEST(error.message().find("the sandbox's connection was lost") != std::string::npos);
    }
    BOOST_CHECK_THROW((Session{*each}), QueryError);
    BOOST_CHECK_THROW(each->rollback(), Error);
    BOOST_TEST(count_in(*each) == 0);
    add_one(*each, 1);
    BOOST_TEST(count_in(*each) == 1);
    each->rollback();
  }
}

BOOST_FIXTURE_TEST_CASE(a_second_acquire_of_a_thread_is_refused_and_another_thread_waits, Table) {
  Session session{pool};
  BOOST_CHECK_THROW(static_cast<void>(pool.acquire()), SelfDeadlock);
  BOOST_CHECK_THROW((Session{pool}), SelfDeadlock);
  BOOST_CHECK_THROW(end(), SelfDeadlock);
  session.exec("insert into boxed values (1)");
  std::jthread other{[&] { add_one(pool, 2); }};
  while (pool.statistics().now.waiting == 0) std::this_thread::yield();
  session.commit();
  other.join();
  BOOST_TEST(count_in(pool) == 2);
  end();
}

BOOST_FIXTURE_TEST_CASE(many_threads_take_turns, Table) {
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread)
      threads.emplace_back([&, thread] {
        for (int i = 0; i < 10; ++i) add_one(pool, thread * 10 + i);
      });
  }
  BOOST_TEST(count_in(pool) == 40);
  end();
}

BOOST_FIXTURE_TEST_CASE(streams_copies_and_pipelines_are_within, Table) {
  auto lease = pool.acquire();
  BOOST_TEST(lease->copy_in("copy boxed from stdin", std::vector<std::tuple<int>>{{1}, {2}}) == 2U);
  BOOST_CHECK_THROW(lease->copy_in("copy boxed from stdin", std::vector<std::tuple<int>>{{3}, {1}}), QueryError);
  int rows = 0;
  for (const auto& row : lease->stream<int>("select id from boxed")) rows += std::get<0>(std::tuple{row}) > 0 ? 1 : 0;
  BOOST_TEST(rows == 2);
  Pipeline pipeline;
  pipeline.add("insert into boxed values ($1)", 4);
  pipeline.add("insert into boxed values ($1)", 4);
  BOOST_CHECK_THROW(lease->run(pipeline), PipelineError);
  BOOST_TEST(lease->exec("select count(*) from boxed").one<int>() == 2);
  lease.release();
  end();
}

BOOST_FIXTURE_TEST_CASE(sessions_are_put_in_order_between_two_holders, Table) {
  {
    auto lease = pool.acquire();
    lease->exec("set work_mem = '1234kB'");
    lease->exec("create temp table temporary(id int)");
  }
  auto lease = pool.acquire();
  BOOST_TEST(lease->exec("show work_mem").one<std::string>() != "1234kB");
  BOOST_CHECK_THROW(lease->exec("select * from temporary"), QueryError);
  lease.release();
  end();
}

BOOST_FIXTURE_TEST_CASE(what_is_set_for_one_statement_does_not_reach_the_next_holder, Table) {
  pool.acquire()->exec_script(
      "create function tell() returns trigger language plpgsql as "
      "$$ begin perform set_config('app.tenant', '8', true); return new; end $$; "
      "create trigger tells before insert on boxed for each row execute function tell()");
  const auto tenant = [&] {
    return pool.acquire()->exec("select coalesce(current_setting('app.tenant', true), '')").one<std::string>();
  };
  Pipeline pipeline;
  pipeline.add("select set_config('app.tenant', $1, true)", "7");
  pipeline.add("select 1");
  pool.acquire()->run(pipeline);
  BOOST_TEST(tenant() == "");
  pool.acquire()->exec_script("set local app.tenant = '7'; select 1");
  BOOST_TEST(tenant() == "");
  pool.acquire()->exec("insert into boxed values (1)");
  BOOST_TEST(tenant() == "");
  BOOST_TEST(count_in(pool) == 1);
  end();
}

BOOST_FIXTURE_TEST_CASE(a_deadline_holds_within, Table) {
  auto lease = pool.acquire();
  const auto sleeps = [&](Duration span) { lease->exec_until(Clock::now() + span, "select pg_sleep(60)"); };
  BOOST_CHECK_THROW(once_sent(50ms, sleeps), QueryTimeout);
  lease.release();
  BOOST_CHECK_THROW(end(), Error);  // its connection is gone
  end();
}

BOOST_FIXTURE_TEST_CASE(what_a_read_only_transaction_may_change_is_kept, Table) {
  for (const bool by_text : {false, true}) {
    auto lease = pool.acquire();
    lease->exec_script(
        "create temp table drafts(id int primary key); "
        "create temp table parts(draft int references drafts deferrable initially deferred)");
    lease->exec("insert into boxed values (1)");
    lease->exec("insert into boxed_child values (1)");  // which is checked again and again
    const auto within = [&](const char* sql) {
      if (!by_text) {
        lease->begin(soon(), {.read_only = true});
      } else {
        lease->exec("begin read only");
      }
      lease->exec("savepoint mine");
      BOOST_CHECK_THROW(lease->exec("insert into boxed values (2)"), QueryError);
      lease->exec("rollback to mine");
      lease->exec_script(sql);
      lease->exec("commit");
    };
    within("insert into drafts values (1); insert into parts values (1); set work_mem = '5MB'");
    BOOST_TEST(lease->exec("select count(*) from parts").one<int>() == 1);
    BOOST_TEST(lease->exec("show work_mem").one<std::string>() == "5MB");
    BOOST_TEST(lease->exec("show transaction_read_only").one<std::string>() == "off");
    lease->exec("insert into boxed values (2)");
    const auto violates = [](const QueryError& error) { return error.is_foreign_key_violation(); };
    BOOST_CHECK_EXCEPTION(within("insert into parts values (7)"), QueryError, violates);
    BOOST_TEST(lease->exec("select count(*) from parts").one<int>() == 1);
    // Also one that is made so on its way.
    lease->exec("begin");
    lease->exec("set transaction read only");
    lease->exec("insert into drafts values (2)");
    lease->exec("commit");
    lease->exec("insert into boxed values (3)");
    BOOST_TEST(lease->exec("select count(*) from drafts").one<int>() == 2);
    lease->exec("begin read only");
    lease->exec("insert into drafts values (3)");
    lease->exec("rollback");
    BOOST_TEST(lease->exec("select count(*) from drafts").one<int>() == 2);
    lease->exec("set constraints all immediate");  // no table can be dropped for which something is deferred
    lease.release();
    end();
  }
}

BOOST_AUTO_TEST_CASE(a_sandbox_that_is_idle_is_not_ended_by_the_server) {
  server().ask(
      "drop role if exists hasty; create role hasty login; alter role hasty set idle_in_transaction_session_timeout = "
      "'1h'");
  Sandbox sandbox{server().conninfo("hasty"), {.pool_timeout = 1min}};
  const auto timeout = [&](Connection& connection) {
    return connection.exec("show idle_in_transaction_session_timeout").one<std::string>();
  };
  auto lease = sandbox.acquire();
  BOOST_TEST(timeout(*lease) == "0");
  lease->exec("set idle_in_transaction_session_timeout = '2h'");
  BOOST_TEST(timeout(*lease) == "0");
  BOOST_CHECK_THROW(lease->exec("select 1/0"), QueryError);
  BOOST_TEST(timeout(*lease) == "0");
  {
    lease.release();
    Session session{sandbox, {.set_local = {{"idle_in_transaction_session_timeout", "3h"}}}};
    BOOST_TEST(timeout(session.connection()) == "3h");
    session.commit();
  }  // it is put in order
  lease = sandbox.acquire();
  // Before this statement nothing else is sent.
  const auto is_off = [&] {
    PGresult* const shown = PQexec(lease->native(), "show idle_in_transaction_session_timeout");
    const bool off = std::string_view{PQgetvalue(shown, 0, 0)} == "0";
    PQclear(shown);
    return off;
  };
  BOOST_TEST(is_off());
  for (const char* end : {"commit", "rollback"}) {
    lease->begin(soon(), {.set_local = {{"idle_in_transaction_session_timeout", "3h"}}});
    BOOST_TEST(!is_off());
    lease->exec(end);
    BOOST_TEST(is_off());
  }
  lease.release();
  sandbox.rollback();
}

BOOST_AUTO_TEST_CASE(what_begins_and_ends_transactions_is_told_by_the_text) {
  using postgres::detail::control_of;
  using Kind = postgres::detail::TransactionControl::Kind;
  const auto kind = [](std::string_view sql) { return control_of(sql).kind; };
  BOOST_TEST((kind(";; /* x */ Begin;") == Kind::begin));
  BOOST_TEST((kind("start transaction read only") == Kind::begin && control_of("begin read only").read_only));
  BOOST_TEST((kind("start x") == Kind::none));
  BOOST_TEST((kind("commit and no chain") == Kind::commit));
  BOOST_TEST((kind("commit and chain") == Kind::mixed));
  BOOST_TEST((kind("commit prepared 'x'") == Kind::none));
  BOOST_TEST((kind("rollback to x") == Kind::none));
  BOOST_TEST((kind("rollback work to savepoint x") == Kind::none));
  BOOST_TEST((kind("rollback") == Kind::rollback));
  BOOST_TEST((kind("discard all;") == Kind::discard));
  BOOST_TEST((kind("select 'commit; commit'") == Kind::none));
  BOOST_TEST((kind("select 1; end") == Kind::mixed));
  BOOST_TEST((kind("create rule r as on insert to t do (select 1; commit)") == Kind::none));
  const auto behind = [&](std::string function) { return kind(function + "; commit"); };
  for (const char* function :
       {"create function f() returns int begin atomic select case when true then 1 end; end",
        "Create Or Replace Procedure f() language sql Begin /* x */ Atomic End",
        "create function f(a int) returns int begin atomic; select t.end from t; select 1 as case; select 2 end; end",
        "create procedure f() begin atomic insert into t(a) select (case when a then 1 end) from t; end;"}) {
    BOOST_TEST((kind(function) == Kind::none), function);
    BOOST_TEST((behind(function) == Kind::mixed), function);
  }
  BOOST_TEST((behind("create function f() returns int return 1") == Kind::mixed));
  BOOST_TEST((behind("create view v as select begin atomic from t") == Kind::mixed));
  BOOST_TEST((kind("create function f() returns int begin atomic select 1 as case; select 2") == Kind::mixed));
  BOOST_TEST((kind("") == Kind::none));
  BOOST_TEST((kind("SAVEPOINT lido_begun; SET LOCAL \"x\" TO '***'") == Kind::begin));
  BOOST_TEST(control_of("SAVEPOINT lido_begun; SET TRANSACTION READ ONLY").read_only);
}

BOOST_AUTO_TEST_CASE(a_commit_behind_the_body_of_a_function_may_have_committed) {
  postgres::detail::HeldTransaction held;
  held.hold();
  held.note_unanswered("create function f() returns int language sql begin atomic select 1; end");
  BOOST_TEST(!held.may_be_committed());
  held.note_unanswered("create function f() returns int language sql begin atomic select 1; end; commit");
  BOOST_TEST(held.may_be_committed());
}

BOOST_AUTO_TEST_SUITE_END()
