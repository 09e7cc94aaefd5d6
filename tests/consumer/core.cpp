// What somebody who pools a type of their own writes; built once for each way of finding lido.
#include <iostream>
#include <lido/pool.hpp>

int main() {
  lido::Pool pool{[] { return 42; }, lido::FixedSize{.size = 1}};
  const auto lease = pool.acquire();
  std::cout << "leased " << *lease << '\n';
}
