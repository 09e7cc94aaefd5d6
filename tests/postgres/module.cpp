#define BOOST_TEST_MODULE postgres
#include <support/test_module.hpp>
