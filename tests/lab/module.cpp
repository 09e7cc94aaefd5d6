#define BOOST_TEST_MODULE lab
#include <support/test_module.hpp>
