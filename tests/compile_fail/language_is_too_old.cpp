// A compiler that is told of an older C++ says so, and no more than that.
// wrong flags: -std=c++17
// expect: error:.*lido needs C\+\+20: compile with -std=c\+\+20
// expect: fatal error: .?lido needs C\+\+20
#include <lido/pool.hpp>

lido::Pool pool{[] { return 1; }};
