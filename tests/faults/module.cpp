#define BOOST_TEST_MODULE faults
#include <support/test_module.hpp>
