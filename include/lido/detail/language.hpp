// Says in one line what a compiler that is told of an older C++ would say in hundreds.
#pragma once

#if !defined(__cpp_concepts) || __cpp_concepts < 201907L
#  error "lido needs C++20: compile with -std=c++20"
// There is no such file: the compilation ends here.
#  include <lido needs C++20>
#endif
