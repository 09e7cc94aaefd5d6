// Work in the background: a thread that handles jobs, each in a session of its own. A job that fails is rolled back and
// costs nothing but itself; a thread that is asked to stop does not wait for a connection any longer.
// Needs PostgreSQL: DATABASE_URL says where.
#include <atomic>
#include <chrono>
#include <iostream>
#include <stdexcept>
#include <thread>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>

using namespace std::chrono_literals;

int main() try {
  lido::postgres::Pool pool{lido::postgres::options_from_environment()};
  pool.acquire()->exec_script("drop table if exists lido_jobs; create table lido_jobs(number int)");

  // [background]
  std::jthread worker{[&pool] {
    for (int job = 1; job <= 6; ++job) {
      try {
        lido::postgres::Session session{pool};
        session.exec("insert into lido_jobs values ($1)", job);
        if (job % 3 == 0) throw std::runtime_error{"job " + std::to_string(job) + " failed"};
        session.commit();
      } catch (const std::exception& error) {  // the session's destructor has rolled back
        std::cout << error.what() << ", and left nothing behind\n";
      }
    }
  }};
  worker.join();
  // [/background]

  const int done = pool.acquire()->exec("select count(*) from lido_jobs").one<int>();
  std::cout << done << " jobs are done\n";
  pool.acquire()->exec("drop table lido_jobs");

  // [stop]
  pool.suspend();  // nothing is leased for now, so that the next one has to wait
  std::atomic<bool> cancelled = false;
  std::jthread waiting{[&](const std::stop_token& stop) {
    try {
      auto connection = pool.acquire(30s, stop);
    } catch (const lido::AcquireCancelled&) {
      cancelled = true;
    }
  }};
  waiting.request_stop();  // ends the wait at once, not after 30 s
  waiting.join();
  pool.resume();
  // [/stop]
  std::cout << (cancelled ? "a waiting thread was stopped\n" : "the stop was not heeded\n");
  return done == 4 && cancelled && pool.statistics().now.leased == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
