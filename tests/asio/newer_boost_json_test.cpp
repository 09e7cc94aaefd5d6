// Documents of Boost.JSON, which Boost has since 1.75. With an older Boost this file is empty.
#if __has_include(<boost/json.hpp>)

#  include <limits>

#  include <boost/json/src.hpp>
#  include <boost/test/unit_test.hpp>

#  include <lido/postgres/interop/boost_json.hpp>
#  include <postgres/documents.hpp>

BOOST_AUTO_TEST_SUITE(boost_json)

BOOST_AUTO_TEST_CASE(documents_go_to_the_server_and_back) {
  lido::test::documents_go_there_and_back<boost::json::value>(
      [](const char* text) { return boost::json::parse(text); });
}

BOOST_AUTO_TEST_CASE(what_is_no_json_is_refused) {
  lido::postgres::Connection connection = lido::test::connect();
  for (const double number : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    const boost::json::value document = boost::json::object{{"a", boost::json::array{1, number}}};
    BOOST_CHECK_THROW(connection.exec("select $1::json", document), lido::postgres::QueryError);
  }
}

BOOST_AUTO_TEST_SUITE_END()

#endif
