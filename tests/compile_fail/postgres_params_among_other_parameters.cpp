// Parameters that are known at run time are all of them.
// expect: lido: Params are all the parameters of a statement: add the others to them
#include <lido/postgres/connection.hpp>
#include <lido/postgres/params.hpp>

void find(lido::postgres::Connection& connection, lido::postgres::Params& params) {
#ifdef LIDO_WRONG
  connection.exec("select $1::int, $2::int", params, 1);
#else
  connection.exec("select $1::int, $2::int", params.add(1));
#endif
}
