#define BOOST_TEST_MODULE asio
#include <support/test_module.hpp>
