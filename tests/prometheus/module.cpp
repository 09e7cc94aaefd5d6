#define BOOST_TEST_MODULE prometheus
#include <support/test_module.hpp>
