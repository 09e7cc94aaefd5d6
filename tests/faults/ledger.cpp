// Money that 16 threads move while their server is killed and their connections are cut again and again: nothing is
// lost, nothing is done twice, and no answer reaches the wrong caller.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <mutex>
#include <random>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <faults/load.hpp>
#include <faults/scenario.hpp>
#include <faults/servers.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>
#include <lido/postgres/transaction_status.hpp>
#include <support/fault_proxy.hpp>

using namespace lido;
using lido::postgres::CommitUnknown;
using lido::postgres::Connection;
using lido::postgres::Session;
using lido::postgres::transaction_status;
using lido::postgres::TransactionStatus;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(ledger)

namespace {

constexpr int thread_count = 16;
constexpr int accounts = 20;
constexpr int opening_balance = 1000;
constexpr std::size_t kills = 20;
constexpr std::uint64_t answers_wanted = 1'000'000;

// What a transfer's caller knows of it.
enum class Outcome : unsigned char { committed, refused, told_committed, told_aborted, unresolved };

struct Account {
  std::unordered_map<std::int64_t, Outcome> transfers{};  // by their ids, each used once
  std::uint64_t answers = 0;                              // with the nonce that was sent
  std::uint64_t mistaken = 0;                             // with another one
  std::uint64_t retries = 0;
  std::map<std::string, std::uint64_t> errors{};
};

class Ledger {
 public:
  Ledger() {
    server().ask(
        "drop table if exists transfers, balances; "
        "create table balances(id int primary key, balance int not null); "
        "create table transfers(id bigint, source int, target int, amount int); "  // what is done twice is to be seen
        "insert into balances select id, " +
        std::to_string(opening_balance) + " from generate_series(1, " + std::to_string(accounts) +
        ") as id; grant all on balances, transfers to app");
  }

  // Works until enough has happened, for a quarter of an hour at most.
  void run() {
    std::vector<std::jthread> workers;
    for (int i = 0; i < thread_count; ++i)
      workers.emplace_back([this, i](const std::stop_token& stop) { work(i, stop); });
    std::mt19937 random{seed_};
    const TimePoint limit = Clock::now() + 900s;
    while (Clock::now() < limit && (killed_ < kills || answers_ < answers_wanted)) {
      const std::uint64_t before = commits_;
      // Each crash hits a server at work.
      static_cast<void>(eventually(5s, [&] { return commits_ > before + 100; }));
      for (int i = 0; i < 3; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds{random() % 60});
        terminate_one();
        std::this_thread::sleep_for(std::chrono::milliseconds{random() % 20});
        ++cuts_;
        proxy_.cut();  // what has reached the server is done, and its answer is lost
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{random() % 100});
      if (killed_ < kills + 10) {
        server().restart(PostgresServer::Mode::immediate);
        ++killed_;
      }
    }
    for (std::jthread& each : workers) each.request_stop();
    workers.clear();
  }

