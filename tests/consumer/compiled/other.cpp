// A second unit of a program whose operations are compiled once. What it sends and reads in bulk it says.
#include <string>

#include <lido/postgres/bulk/copy.hpp>
#include <lido/postgres/bulk/pipeline.hpp>
#include <lido/postgres/bulk/stream.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/savepoint.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>

int statement(lido::postgres::Pool& pool) { return pool.acquire()->exec("select $1::int", 1).one<int>(); }

std::string session(lido::postgres::Pool& pool) {
  lido::postgres::Session session{pool};
  lido::postgres::Savepoint savepoint{session};
  savepoint.rollback();
  std::string text = session.exec("select 'a'").one<std::string>();
  session.commit();
  return text;
}

int transact(lido::postgres::Pool& pool) {
  return lido::postgres::transact(pool,
                                  [](lido::postgres::Session& session) { return session.exec("select 1").one<int>(); });
}

std::size_t bulk(lido::postgres::Pool& pool) {
  const auto connection = pool.acquire();
  std::size_t count = 0;
  for (const int number : connection->stream<int>("select generate_series(1, 10)")) count += number > 0 ? 1 : 0;
  for (const std::string_view line : connection->copy_out("copy t to stdout")) count += line.size();
  count += connection->copy_in("copy t from stdin", std::string_view{"1\n"} | std::views::transform([](char) {
                                                      return std::string_view{"1\n"};
                                                    }));
  lido::postgres::Pipeline pipeline;
  return count + connection->run(pipeline.add("select 1")).size();
}
