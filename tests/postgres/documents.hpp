// What is asked of a library's JSON documents: that they go to the server and back.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <postgres/server.hpp>

namespace lido::test {

inline constexpr const char* documents[] = {"null",
                                            "true",
                                            "[]",
                                            "{}",
                                            "\"\"",
                                            "-1",
                                            "0.5",
                                            "9223372036854775807",
                                            R"({"a":[1,{"b":null}],"größe":"\"\\ \u0001 \n"})"};

// Parses with the server, so that both agree.
template <class Document, class Parse>
void documents_go_there_and_back(Parse parse) {
  postgres::Connection connection = connect();
  for (const char* const type : {"json", "jsonb"})
    for (const char* const text : documents) BOOST_TEST_CONTEXT(type << " " << text) {
        const Document document = parse(text);
        const postgres::Result result =
            connection.exec(std::string{"select $1::"} + type + " a, $1::jsonb = $2::jsonb b", document, text);
        BOOST_TEST((result[0][0].as<Document>() == document));
        BOOST_TEST(result[0][1].as<bool>());
        const std::vector<std::optional<Document>> many{document, std::nullopt};
        BOOST_TEST((connection.exec(std::string{"select $1::"} + type + "[]", many)
                        .template one<std::vector<std::optional<Document>>>() == many));
      }
  struct Line {
    int id;
    std::optional<Document> note;
    Document extra;
  };
  const Line line = connection.exec("select '{}'::jsonb as extra, null::json as note, 1 as id").one<Line>();
  BOOST_TEST(!line.note.has_value());
  BOOST_TEST((line.extra == parse("{}")));
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select '{}'::text").one<Document>()), postgres::ResultError);
  BOOST_CHECK_THROW(static_cast<void>(connection.exec("select null::json").one<Document>()), postgres::ResultError);
  BOOST_TEST(!postgres::Converter<Document>::read("{").has_value());
  BOOST_TEST(!postgres::Converter<Document>::read("").has_value());
  // As deep as the server takes it, or refused.
  const std::string deep = "select (repeat('[', 5000) || repeat(']', 5000))::json";
  try {
    static_cast<void>(connection.exec(deep).one<Document>());
  } catch (const postgres::ResultError& error) {
    BOOST_TEST(error.actual().find("deeper") != std::string::npos);
  }
}

}  // namespace lido::test