  void check() {
    std::map<Outcome, std::uint64_t> outcomes;
    const std::map<std::int64_t, int> rows = committed_rows();
    std::uint64_t lost = 0, doubled = 0, ghosts = 0, mistold = 0, known = 0;
    for (const auto& [id, outcome] : total_.transfers) {
      ++outcomes[outcome];
      const auto found = rows.find(id);
      const int times = found == rows.end() ? 0 : found->second;
      known += times > 0 ? 1 : 0;
      if (times > 1) ++doubled;
      if (outcome == Outcome::committed && times == 0) ++lost;
      if (outcome == Outcome::refused && times > 0) ++ghosts;
      if ((outcome == Outcome::told_committed && times == 0) || (outcome == Outcome::told_aborted && times > 0))
        ++mistold;
    }
    const std::string sum = server().ask("select sum(balance) from balances");
    const std::string wrong =
        server().ask("select count(*) from balances as b where balance <> " + std::to_string(opening_balance) +
                     " + coalesce((select sum(amount) from transfers where target = b.id), 0)"
                     " - coalesce((select sum(amount) from transfers where source = b.id), 0)");
    std::cout << "| ledger: " << thread_count << " threads, " << killed_ << " crashes, " << terminated_
              << " sessions terminated, all cut off " << cuts_ << " times, " << seconds() << " s\n"
              << "| transfers: " << outcomes[Outcome::committed] << " acknowledged, " << lost << " of them lost, "
              << doubled << " doubled; " << outcomes[Outcome::refused] << " refused, " << ghosts << " of them there; "
              << total_.retries << " attempts repeated\n"
              << "| commits unknown: " << outcomes[Outcome::told_committed] << " found committed, "
              << outcomes[Outcome::told_aborted] << " aborted, " << outcomes[Outcome::unresolved] << " unresolved, "
              << mistold << " told wrongly\n"
              << "| balances: sum " << sum << " of " << accounts * opening_balance << ", " << wrong
              << " not what the transfers say\n"
              << "| nonces: " << total_.answers << " answers, " << total_.mistaken << " of them to another caller\n|";
    for (const auto& [kind, count] : total_.errors) std::cout << ' ' << count << ' ' << kind << ';';
    std::cout << '\n';

    BOOST_TEST(killed_ >= kills);
    BOOST_TEST(terminated_ >= kills);
    BOOST_TEST(outcomes[Outcome::committed] > 0U);
    BOOST_TEST(outcomes[Outcome::told_committed] > 0U);
    BOOST_TEST(outcomes[Outcome::told_aborted] > 0U);
    BOOST_TEST(outcomes[Outcome::unresolved] == 0U);
    BOOST_TEST(lost == 0U);
    BOOST_TEST(doubled == 0U);
    BOOST_TEST(ghosts == 0U);
    BOOST_TEST(mistold == 0U);
    BOOST_TEST(known == rows.size());  // no transfer that nobody made
    BOOST_TEST(sum == std::to_string(accounts * opening_balance));
    BOOST_TEST(wrong == "0");
    BOOST_TEST(total_.answers >= answers_wanted);
    BOOST_TEST(total_.mistaken == 0U);
    for (postgres::Pool* const each : {&pool_, &direct_}) {
      const Statistics figures = each->statistics();
      BOOST_TEST(figures.now.leased == 0U);
      BOOST_TEST(figures.acquired == figures.released);
      BOOST_TEST(each->close(60s).complete);
    }
    BOOST_TEST(eventually(60s, [] { return backends() == 0; }));
  }

 private:
  void work(int number, const std::stop_token& stop) {
    Account mine;
    std::mt19937_64 random{seed_ + static_cast<unsigned>(number)};
    std::int64_t id = std::int64_t{number} << 40;
    while (!stop.stop_requested()) {
      transfer(++id, random, mine);
      ask(random, mine);
    }
    const std::scoped_lock lock{mutex_};
    total_.transfers.merge(mine.transfers);
    total_.answers += mine.answers;
    total_.mistaken += mine.mistaken;
    total_.retries += mine.retries;
    for (const auto& [kind, count] : mine.errors) total_.errors[kind] += count;
  }

  void transfer(std::int64_t id, std::mt19937_64& random, Account& mine) {
    const int source = static_cast<int>(random() % accounts) + 1;
    const int target = (source + static_cast<int>(random() % (accounts - 1))) % accounts + 1;
    const int amount = static_cast<int>(random() % 10) + 1;
    int attempts = 0;
    Outcome& outcome = mine.transfers[id];
    try {
      transact(
          pool_,
          [&](Session& session) {
            ++attempts;
            // In no order, so that there are deadlocks.
            session.exec("update balances set balance = balance - $2 where id = $1", source, amount);
            session.exec("update balances set balance = balance + $2 where id = $1", target, amount);
            session.exec("insert into transfers values ($1, $2, $3, $4)", id, source, target, amount);
          },
          {.transaction = {.track_commit = true}, .attempts = 20, .timeout = 10s, .retry_lost = random() % 2 == 0});
      outcome = Outcome::committed;
      ++commits_;
    } catch (const CommitUnknown& error) {
      ++mine.errors["commit unknown"];
      outcome = resolve(error);
    } catch (const std::exception& error) {
      ++mine.errors[kind_of(error)];
      outcome = Outcome::refused;
    }
    mine.retries += static_cast<std::uint64_t>(std::max(attempts - 1, 0));
  }

