// Much data and many statements: COPY in and out, results row by row, pipelines, and notifications.
// Needs PostgreSQL: DATABASE_URL says where.
#include <iostream>
#include <ranges>
#include <string>
#include <tuple>
#include <vector>

#include <lido/postgres/bulk/copy.hpp>
#include <lido/postgres/bulk/pipeline.hpp>
#include <lido/postgres/bulk/stream.hpp>
#include <lido/postgres/pool.hpp>

using namespace std::chrono_literals;

int main() try {
  lido::postgres::Pool pool{lido::postgres::options_from_environment()};
  auto connection = pool.acquire();
  connection->exec_script("drop table if exists lido_readings; create table lido_readings(sensor int, place text)");

  // [copy]
  // Rows go in as fast as PostgreSQL takes them, from any range of tuples; nothing is stored if the range throws.
  auto readings = std::views::iota(0, 100'000) |
                  std::views::transform([](int i) { return std::tuple{i, "hall " + std::to_string(i % 7)}; });
  const std::size_t stored = connection->copy_in("copy lido_readings from stdin", readings);

  // And out again, one at a time.
  std::size_t in_hall_3 = 0;
  for (const auto& [sensor, place] : connection->copy_out<int, std::string>("copy lido_readings to stdout"))
    in_hall_3 += place == "hall 3" ? 1 : 0;
  // [/copy]

  // [stream]
  // Row by row, in constant memory. Left early, the rest is cancelled on the server.
  long sum = 0;
  for (const auto& [sensor, place] :
       connection->stream<int, std::string>("select * from lido_readings order by sensor")) {
    if (sensor == 1000) break;
    sum += sensor;
  }
  // [/stream]

  // [pipeline]
  // One round trip, one transaction, a result for each statement.
  lido::postgres::Pipeline pipeline;
  for (const int sensor : {1, 2, 3}) pipeline.add("delete from lido_readings where sensor = $1", sensor);
  pipeline.add("select count(*) from lido_readings");
  try {
    const std::vector<lido::postgres::Result> results = connection->run(pipeline);
    std::cout << results.back().one<int>() << " readings are left\n";
  } catch (const lido::postgres::PipelineError& error) {
    std::cout << "statement " << error.index() << " failed: " << error.message() << '\n';
  }
  // [/pipeline]

  // [listen]
  connection->listen("lido news");
  connection->exec("select pg_notify('lido news', $1)", "hello");  // or any other session
  if (const auto news = connection->wait_for_notification(lido::Clock::now() + 5s))
    std::cout << news->channel << ": " << news->payload << '\n';
  // [/listen]

  connection->exec("drop table lido_readings");
  return stored == 100'000 && in_hall_3 == 14'286 && sum == 499'500 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
