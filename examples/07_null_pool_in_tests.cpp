// In tests no connection should outlive its use, so that no test sees what another one left behind. A TestPool opens on
// every acquire and closes on every release. It is the same class of pool: limit, queue and time-outs work as usual,
// and code that takes a Pool& takes it too.
// Needs PostgreSQL: DATABASE_URL says where.
#include <iostream>
#include <string>

#include <lido/postgres/pool.hpp>

// The code under test.
int backend(lido::postgres::Pool& pool) { return pool.acquire()->exec("select pg_backend_pid()").one<int>(); }

int main() try {
  // [test_pool]
  lido::postgres::TestPool in_a_test{lido::postgres::options_from_environment()};
  // [/test_pool]
  const bool fresh = backend(in_a_test) != backend(in_a_test);
  std::cout << "a TestPool leases " << (fresh ? "a new connection each time" : "the same one") << '\n';

  // The program itself need not know: with ENVIRONMENT=test in the environment, Pool does not pool either. Another
  // source of variables than the environment keeps this example (and a test) from changing its own.
  const auto variables = [](const char* name) -> const char* {
    return name == std::string{"ENVIRONMENT"} ? "test" : std::getenv(name);
  };
  lido::postgres::Pool by_environment{lido::postgres::options_from_environment(variables)};
  const bool fresh_too = backend(by_environment) != backend(by_environment);
  std::cout << "with ENVIRONMENT=test so does a Pool: " << std::boolalpha << fresh_too << '\n';

  // [null_pool]
  // The same for a pool of anything: NullPool is a growth policy.
  int opened = 0;
  lido::Pool pool{[&] { return ++opened; }, lido::NullPool{.max_size = 4}};
  for (int i = 0; i < 3; ++i) auto lease = pool.acquire();
  // [/null_pool]
  std::cout << "three leases of a NullPool opened " << opened << '\n';
  return fresh && fresh_too && opened == 3 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
