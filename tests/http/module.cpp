#define BOOST_TEST_MODULE http
#include <support/test_module.hpp>
