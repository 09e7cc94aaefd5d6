// Metrics of a pool, as a user of lido and prometheus-cpp writes it.
#include <iostream>

#include <lido/pool.hpp>
#include <lido/prometheus/collector.hpp>

int main() {
  lido::Pool pool{[] { return 42; }, lido::FixedSize{.size = 2}};
  lido::prometheus::Collector collector;
  const auto registration = collector.add(pool);
  bool found = false;
  for (const auto& family : collector.Collect())
    if (family.name == "db_pool_size") found = family.metric.at(0).gauge.value == 2;
  std::cout << (found ? "collected the size" : "collected nothing") << '\n';
  return found ? 0 : 1;
}
