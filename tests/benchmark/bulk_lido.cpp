// Many rows with lido.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include <lido/postgres/bulk/arrays.hpp>
#include <lido/postgres/connection.hpp>
#include "bulk.hpp"

namespace {

using namespace bulk;
using lido::postgres::Connection;

constexpr const char* who = "lido";

std::shared_ptr<Connection> connect(const std::string& conninfo) {
  return std::make_shared<Connection>(Connection::connect(conninfo, lido::Clock::now() + std::chrono::seconds{30}, {},
                                                          {.statement_timeout = std::chrono::seconds{600}}));
}

const Registration read{Task::read, who, [](const std::string& conninfo, const Rows&) -> Once {
                          return [session = connect(conninfo)] {
                            double sum = 0;
                            const auto result = session->exec(select_all);
                            for (const auto& [id, name, at, value] : result.rows_as<int, std::string, Moment, double>())
                              sum += sum_of(id, name.size(), at, value);
                            return sum;
                          };
                        }};

const Registration stream{
    Task::stream, who, [](const std::string& conninfo, const Rows&) -> Once {
      return [session = connect(conninfo)] {
        double sum = 0;
        for (const auto& [id, name, at, value] : session->stream<int, std::string, Moment, double>(select_all))
          sum += sum_of(id, name.size(), at, value);
        return sum;
      };
    }};

const Registration out{
    Task::copy_out, who, [](const std::string& conninfo, const Rows&) -> Once {
      return [session = connect(conninfo)] {
        double sum = 0;
        for (const auto& [id, name, at, value] : session->copy_out<int, std::string, Moment, double>(copy_out))
          sum += sum_of(id, name.size(), at, value);
        return sum;
      };
    }};

const Registration in{Task::copy_in, who, [](const std::string& conninfo, const Rows& rows) -> Once {
                        return [session = connect(conninfo), &rows] {
                          return static_cast<double>(session->copy_in(copy_in, rows));
                        };
                      }};

const Registration pipeline{Task::pipeline, who, [](const std::string& conninfo, const Rows& rows) -> Once {
                              return [session = connect(conninfo), &rows] {
                                double stored = 0;
                                for (std::size_t first = 0; first < rows.size(); first += batch) {
                                  lido::postgres::Pipeline pipeline;
                                  for (std::size_t i = first; i < std::min(rows.size(), first + batch); ++i) {
                                    const auto& [id, name, at, value] = rows[i];
                                    pipeline.add(insert, id, name, at, value);
                                  }
                                  for (const auto& result : session->run(pipeline))
                                    stored += static_cast<double>(result.affected_rows());
                                }
                                return stored;
                              };
                            }};

const Registration arrays{
    Task::unnest, who, [](const std::string& conninfo, const Rows& rows) -> Once {
      return [session = connect(conninfo), &rows] {
        double stored = 0;
        for (std::size_t first = 0; first < rows.size(); first += batch) {
          const std::span part{rows.data() + first, std::min(batch, rows.size() - first)};
          stored += static_cast<double>(session->exec(unnest, lido::postgres::arrays_of(part)).affected_rows());
        }
        return stored;
      };
    }};

}  // namespace
