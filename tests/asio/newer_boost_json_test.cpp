// Documents of Boost.JSON, which Boost has since 1.75. With an older Boost this file is empty.
#if __has_include(<boost/json.hpp>)

#  include <boost/json/src.hpp>
#  include <boost/test/unit_test.hpp>

#  include <lido/postgres/interop/boost_json.hpp>
#  include <postgres/documents.hpp>

BOOST_AUTO_TEST_SUITE(boost_json)

BOOST_AUTO_TEST_CASE(documents_go_to_the_server_and_back) {
  lido::test::documents_go_there_and_back<boost::json::value>(
      [](const char* text) { return boost::json::parse(text); });
}

BOOST_AUTO_TEST_SUITE_END()

#endif
