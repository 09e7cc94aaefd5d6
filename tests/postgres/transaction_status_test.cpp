#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>
#include <lido/postgres/transaction_status.hpp>
#include <postgres/server.hpp>
#include <support/fault_proxy.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t commit_message = 12;  // its type, its length, and `COMMIT` with the zero behind it

struct Tracked {
  Tracked() { server().ask("drop table if exists marks; create table marks(id int primary key)"); }

  // Commits through a proxy that lets so many bytes pass and then resets the connection.
  CommitUnknown commit_cut_after(std::size_t bytes, bool track = true) {
    FaultProxy proxy{server().socket()};
    postgres::Pool remote{proxy.conninfo("postgres"), {.pool_size = 1, .max_overflow = 0, .pool_timeout = 1min}};
    Session session{remote, {.track_commit = track}};
    session.exec("insert into marks values (1)");
    proxy.cut_after(bytes);
    return caught<CommitUnknown>([&] { session.commit(); });
  }
  static int marks() { return std::stoi(server().ask("select count(*) from marks")); }

  postgres::Pool pool{server().conninfo(), {.pool_size = 2, .pool_timeout = 1min}};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(transaction_status_, Tracked)

BOOST_AUTO_TEST_CASE(tells_a_commit_that_arrived_from_one_that_did_not) {
  const CommitUnknown arrived = commit_cut_after(commit_message);
  BOOST_TEST(transaction_status(pool, arrived, 1min) == TransactionStatus::committed);
  BOOST_TEST(marks() == 1);
  server().ask("truncate marks");
  const CommitUnknown torn = commit_cut_after(commit_message - 1);
  BOOST_TEST(transaction_status(pool, torn, 1min) == TransactionStatus::aborted);
  BOOST_TEST(marks() == 0);
  BOOST_TEST((arrived.transaction_id() != torn.transaction_id()));
}

BOOST_AUTO_TEST_CASE(is_asked_for_a_transaction_as_a_function) {
  for (const std::size_t bytes : {commit_message, commit_message - 1}) {
    server().ask("truncate marks");
    FaultProxy proxy{server().socket()};
    postgres::Pool remote{proxy.conninfo("postgres"), {.pool_size = 1, .max_overflow = 0, .pool_timeout = 1min}};
    const auto pay = [&](Session& session) {
      session.exec("insert into marks values (1)");
      proxy.cut_after(bytes);
    };
    bool paid = false;
    const auto try_to_pay = [&] {
      // [unknown_commit]
      try {
        transact(remote, pay, {.transaction = {.track_commit = true}, .timeout = 10s});
        paid = true;
      } catch (const CommitUnknown& error) {  // sent and not answered: nobody but the server knows
        paid = transaction_status(pool, error, 30s) == TransactionStatus::committed;
      }
      // [/unknown_commit]
    };
    try_to_pay();
    BOOST_TEST(paid == (marks() == 1));
    BOOST_TEST(paid == (bytes == commit_message));
  }
}

BOOST_AUTO_TEST_CASE(is_unknown_without_an_id) {
  const CommitUnknown error = commit_cut_after(commit_message, false);
  BOOST_TEST(!error.transaction_id().has_value());
  BOOST_TEST(transaction_status(pool, error, 1min) == TransactionStatus::unknown);
  const CommitUnknown elsewhere{
      "", {}, TransactionId{.number = std::int64_t{1} << 40, .assigned = std::int64_t{1} << 60}};
  BOOST_TEST(transaction_status(pool, elsewhere) == TransactionStatus::unknown);
}

BOOST_AUTO_TEST_CASE(waits_for_one_in_progress_as_long_as_it_is_told) {
  // COMMIT waits for a lock in a deferred trigger.
  server().ask(
      "create or replace function wait() returns trigger language plpgsql as "
      "$$ begin perform pg_advisory_xact_lock(77); return null; end $$; "
      "create constraint trigger wait after insert on marks deferrable initially deferred for each row "
      "execute function wait()");
  auto holder = pool.acquire();
  holder->exec("select pg_advisory_lock(77)");
  const CommitUnknown error = commit_cut_after(commit_message);
  BOOST_TEST(transaction_status(pool, error) == TransactionStatus::in_progress);
  BOOST_TEST(transaction_status(pool, error, 50ms) == TransactionStatus::in_progress);
  holder.release();  // unlocks
  BOOST_TEST(transaction_status(pool, error, 1min) == TransactionStatus::committed);
}

BOOST_AUTO_TEST_CASE(is_not_deceived_by_an_id_that_a_crash_has_given_to_another) {
  std::optional<TransactionId> lost, kept;
  {
    Session session{pool, {.track_commit = true}};
    session.exec("insert into marks values (1)");
    kept = session.transaction_id();
    session.commit();
    BOOST_TEST((session.transaction_id() == kept));
    Session unwritten{pool, {.track_commit = true}};
    lost = unwritten.transaction_id();
    server().restart(PostgresServer::Mode::immediate);
  }
  BOOST_TEST(transaction_status(pool, CommitUnknown{"", {}, lost}) == TransactionStatus::aborted);
  while (std::stoll(server().ask("select txid_current()")) < lost->number) {
  }
  BOOST_TEST(server().ask("select txid_status(" + std::to_string(lost->number) + ")") == "committed");
  BOOST_TEST(transaction_status(pool, CommitUnknown{"", {}, lost}) == TransactionStatus::aborted);
  BOOST_TEST(transaction_status(pool, CommitUnknown{"", {}, kept}) == TransactionStatus::committed);
}

BOOST_AUTO_TEST_CASE(a_checkpoint_or_a_stop_in_good_order_changes_nothing) {
  std::optional<TransactionId> committed, undone;
  {
    Session session{pool, {.track_commit = true}};
    session.exec("insert into marks values (1)");
    committed = session.transaction_id();
    session.commit();
    const Session forgotten{pool, {.track_commit = true}};
    undone = forgotten.transaction_id();
  }
  for (const bool restarted : {false, true}) {
    if (restarted) server().restart();
    server().ask("checkpoint");
    BOOST_TEST(transaction_status(pool, CommitUnknown{"", {}, committed}) == TransactionStatus::committed);
    BOOST_TEST(transaction_status(pool, CommitUnknown{"", {}, undone}) == TransactionStatus::aborted);
  }
}

BOOST_AUTO_TEST_CASE(takes_no_promotion_for_a_recovery_that_ended_with_a_checkpoint) {
  PostgresServer promoted;
  postgres::Pool there{promoted.conninfo(), {.pool_size = 1, .max_overflow = 0, .pool_timeout = 1min}};
  promoted.ask("create table marks(id int, padding text)");
  promoted.ask("checkpoint");
  std::optional<TransactionId> committed, undone, lost;
  {
    Session forgotten{there, {.track_commit = true}};
    forgotten.exec("insert into marks values (2)");
    undone = forgotten.transaction_id();
    forgotten.rollback();
    Session session{there, {.track_commit = true}};
    // Many pages, so that the checkpoint of the promotion is not done at once.
    session.exec("insert into marks select i, repeat('x', 1000) from generate_series(1, 10000) i");
    committed = session.transaction_id();
    session.commit();
    const Session unwritten{there, {.track_commit = true}};
    lost = unwritten.transaction_id();
    promoted.stop(PostgresServer::Mode::immediate);
  }
  promoted.start_as_standby();
  promoted.promote();
  BOOST_TEST(promoted.ask("select count(*) from marks") == "10000");
  const auto status = [&](const std::optional<TransactionId>& id) {
    return transaction_status(there, CommitUnknown{"", {}, id});
  };
  BOOST_TEST(status(committed) == TransactionStatus::unknown);
  BOOST_TEST(status(undone) == TransactionStatus::aborted);
  while (std::stoll(promoted.ask("select txid_current()")) < lost->number) {
  }
  BOOST_TEST(promoted.ask("select txid_status(" + std::to_string(lost->number) + ")") == "committed");
  BOOST_TEST(status(lost) == TransactionStatus::unknown);
  // What the promoted server has begun itself it knows.
  Session session{there, {.track_commit = true}};
  session.commit();
  BOOST_TEST(status(session.transaction_id()) == TransactionStatus::committed);
  promoted.ask("checkpoint");
  BOOST_TEST(status(committed) == TransactionStatus::committed);
  BOOST_TEST(status(undone) == TransactionStatus::aborted);
}

BOOST_AUTO_TEST_SUITE_END()
