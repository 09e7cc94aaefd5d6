#define BOOST_TEST_MODULE allocation
#include <support/test_module.hpp>
