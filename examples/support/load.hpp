// What 09_load measures with: threads that begin at one moment, a look at the server meanwhile, and a table.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <exception>
#include <iomanip>
#include <iostream>
#include <latch>
#include <mutex>
#include <numeric>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <lido/postgres/connection.hpp>

namespace support {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

/// Counts the sessions of one application on the server, about eighty times a second, until it is destroyed. It
/// has a connection of its own, so that it sees what the pool does and not what the pool believes.
class Observer {
 public:
  Observer(const std::string& url, std::string application)
      : connection_{lido::postgres::Connection::connect(url, Clock::now() + std::chrono::seconds{10}, {},
                                                        {.application_name = "observer"})},
        application_{std::move(application)},
        thread_{[this](const std::stop_token& stop) { observe(stop); }} {}

  /// The most sessions seen at once. Ends the observation; rethrows what went wrong with it.
  std::size_t peak() {
    const Seconds took = Clock::now() - begun_;
    thread_.request_stop();
    thread_.join();
    if (error_) std::rethrow_exception(error_);
    if (static_cast<double>(looks_) < 50 * took.count())
      std::cout << "the server was asked only " << looks_ << " times in " << took.count() << " s\n";
    return peak_;
  }

 private:
  void observe(const std::stop_token& stop) {
    try {
      for (; !stop.stop_requested(); std::this_thread::sleep_for(std::chrono::milliseconds{12}), ++looks_)
        peak_ = std::max(peak_, connection_
                                    .exec("select count(*) from pg_stat_get_activity(null) where application_name = $1",
                                          application_)
                                    .one<std::size_t>());
    } catch (...) {
      error_ = std::current_exception();
    }
  }

  lido::postgres::Connection connection_;
  std::string application_;
  Clock::time_point begun_ = Clock::now();
  std::size_t peak_ = 0;
  std::size_t looks_ = 0;
  std::exception_ptr error_;
  std::jthread thread_;  // last: it uses the others
};

/// What a load took, one entry a thread, from the moment at which all threads began.
struct Times {
  std::vector<Seconds> total;  ///< to the end of the work
  std::vector<Seconds> wait;   ///< to the connection in hand
  std::size_t errors = 0;

  [[nodiscard]] static Seconds average(const std::vector<Seconds>& each) {
    return std::accumulate(each.begin(), each.end(), Seconds{}) / static_cast<double>(each.size());
  }
  /// The value that `share` of the threads did not exceed.
  [[nodiscard]] Seconds percentile(double share) const {
    std::vector<Seconds> sorted = total;
    std::ranges::sort(sorted);
    const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
    return sorted[rank - 1];
  }
};

/// Runs `work(has_connection)` in so many threads at once; `work` calls `has_connection()` when it has one.
template <class Work>
Times at_once(std::size_t threads, Work work) {
  Times times{.total = std::vector<Seconds>(threads), .wait = std::vector<Seconds>(threads)};
  std::latch ready{static_cast<std::ptrdiff_t>(threads)};
  std::latch begin{1};
  std::mutex mutex;  // for what all threads share
  Clock::time_point begun;
  {
    std::vector<std::jthread> all;
    for (std::size_t i = 0; i < threads; ++i)
      all.emplace_back([&, i] {
        ready.count_down();
        begin.wait();
        try {
          work([&] { times.wait[i] = Clock::now() - begun; });
        } catch (const std::exception& error) {
          const std::scoped_lock lock{mutex};
          ++times.errors;
          std::cerr << error.what() << '\n';
        }
        times.total[i] = Clock::now() - begun;
      });
    ready.wait();
    begun = Clock::now();
    begin.count_down();
  }
  return times;
}

/// What no pool could undercut, in seconds.
struct Ideal {
  double average;
  double maximum;
};

/// What one load came to, beside the ideal.
struct Row {
  std::string name;
  Times times;
  Ideal ideal;
  double allowed;             // how many times the ideal the average may take
  std::size_t most_sessions;  // that the pool may have
  std::size_t opened;         // connections, during the load
  std::size_t peak;           // sessions on the server at once, during the load
  std::size_t still_out;      // connections not given back
};

/// Prints the table; false where an error, a leak or a session too many was seen. A time over its bound is only told.
inline bool report(const std::vector<Row>& rows) {
  std::cout << std::fixed << std::setprecision(3)
            << "                         average  ideal    p99  maximum  ideal    wait  opened  peak  errors\n";
  bool good = true;
  std::vector<std::string> remarks;
  for (const Row& row : rows) {
    const double average = Times::average(row.times.total).count();
    const double wait = Times::average(row.times.wait).count();
    const double maximum = row.times.percentile(1).count();
    std::cout << std::left << std::setw(25) << row.name << std::right << std::setw(7) << average << std::setw(7)
              << row.ideal.average << std::setw(7) << row.times.percentile(0.99).count() << std::setw(9) << maximum
              << std::setw(7) << row.ideal.maximum << std::setw(8) << wait << std::setw(8) << row.opened << std::setw(6)
              << row.peak << std::setw(8) << row.times.errors << '\n';
    const auto require = [&](bool kept, const std::string& broken) {
      if (!kept) remarks.push_back("FAILED: " + row.name + ": " + broken);
      good = good && kept;
    };
    require(row.times.errors == 0, "there were errors");
    require(row.still_out == 0, "not every connection was given back");
    require(row.peak <= row.most_sessions, "more sessions than the pool may have");
    require(row.peak > 0, "no session was seen");
    const auto expect = [&](bool kept, const std::string& over) {
      if (!kept) remarks.push_back("over: " + row.name + ": " + over);
    };
    expect(average <= row.allowed * row.ideal.average, "the average against the ideal");
    expect(maximum <= 0.4, "the maximum against 0.4 s");
    expect(wait < 0.1, "the average wait for a connection against 0.1 s");
  }
  for (const std::string& remark : remarks) std::cout << remark << '\n';
  return good;
}

}  // namespace support
