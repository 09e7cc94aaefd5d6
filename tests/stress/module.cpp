#define BOOST_TEST_MODULE stress
#include <support/test_module.hpp>
