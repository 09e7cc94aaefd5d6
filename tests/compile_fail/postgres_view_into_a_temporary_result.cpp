// A view of a value whose result is gone at the end of the statement.
// expect: lido: a std::string_view would point into a result that is gone
#include <string_view>

#include <lido/postgres/result.hpp>

lido::postgres::Result query();

std::size_t length() {
#ifdef LIDO_WRONG
  const std::string_view name = query().one<std::string_view>();
#else
  const lido::postgres::Result result = query();
  const std::string_view name = result.one<std::string_view>();
#endif
  return name.size();
}
