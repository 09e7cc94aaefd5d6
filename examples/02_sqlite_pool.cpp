// A pool of something of your own: connections to an SQLite database, with policies made for them. The pool asks little
// of a type: a function that makes one and a destructor that closes it.
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <lido/pool.hpp>

using namespace std::chrono_literals;

// [connection]
/// A connection to a database in a file. It is no pool's business what else it can do.
class Database {
 public:
  explicit Database(const std::string& file) : file_{file} {
    sqlite3* opened = nullptr;
    const int status = ::sqlite3_open_v2(file.c_str(), &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    handle_.reset(opened);  // also of one that failed, which says why
    if (status != SQLITE_OK) throw std::runtime_error{::sqlite3_errmsg(opened)};
    ::sqlite3_busy_timeout(opened, 5000);
    exec("pragma journal_mode = wal; pragma foreign_keys = on");
    number_ = file_number();
  }

  void exec(const std::string& sql) {
    if (::sqlite3_exec(handle(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
      throw std::runtime_error{::sqlite3_errmsg(handle())};
  }
  long number(const std::string& sql) {  // of a query that returns one
    sqlite3_stmt* prepared = nullptr;
    if (::sqlite3_prepare_v2(handle(), sql.c_str(), -1, &prepared, nullptr) != SQLITE_OK)
      throw std::runtime_error{::sqlite3_errmsg(handle())};
    const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> statement{prepared, ::sqlite3_finalize};
    if (::sqlite3_step(prepared) != SQLITE_ROW) throw std::runtime_error{::sqlite3_errmsg(handle())};
    return static_cast<long>(::sqlite3_column_int64(prepared, 0));
  }
  [[nodiscard]] sqlite3* handle() const noexcept { return handle_.get(); }

  /// False where somebody has put another file in the place of the one that this is connected to, or removed it.
  [[nodiscard]] bool is_of_this_file() const noexcept { return number_ != 0 && number_ == file_number(); }

 private:
  [[nodiscard]] ino_t file_number() const noexcept {
    struct stat facts{};
    return ::stat(file_.c_str(), &facts) == 0 ? facts.st_ino : 0;
  }

  std::string file_;
  std::unique_ptr<sqlite3, int (*)(sqlite3*)> handle_{nullptr, ::sqlite3_close};
  ino_t number_ = 0;
};
// [/connection]

// [health]
/// Fit to be leased is what still reads and writes the file that others see.
struct SameFile {
  lido::Verdict check(Database& database, const lido::ConnectionInfo&) const {
    return database.is_of_this_file() ? lido::Verdict::keep : lido::Verdict::discard;
  }
};
// [/health]

// [recycle]
/// Rolls back what a holder left open, and closes a connection whose cache has grown beyond `most_cache` bytes.
struct TidyUp {
  int most_cache = 4 << 20;

  lido::Verdict recycle(Database& database, const lido::ConnectionInfo& info) const {
    if (info.moment != lido::Moment::release) return lido::Verdict::keep;
    if (::sqlite3_get_autocommit(database.handle()) == 0) database.exec("rollback");  // a throw costs this connection
    int cache = 0;
    int highest = 0;
    ::sqlite3_db_status(database.handle(), SQLITE_DBSTATUS_CACHE_USED, &cache, &highest, 0);
    return cache > most_cache ? lido::Verdict::discard : lido::Verdict::keep;
  }
};
// [/recycle]

int main() try {
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("lido_sqlite." + std::to_string(::getpid()));
  std::filesystem::create_directory(directory);
  const std::string file = directory / "notes.db";

  // [pool_of_anything]
  lido::Pool pool{[file] { return Database{file}; },                        // how to open one
                  lido::Elastic{.min_idle = 2, .max_size = 8},              // how many
                  SameFile{},                                               // which are fit to be leased
                  lido::AllOf{TidyUp{}, lido::RetireAfter{.age = 30min}}};  // which are kept
  pool.wait_until_ready(5s);

  pool.acquire()->exec("create table notes(text text not null)");
  // [/pool_of_anything]

  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&pool] {
        for (int note = 0; note < 25; ++note) pool.acquire()->exec("insert into notes values ('kept')");
      });
  }
  {
    auto careless = pool.acquire();
    careless->exec("begin; insert into notes values ('forgotten')");
  }  // not committed: the recycle policy rolls back
  const long kept = pool.acquire()->number("select count(*) from notes");

  // Somebody restores a backup. Whoever went on with the old file would write where nobody reads.
  std::filesystem::remove_all(directory);
  std::filesystem::create_directory(directory);
  Database{file}.exec("create table notes(text text); insert into notes values ('restored')");
  const long restored = pool.acquire()->number("select count(*) from notes");

  const lido::Statistics figures = pool.statistics();
  std::cout << kept << " notes were kept, " << restored << " restored; opened " << figures.opened << ", found dead "
            << figures.found_dead << '\n';
  pool.close(5s);
  std::filesystem::remove_all(directory);
  return kept == 100 && restored == 1 && figures.found_dead > 0 && figures.now.leased == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
