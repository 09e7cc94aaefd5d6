// A member of an aggregate that a row is read as cannot be read.
// expect: lido: no column can be read as this type: specialise lido::postgres::Converter for it
#include <string>

#include <lido/postgres/result.hpp>

struct Address {
  std::string street;
#ifdef LIDO_WRONG
  const char* town;
#else
  std::string town;
#endif
};

Address address(const lido::postgres::Result& result) { return result.one<Address>(); }
