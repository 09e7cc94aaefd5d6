// The one file of a test program that defines BOOST_TEST_MODULE includes this in place of <boost/test/unit_test.hpp>:
//   #define BOOST_TEST_MODULE unit
//   #include <support/test_module.hpp>
// It links the compiled Boost.Test, or, where that has another standard library's ABI than the tests, compiles it in.
#pragma once

#ifdef BOOST_TEST_DYN_LINK
#  include <boost/test/unit_test.hpp>
#else
#  include <boost/test/included/unit_test.hpp>
#endif
