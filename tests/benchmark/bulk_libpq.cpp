// Many rows with libpq by hand: nothing that is asked for is missing, and nothing is done that is not.
#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include <libpq-fe.h>

#include "bulk.hpp"

namespace {

using namespace bulk;

constexpr const char* who = "libpq by hand";

using Connection = std::shared_ptr<PGconn>;
struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Result = std::unique_ptr<PGresult, Clear>;

Connection connect(const std::string& conninfo) {
  const Connection connection{PQconnectdb(conninfo.c_str()), &PQfinish};
  if (PQstatus(connection.get()) != CONNECTION_OK) throw std::runtime_error{"connect"};
  return connection;
}
void require(bool done, PGconn* connection) {
  if (!done) throw std::runtime_error{PQerrorMessage(connection)};
}
template <class T>
T number(const char* text, std::size_t size) {
  T value{};
  std::from_chars(text, text + size, value);
  return value;
}

double sum_row(const PGresult* result, int row) {
  const auto size = [&](int column) { return static_cast<std::size_t>(PQgetlength(result, row, column)); };
  const int id = number<int>(PQgetvalue(result, row, 0), size(0));
  const std::string name{PQgetvalue(result, row, 1), size(1)};
  return sum_of(id, name.size(), moment_of(PQgetvalue(result, row, 2)),
                number<double>(PQgetvalue(result, row, 3), size(3)));
}

const Registration read{
    Task::read, who, [](const std::string& conninfo, const Rows&) -> Once {
      return [connection = connect(conninfo)] {
        const Result result{PQexecParams(connection.get(), select_all, 0, nullptr, nullptr, nullptr, nullptr, 0)};
        double sum = 0;
        for (int row = 0; row < PQntuples(result.get()); ++row) sum += sum_row(result.get(), row);
        return sum;
      };
    }};

// What the binary format would save, which is asked for by whoever knows the types of the columns beforehand.
template <class T>
T big_endian(const char* bytes) {
  T value{};
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value = static_cast<T>(value << 8U | static_cast<unsigned char>(bytes[i]));
  return value;
}
const Registration read_binary{
    Task::read, "libpq, binary", [](const std::string& conninfo, const Rows&) -> Once {
      return [connection = connect(conninfo)] {
        const Result result{PQexecParams(connection.get(), select_all, 0, nullptr, nullptr, nullptr, nullptr, 1)};
        constexpr std::chrono::sys_days epoch{std::chrono::year{2000} / 1 / 1};
        double sum = 0;
        for (int row = 0; row < PQntuples(result.get()); ++row) {
          const auto value = [&](int column) { return PQgetvalue(result.get(), row, column); };
          const std::string name{value(1), static_cast<std::size_t>(PQgetlength(result.get(), row, 1))};
          const auto since = static_cast<std::int64_t>(big_endian<std::uint64_t>(value(2)));
          sum += sum_of(static_cast<int>(big_endian<std::uint32_t>(value(0))), name.size(),
                        epoch + std::chrono::microseconds{since},
                        std::bit_cast<double>(big_endian<std::uint64_t>(value(3))));
        }
        return sum;
      };
    }};

const Registration stream{Task::stream, who, [](const std::string& conninfo, const Rows&) -> Once {
                            return [connection = connect(conninfo)] {
                              PGconn* const raw = connection.get();
                              require(
                                  PQsendQueryParams(raw, select_all, 0, nullptr, nullptr, nullptr, nullptr, 0) == 1 &&
                                      PQsetSingleRowMode(raw) == 1,
                                  raw);
                              double sum = 0;
                              while (const Result result{PQgetResult(raw)})
                                if (PQntuples(result.get()) == 1) sum += sum_row(result.get(), 0);
                              return sum;
                            };
                          }};

// Of a line of COPY; what has no backslash stands as it is.
double sum_line(std::string_view line) {
  const auto field = [&line] {
    const std::size_t end = line.find_first_of("\t\n");
    const std::string_view text = line.substr(0, end);
    line.remove_prefix(end + 1);
    return text;
  };
  const std::string_view id = field();
  std::string name{field()};
  if (name.find('\\') != std::string::npos) throw std::runtime_error{"not in these rows"};
  const Moment at = moment_of(field().data());
  const std::string_view value = field();
  return sum_of(number<int>(id.data(), id.size()), name.size(), at, number<double>(value.data(), value.size()));
}
const Registration out{Task::copy_out, who, [](const std::string& conninfo, const Rows&) -> Once {
                         return [connection = connect(conninfo)] {
                           PGconn* const raw = connection.get();
                           require(PQresultStatus(Result{PQexec(raw, copy_out)}.get()) == PGRES_COPY_OUT, raw);
                           double sum = 0;
                           char* line = nullptr;
                           for (int size = 0; (size = PQgetCopyData(raw, &line, 0)) > 0; PQfreemem(line))
                             sum += sum_line({line, static_cast<std::size_t>(size)});
                           while (const Result result{PQgetResult(raw)}) {
                           }
                           return sum;
                         };
                       }};

char* print(char* to, unsigned value, int width) {
  for (int at = width - 1; at >= 0; --at, value /= 10) to[at] = static_cast<char>('0' + value % 10);
  return to + width;
}
char* print(char* to, Moment at) {
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date{day};
  const auto rest = static_cast<std::uint64_t>((at - day).count());
  to = print(to, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  *to++ = '-';
  to = print(to, static_cast<unsigned>(date.month()), 2);
  *to++ = '-';
  to = print(to, static_cast<unsigned>(date.day()), 2);
  *to++ = ' ';
  to = print(to, static_cast<unsigned>(rest / 3'600'000'000), 2);
  *to++ = ':';
  to = print(to, static_cast<unsigned>(rest / 60'000'000 % 60), 2);
  *to++ = ':';
  to = print(to, static_cast<unsigned>(rest / 1'000'000 % 60), 2);
  *to++ = '.';
  to = print(to, static_cast<unsigned>(rest % 1'000'000), 6);
  std::memcpy(to, "+00", 3);
  return to + 3;
}

const Registration in{Task::copy_in, who, [](const std::string& conninfo, const Rows& rows) -> Once {
                        return [connection = connect(conninfo), &rows] {
                          PGconn* const raw = connection.get();
                          require(PQresultStatus(Result{PQexec(raw, copy_in)}.get()) == PGRES_COPY_IN, raw);
                          std::string buffer(70'000, '\0');
                          char* const begin = buffer.data();
                          char* to = begin;
                          const auto send = [&] {
                            require(PQputCopyData(raw, begin, static_cast<int>(to - begin)) == 1, raw);
                            to = begin;
                          };
                          for (const auto& [id, name, at, value] : rows) {
                            to = std::to_chars(to, to + 16, id).ptr;
                            *to++ = '\t';
                            if (name.find_first_of("\b\f\n\r\t\v\\") != std::string::npos)
                              throw std::runtime_error{"not in these rows"};
                            std::memcpy(to, name.data(), name.size());
                            to += name.size();
                            *to++ = '\t';
                            to = print(to, at);
                            *to++ = '\t';
                            to = std::to_chars(to, to + 32, value).ptr;
                            *to++ = '\n';
                            if (to - begin > 65'536) send();
                          }
                          send();
                          require(PQputCopyEnd(raw, nullptr) == 1, raw);
                          double stored = 0;
                          while (const Result result{PQgetResult(raw)}) stored += std::stod(PQcmdTuples(result.get()));
                          return stored;
                        };
                      }};

const Registration pipeline{
    Task::pipeline, who, [](const std::string& conninfo, const Rows& rows) -> Once {
      const Connection connection = connect(conninfo);
      require(
          PQresultStatus(Result{PQprepare(connection.get(), "insert", insert, 0, nullptr)}.get()) == PGRES_COMMAND_OK,
          connection.get());
      return [connection, &rows] {
        PGconn* const raw = connection.get();
        require(PQenterPipelineMode(raw) == 1, raw);
        double stored = 0;
        for (std::size_t first = 0; first < rows.size(); first += batch) {
          const std::size_t last = std::min(rows.size(), first + batch);
          for (std::size_t i = first; i < last; ++i) {
            const auto& [id, name, at, value] = rows[i];
            char texts[3][40];
            *std::to_chars(texts[0], texts[0] + 39, id).ptr = '\0';
            *print(texts[1], at) = '\0';
            *std::to_chars(texts[2], texts[2] + 39, value).ptr = '\0';
            const char* const values[]{texts[0], name.c_str(), texts[1], texts[2]};
            require(PQsendQueryPrepared(raw, "insert", 4, values, nullptr, nullptr, 0) == 1, raw);
          }
          require(PQpipelineSync(raw) == 1, raw);
          for (std::size_t left = last - first; left > 0;) {
            const Result result{PQgetResult(raw)};
            if (!result) continue;
            require(PQresultStatus(result.get()) == PGRES_COMMAND_OK, raw);
            stored += 1;
            --left;
          }
          for (Result result; PQresultStatus(result.get()) != PGRES_PIPELINE_SYNC;) result.reset(PQgetResult(raw));
        }
        require(PQexitPipelineMode(raw) == 1, raw);
        return stored;
      };
    }};

const Registration arrays{
    Task::unnest, who, [](const std::string& conninfo, const Rows& rows) -> Once {
      const Connection connection = connect(conninfo);
      require(
          PQresultStatus(Result{PQprepare(connection.get(), "unnest", unnest, 0, nullptr)}.get()) == PGRES_COMMAND_OK,
          connection.get());
      return [connection, &rows] {
        PGconn* const raw = connection.get();
        double stored = 0;
        for (std::size_t first = 0; first < rows.size(); first += batch) {
          std::string columns[4]{"{", "{", "{", "{"};
          for (std::size_t i = first; i < std::min(rows.size(), first + batch); ++i) {
            const auto& [id, name, at, value] = rows[i];
            char room[40];
            columns[0].append(room, std::to_chars(room, room + 39, id).ptr) += ',';
            if (name.find_first_of("\"\\") != std::string::npos) throw std::runtime_error{"not in these rows"};
            columns[1].append(1, '"').append(name) += "\",";
            columns[2].append(1, '"').append(room, print(room, at)) += "\",";
            columns[3].append(room, std::to_chars(room, room + 39, value).ptr) += ',';
          }
          const char* values[4];
          for (int i = 0; i < 4; ++i) {
            columns[i].back() = '}';
            values[i] = columns[i].c_str();
          }
          const Result result{PQexecPrepared(raw, "unnest", 4, values, nullptr, nullptr, 0)};
          require(PQresultStatus(result.get()) == PGRES_COMMAND_OK, raw);
          stored += std::stod(PQcmdTuples(result.get()));
        }
        return stored;
      };
    }};

}  // namespace
