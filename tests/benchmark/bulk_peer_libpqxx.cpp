// Many rows with libpqxx. It reads no times, and its pipelines take no parameters.
// package: libpqxx-dev
// link: -lpqxx
#include <memory>
#include <string>
#include <tuple>

#include <pqxx/pqxx>
#include <pqxx/stream_from>
#include <pqxx/stream_to>

#include "bulk.hpp"

namespace {

using namespace bulk;

constexpr const char* who = "libpqxx";

const Registration read{Task::read, who, [](const std::string& conninfo, const Rows&) -> Once {
                          return [connection = std::make_shared<pqxx::connection>(conninfo)] {
                            pqxx::work work{*connection};
                            double sum = 0;
                            for (const auto& row : work.exec(select_all))
                              sum += sum_of(row[0].as<int>(), row[1].as<std::string>().size(),
                                            moment_of(row[2].c_str()), row[3].as<double>());
                            return sum;
                          };
                        }};

const Registration out{Task::copy_out, who, [](const std::string& conninfo, const Rows&) -> Once {
                         return [connection = std::make_shared<pqxx::connection>(conninfo)] {
                           pqxx::work work{*connection};
                           pqxx::stream_from from{work, std::string{"bulk"}};
                           double sum = 0;
                           std::tuple<int, std::string, std::string, double> row;
                           while (from >> row)
                             sum += sum_of(std::get<0>(row), std::get<1>(row).size(),
                                           moment_of(std::get<2>(row).c_str()), std::get<3>(row));
                           return sum;
                         };
                       }};

const Registration in{Task::copy_in, who, [](const std::string& conninfo, const Rows& rows) -> Once {
                        return [connection = std::make_shared<pqxx::connection>(conninfo), &rows] {
                          pqxx::work work{*connection};
                          pqxx::stream_to to{work, "into_bulk"};
                          for (const auto& [id, name, at, value] : rows)
                            to << std::tuple{id, name, std::string{"2024-02-29 12:34:56.789012+00"}, value};
                          to.complete();
                          work.commit();
                          return static_cast<double>(rows.size());
                        };
                      }};

}  // namespace
