// The lines of a COPY have no names, by which the members of a struct could be found.
// expect: lido: a COPY has no names of columns: say copy_out<lido::postgres::ByPosition<T>>
#include <string>

#include <lido/postgres/pool.hpp>

struct Person {
  int id;
  std::string name;
};

int sum_of(lido::postgres::Connection& connection) {
  int sum = 0;
#ifdef LIDO_WRONG
  for (const Person& person : connection.copy_out<Person>("copy people to stdout")) sum += person.id;
#else
  using lido::postgres::ByPosition;
  for (const Person& person : connection.copy_out<ByPosition<Person>>("copy people to stdout")) sum += person.id;
#endif
  return sum;
}
