// A parameter of a type that nobody has taught how to be written.
// expect: lido: no parameter can be of this type: specialise lido::postgres::Converter for it, with `write`
#include <string>

#include <lido/postgres/connection.hpp>

struct Money {
  long cents;
};

void pay(lido::postgres::Connection& connection, const Money& price) {
#ifdef LIDO_WRONG
  connection.exec("update accounts set balance = balance - $1", price);
#else
  connection.exec("update accounts set balance = balance - $1", price.cents);
#endif
}
