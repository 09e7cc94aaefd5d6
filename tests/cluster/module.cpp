#define BOOST_TEST_MODULE cluster
#include <support/test_module.hpp>
