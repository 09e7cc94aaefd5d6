#include <atomic>
#include <barrier>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>
#include <postgres/server.hpp>
#include <support/fault_proxy.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

namespace {

struct Accounts {
  Accounts() {
    server().ask(
        "drop table if exists accounts; create table accounts(id int primary key, balance int); "
        "insert into accounts values (1, 100), (2, 100)");
  }
  ~Accounts() { BOOST_TEST(pool.statistics().now.leased == 0U); }
  static int balance(int id) {
    return std::stoi(server().ask("select balance from accounts where id = " + std::to_string(id)));
  }

  postgres::Pool pool{server().conninfo(), {.pool_size = 4, .max_overflow = 0, .pool_timeout = 1min}};
};

// Fails as the server would.
void raise(Session& session, const std::string& sqlstate) {
  session.connection().exec_script("do $$ begin raise exception 'made up' using errcode = '" + sqlstate + "'; end $$");
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(transaction, Accounts)

BOOST_AUTO_TEST_CASE(commits_when_the_body_returns_and_hands_on_its_value) {
  const int balance = transact(pool, [](Session& session) {
    return session.exec("update accounts set balance = 70 where id = 1 returning balance")[0][0].as<int>();
  });
  BOOST_TEST(balance == 70);
  BOOST_TEST(Accounts::balance(1) == 70);
  transact(pool, [](Session& session) { session.exec("update accounts set balance = $1", 60); });
  BOOST_TEST(Accounts::balance(2) == 60);
  static_assert(std::is_void_v<decltype(transact(pool, [](Session&) {}))>);
}

BOOST_AUTO_TEST_CASE(rolls_back_when_the_body_throws) {
  BOOST_CHECK_THROW(transact(pool,
                             [](Session& session) {
                               session.exec("update accounts set balance = 0");
                               throw std::runtime_error{"no"};
                             }),
                    std::runtime_error);
  BOOST_TEST(balance(1) == 100);
}

BOOST_AUTO_TEST_CASE(leaves_a_session_alone_that_the_body_ended) {
  transact(pool, [](Session& session) {
    session.exec("update accounts set balance = 0");
    session.rollback();
  });
  BOOST_TEST(balance(1) == 100);
  transact(pool, [](Session& session) {
    session.exec("update accounts set balance = 1");
    session.commit();
  });
  BOOST_TEST(balance(1) == 1);
}

BOOST_AUTO_TEST_CASE(tries_a_real_serialization_failure_again) {
  std::atomic<int> calls = 0;
  std::barrier both{2};
  const auto add = [&] {
    bool first = true;
    transact(pool,
             [&](Session& session) {
               ++calls;
               const int now = session.exec("select balance from accounts where id = 1").one<int>();
               if (std::exchange(first, false)) both.arrive_and_wait();  // both have read before one of them writes
               session.exec("update accounts set balance = $1 where id = 1", now + 1);
             },
             {.transaction = {.isolation = Isolation::serializable}, .attempts = 20});
  };
  {
    const std::jthread other{add};
    add();
  }
  BOOST_TEST(balance(1) == 102);
  BOOST_TEST(calls >= 3);
}

BOOST_AUTO_TEST_CASE(tries_a_real_deadlock_again) {
  std::atomic<int> calls = 0;
  std::barrier both{2};
  const auto move = [&](int from, int to) {
    bool first = true;
    transact(pool, [&](Session& session) {
      ++calls;
      session.exec("update accounts set balance = balance - 1 where id = $1", from);
      if (std::exchange(first, false)) both.arrive_and_wait();
      session.exec("update accounts set balance = balance + 1 where id = $1", to);
    });
  };
  {
    const std::jthread other{move, 1, 2};
    move(2, 1);
  }
  BOOST_TEST(balance(1) == 100);
  BOOST_TEST(balance(2) == 100);
  BOOST_TEST(calls >= 3);
}

BOOST_AUTO_TEST_CASE(gives_up_after_the_attempts_it_was_given) {
  int calls = 0;
  const auto error = caught<QueryError>([&] {
    transact(pool,
             [&](Session& session) {
               ++calls;
               raise(session, "40001");
             },
             {.attempts = 3, .pause = 1ms});
  });
  BOOST_TEST(calls == 3);
  BOOST_TEST(error.sqlstate() == "40001");
  BOOST_CHECK_THROW(transact(pool, [](Session&) {}, {.attempts = 0}), InvalidOption);
}

BOOST_AUTO_TEST_CASE(tries_no_other_error_again) {
  int calls = 0;
  const auto fails = [&](const char* sqlstate) {
    calls = 0;
    BOOST_CHECK_THROW(transact(pool,
                               [&](Session& session) {
                                 ++calls;
                                 raise(session, sqlstate);
                               }),
                      QueryError);
    return calls;
  };
  BOOST_TEST(fails("23505") == 1);
  BOOST_TEST(fails("57014") == 1);
  calls = 0;
  BOOST_CHECK_THROW(transact(pool,
                             [&](Session& session) {
                               ++calls;
                               terminate(session.connection());
                             }),
                    ConnectionLost);
  BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(never_tries_an_unknown_commit_again) {
  server().ask(
      "create or replace function die() returns trigger language plpgsql as "
      "$$ begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(60); return null; end $$; "
      "create constraint trigger die after update on accounts deferrable initially deferred for each row "
      "execute function die()");
  int calls = 0;
  BOOST_CHECK_THROW(transact(pool,
                             [&](Session& session) {
                               ++calls;
                               session.exec("update accounts set balance = 5 where id = 1");
                             }),
                    CommitUnknown);
  BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(holds_no_connection_while_it_pauses) {
  postgres::Pool one{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .pool_timeout = 1min}};
  int calls = 0;
  transact(one,
           [&](Session& session) {
             if (++calls < 5) raise(session, "40P01");
           },
           {.attempts = 5, .pause = 1ms});
  BOOST_TEST(calls == 5);
  BOOST_TEST(one.statistics().acquired == 5U);
  BOOST_TEST(one.statistics().opened == 1U);
}

BOOST_AUTO_TEST_CASE(begins_no_attempt_past_its_deadline) {
  int calls = 0;
  static_cast<void>(pool.acquire(1min));  // opened
  const auto start = Clock::now();
  // The last refusal, or, if the time runs out in an attempt, what that says.
  BOOST_CHECK_EXCEPTION(transact(pool,
                                 [&](Session& session) {
                                   ++calls;
                                   raise(session, "40001");
                                 },
                                 {.attempts = 1'000'000, .pause = 20ms, .longest_pause = 20ms, .timeout = 2s}),
                        Error, [](const Error& error) {
                          return error.sqlstate() == "40001" || dynamic_cast<const QueryTimeout*>(&error) != nullptr;
                        });
  BOOST_TEST(calls > 1);
  BOOST_TEST((Clock::now() - start < 1min));  // so many attempts take hours
  // Nor does it pause for longer than there is time.
  calls = 0;
  static_cast<void>(pool.acquire(1min));  // the last attempt may have cost its connection
  BOOST_CHECK_THROW(transact(pool,
                             [&](Session& session) {
                               ++calls;
                               postgres::detail::pause_until(Clock::now() + 2010ms);
                               raise(session, "40001");
                             },
                             {.attempts = 9, .pause = 1h, .longest_pause = 1h, .timeout = 2s}),
                    QueryError);
  BOOST_TEST(calls == 1);
  BOOST_CHECK_THROW(transact(pool, [](Session&) {}, {.timeout = -1ms}), InvalidOption);
}

BOOST_AUTO_TEST_CASE(cuts_acquiring_statements_and_commit_to_its_deadline) {
  const auto start = Clock::now();
  postgres::Pool one{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .pool_timeout = 1h}};
  const auto held = one.acquire();
  BOOST_CHECK_THROW(transact(one, [](Session&) {}, {.timeout = 20ms}), AcquireTimeout);
  static_cast<void>(pool.acquire(1min));  // opened
  BOOST_CHECK_THROW(transact(pool, [](Session& session) { session.exec("select pg_sleep(600)"); }, {.timeout = 100ms}),
                    QueryTimeout);
  static_cast<void>(pool.acquire(1min));  // and again
  BOOST_CHECK_THROW(transact(pool,
                             [&](Session& session) {
                               session.exec("update accounts set balance = 0");
                               postgres::detail::pause_until(Clock::now() + 1010ms);
                             },
                             {.timeout = 1s}),
                    QueryTimeout);
  BOOST_TEST(balance(1) == 100);
  BOOST_TEST((Clock::now() - start < 1min));  // and not as long as it sleeps
}

BOOST_AUTO_TEST_CASE(a_stop_ends_a_pause_and_a_statement) {
  std::stop_source stop;
  const auto start = Clock::now();
  BOOST_CHECK_THROW(transact(pool,
                             [&](Session& session) {
                               stop.request_stop();
                               raise(session, "40001");
                             },
                             {.transaction = {.until = Until{stop.get_token()}}, .pause = 1h, .longest_pause = 1h}),
                    AcquireCancelled);
  BOOST_CHECK_THROW(transact(pool, [](Session&) {}, {.transaction = {.until = Until{stop.get_token()}}}),
                    AcquireCancelled);
  BOOST_TEST((Clock::now() - start < 1min));  // and not as long as it pauses
}

BOOST_AUTO_TEST_CASE(tries_a_lost_connection_again_only_if_asked) {
  int calls = 0;
  transact(pool,
           [&](Session& session) {
             session.exec("update accounts set balance = balance - 1 where id = 1");
             if (++calls < 3) terminate(session.connection());
           },
           {.pause = 1ms, .retry_lost = true});
  BOOST_TEST(calls == 3);
  BOOST_TEST(balance(1) == 99);
}

BOOST_AUTO_TEST_CASE(never_tries_again_what_the_body_has_committed_itself) {
  int calls = 0;
  const auto body = [&](Session& session) {
    ++calls;
    session.exec("update accounts set balance = balance - 1 where id = 1");
    session.commit();
    Session other{pool};
    raise(other, "40001");
  };
  BOOST_CHECK_THROW(transact(pool, body), QueryError);
  BOOST_TEST(calls == 1);
  BOOST_TEST(balance(1) == 99);
}

BOOST_AUTO_TEST_CASE(never_tries_again_what_the_body_may_have_committed_unseen) {
  Pipeline pipeline;
  pipeline.add("select 1");
  pipeline.add("commit");
  const std::function<void(Session&)> commits[] = {
      [](Session& session) { session.connection().exec_script("commit"); },
      [](Session& session) { session.exec("end"); },
      [](Session& session) { session.connection().exec_script("select 1; commit and chain"); },
      [&](Session& session) { static_cast<void>(session.run(pipeline)); },
  };
  for (const auto& commit : commits) {
    FaultProxy proxy{server().socket()};
    postgres::Pool through{proxy.conninfo("postgres"), {.pool_size = 1, .max_overflow = 0}};
    int calls = 0;
    const auto body = [&](Session& session) {
      ++calls;
      session.exec("update accounts set balance = balance - 1 where id = 1");
      proxy.cut_after(1);  // the COMMIT has arrived, or a part of it: who sent it cannot tell
      try {
        commit(session);
      } catch (...) {
        proxy.pass();
        throw;
      }
    };
    BOOST_CHECK_THROW(transact(through, body, {.attempts = 3, .pause = 1ms, .retry_lost = true}), ConnectionLost);
    BOOST_TEST(calls == 1);
  }
}

BOOST_AUTO_TEST_CASE(never_tries_again_what_the_body_may_have_committed_where_it_has_ended_the_session_too) {
  struct Ending {
    const char* thrown;
    std::function<void(Session&)> by;
  };
  const Ending endings[] = {
      {"ConnectionLost",
       [](Session& session) {
         try {
           session.commit();
         } catch (const CommitUnknown&) {  // and asking what became of it fails
           throw ConnectionLost{"the server is away"};
         }
       }},
      {"40001",
       [&](Session& session) {
         BOOST_CHECK_THROW(session.commit(), CommitUnknown);
         Session other{pool};
         raise(other, "40001");
       }},
      {"ConnectionLost",
       [](Session& session) {
         try {
           session.exec("commit");
         } catch (...) {
           session.rollback();
           throw;
         }
       }},
      {"CommitUnknown", [](Session& session) { BOOST_CHECK_THROW(session.exec("commit"), ConnectionLost); }},
  };
  for (const Ending& ending : endings) {
    FaultProxy proxy{server().socket()};
    postgres::Pool through{proxy.conninfo("postgres"), {.pool_size = 1, .max_overflow = 0}};
    int calls = 0;
    const auto body = [&](Session& session) {
      ++calls;
      session.exec("update accounts set balance = balance - 1 where id = 1");
      proxy.cut_after(1);  // the COMMIT has arrived, or a part of it
      try {
        ending.by(session);
      } catch (...) {
        proxy.pass();
        throw;
      }
      proxy.pass();
    };
    std::string thrown;
    try {
      transact(through, body, {.transaction = {.track_commit = true}, .attempts = 3, .pause = 1ms, .retry_lost = true});
    } catch (const CommitUnknown& error) {
      thrown = error.transaction_id() ? "CommitUnknown" : "CommitUnknown without an id";
    } catch (const ConnectionLost&) {
      thrown = "ConnectionLost";
    } catch (const QueryError& error) {
      thrown = error.sqlstate();
    }
    BOOST_TEST(thrown == ending.thrown);
    BOOST_TEST(calls == 1);
  }
}

BOOST_AUTO_TEST_CASE(never_tries_again_what_a_statement_has_ended_before_the_session_ended) {
  for (const char* end : {"commit", "rollback"}) {
    int calls = 0;
    const auto body = [&](Session& session) {
      ++calls;
      session.exec("update accounts set balance = balance - 1 where id = 1");
      session.exec(end);
      session.rollback();
      Session other{pool};
      raise(other, "40001");
    };
    BOOST_TEST(caught<QueryError>([&] { transact(pool, body, {.attempts = 3, .pause = 1ms}); }).sqlstate() == "40001");
    BOOST_TEST(calls == 1);
  }
  BOOST_TEST(balance(1) == 99);
  int calls = 0;
  const auto lost = [&](Session& session) {
    ++calls;
    session.exec("update accounts set balance = balance - 1 where id = 1");
    session.exec("commit");
    terminate(session.connection());
  };
  const auto error =
      caught<ConnectionLost>([&] { transact(pool, lost, {.attempts = 3, .pause = 1ms, .retry_lost = true}); });
  BOOST_TEST(std::string_view{error.what()}.find("a statement had committed") != std::string_view::npos);
  BOOST_TEST(calls == 1);
  BOOST_TEST(balance(1) == 98);
}

BOOST_AUTO_TEST_CASE(never_tries_again_what_a_statement_has_prepared_before_the_connection_was_lost) {
  for (const bool leaves : {false, true}) {
    int calls = 0;
    const auto prepares = [&](Session& session) {
      if (++calls > 1) return;  // what is prepared has its locks
      session.exec("update accounts set balance = balance - 1 where id = 1");
      session.exec("prepare transaction 'half'");
      terminate(session.connection());
      if (leaves) throw ConnectionLost{"and so said another one"};
    };
    std::string said;
    try {
      transact(pool, prepares, {.attempts = 2, .pause = 1ms, .retry_lost = true});
    } catch (const ConnectionLost& error) {
      said = error.what();
    }
    server().ask("rollback prepared 'half'");
    BOOST_TEST(calls == 1);
    BOOST_TEST(said.find(leaves ? "and so said another one" : "had prepared the transaction") != std::string::npos,
               said);
  }
  BOOST_TEST(balance(1) == 100);
}

BOOST_AUTO_TEST_CASE(tries_again_where_the_body_has_rolled_back_itself) {
  int calls = 0;
  transact(pool,
           [&](Session& session) {
             session.exec("update accounts set balance = 0");
             session.rollback();
             Session other{pool};
             if (++calls < 3) raise(other, "40001");
           },
           {.attempts = 3, .pause = 1ms});
  BOOST_TEST(calls == 3);
}

BOOST_AUTO_TEST_CASE(what_follows_a_rollback_by_sql_does_not_stay) {
  const auto body = [](Session& session) {
    session.exec("rollback");
    session.exec("update accounts set balance = 0");
  };
  BOOST_TEST(caught<QueryError>([&] { transact(pool, body); }).sqlstate() == "25P01");
  BOOST_TEST(balance(1) == 100);
}

BOOST_AUTO_TEST_CASE(never_tries_again_where_another_transaction_has_begun_after_a_commit) {
  for (const char* commit : {"commit and chain", "end; begin"}) {
    int calls = 0;
    const auto body = [&](Session& session) {
      ++calls;
      session.connection().exec_script(commit);
      raise(session, "40001");
    };
    BOOST_TEST(caught<QueryError>([&] { transact(pool, body, {.attempts = 3, .pause = 1ms}); }).sqlstate() == "40001");
    BOOST_TEST(calls == 1);
  }
}

BOOST_AUTO_TEST_CASE(never_tries_again_what_a_statement_of_the_body_has_committed) {
  int calls = 0;
  const auto body = [&](Session& session) {
    ++calls;
    session.exec("update accounts set balance = balance - 1 where id = 1");
    session.exec("commit");
    Session other{pool};
    raise(other, "40001");
  };
  BOOST_TEST(caught<QueryError>([&] { transact(pool, body, {.attempts = 3, .pause = 1ms}); }).sqlstate() == "40001");
  BOOST_TEST(calls == 1);
  BOOST_TEST(balance(1) == 99);
}

BOOST_AUTO_TEST_SUITE_END()
