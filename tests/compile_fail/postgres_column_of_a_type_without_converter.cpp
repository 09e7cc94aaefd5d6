// A column is read as a type that nobody has taught how to be read.
// expect: lido: no column can be read as this type: specialise lido::postgres::Converter for it
#include <string>

#include <lido/postgres/result.hpp>

struct Money {
  Money(long cents);  // no aggregate
};

std::string price(const lido::postgres::Result& result) {
  const lido::postgres::Field field = result[0]["price"];
#ifdef LIDO_WRONG
  static_cast<void>(field.as<Money>());
#endif
  return field.as<std::string>();
}
