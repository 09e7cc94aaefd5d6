#define BOOST_TEST_MODULE unit
#include <support/test_module.hpp>
