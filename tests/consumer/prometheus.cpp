// Metrics of a pool, as a user of lido and prometheus-cpp writes it: collected, and served by the Exposer.
#include <prometheus/exposer.h>

#include <iostream>
#include <memory>

#include <lido/pool.hpp>
#include <lido/prometheus/collector.hpp>

int main() {
  lido::Pool pool{[] { return 42; }, lido::FixedSize{.size = 2}};
  prometheus::Exposer exposer{"127.0.0.1:0", 1};
  const auto collector = std::make_shared<lido::prometheus::Collector>();
  exposer.RegisterCollectable(collector);
  const auto registration = collector->add(pool);
  bool found = false;
  for (const auto& family : collector->Collect())
    if (family.name == "db_pool_size") found = family.metric.at(0).gauge.value == 2;
  std::cout << (found ? "collected the size" : "collected nothing") << '\n';
  return found ? 0 : 1;
}