  // Asks until the server answers; it may be down, or killed while it answers.
  Outcome resolve(const CommitUnknown& error) {
    for (int i = 0; i < 100; ++i) {
      try {
        switch (transaction_status(pool_, error, 60s)) {
          case TransactionStatus::committed:
            return Outcome::told_committed;
          case TransactionStatus::aborted:
            return Outcome::told_aborted;
          default:
            return Outcome::unresolved;
        }
      } catch (const std::exception&) {
        std::this_thread::sleep_for(10ms);
      }
    }
    return Outcome::unresolved;
  }

  // A few questions one by one, and many in a pipeline, each with a number of its own.
  void ask(std::mt19937_64& random, Account& mine) {
    try {
      auto lease = pool_.acquire();
      for (int i = 0; i < 10; ++i) {
        const auto nonce = static_cast<std::int64_t>(random() >> 1);
        judge(lease->exec("select $1::bigint", nonce).one<std::int64_t>() == nonce, mine);
      }
      lease = direct_.acquire();
      ask_in_pipeline(lease->native(), random, mine);
    } catch (const std::exception& error) {
      ++mine.errors[kind_of(error)];
    }
  }

  void ask_in_pipeline(PGconn* raw, std::mt19937_64& random, Account& mine) {
    constexpr std::size_t batch = 300;
    std::array<std::string, batch> nonces;
    PQenterPipelineMode(raw);
    for (std::string& nonce : nonces) {
      nonce = std::to_string(random());
      const char* const value = nonce.c_str();
      PQsendQueryParams(raw, "select $1", 1, nullptr, &value, nullptr, nullptr, 0);
    }
    PQpipelineSync(raw);
    for (std::size_t next = 0; PQstatus(raw) == CONNECTION_OK;) {
      PGresult* const result = PQgetResult(raw);
      const ExecStatusType status = result == nullptr ? PGRES_EMPTY_QUERY : PQresultStatus(result);
      if (status == PGRES_TUPLES_OK) judge(next < batch && nonces[next++] == PQgetvalue(result, 0, 0), mine);
      PQclear(result);
      if (status == PGRES_PIPELINE_SYNC) break;
    }
    PQexitPipelineMode(raw);
  }

  void judge(bool right, Account& mine) {
    ++(right ? mine.answers : mine.mistaken);
    ++answers_;
  }

  void terminate_one() {
    try {
      terminated_ += std::stoul(server().ask(
          "select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity where application_name = '" +
          std::string{application} + "' order by random() limit 1) as one"));
    } catch (const std::exception&) {  // nobody was there
    }
  }

  [[nodiscard]] static std::map<std::int64_t, int> committed_rows() {
    std::map<std::int64_t, int> rows;
    auto connection = Connection::connect(server().conninfo(), Clock::now() + 60s);
    for (const auto row : connection.exec("select id from transfers")) ++rows[row[0].as<std::int64_t>()];
    return rows;
  }
  [[nodiscard]] std::string seconds() const {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - start_).count());
  }

  FaultProxy proxy_{server().socket()};
  postgres::Pool pool_{proxy_.conninfo("app"),
                       {.pool_size = 12, .max_overflow = 4, .pool_timeout = 5s, .application_name = application}};
  // Without the proxy, which would take its time for so many questions.
  postgres::Pool direct_{server().conninfo("app"),
                         {.pool_size = 12, .max_overflow = 4, .pool_timeout = 5s, .application_name = application}};
  const TimePoint start_ = Clock::now();
  const unsigned seed_ = std::random_device{}();
  std::atomic<std::uint64_t> commits_{0}, answers_{0};
  std::size_t killed_ = 0, terminated_ = 0, cuts_ = 0;
  std::mutex mutex_;
  Account total_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(books_balance_though_the_server_is_killed_twenty_times) {
  server();
  Ledger books;
  books.run();
  books.check();
}

BOOST_AUTO_TEST_SUITE_END()
