// A throw-away PostgreSQL server: its own directory, a Unix socket only, gone with its owner even if that dies.
#pragma once

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <libpq-fe.h>
#include <support/patience.hpp>

namespace lido::test {

/// For one thread, and made in a thread that lives as long as the server: the kernel ends it with that thread.
class PostgresServer {
 public:
  /// How a server stops: `fast` says goodbye to its sessions, `immediate` is a crash.
  enum class Mode { fast, immediate };

  /// Initialises and starts a server; `LIDO_POSTGRES_BIN` says where its programs are, else the newest is taken.
  /// `settings` (`max_connections=20`) win over the usual ones. Throws `std::runtime_error` with the server's log.
  explicit PostgresServer(std::vector<std::string> settings = {})
      : programs_{find_programs()}, directory_{make_directory()}, settings_{std::move(settings)} {
    try {
      run({programs_ / "initdb", "--pgdata=" + data(), "--username=postgres", "--auth=trust", "--no-sync",
           "--encoding=UTF8", "--locale=C"});
      std::ofstream{data() + "/pg_hba.conf"} << "local all with_password scram-sha-256\nlocal all all trust\n"
                                             << "local replication all trust\n";
      start();
    } catch (...) {
      destroy();
      throw;
    }
  }
  /// A standby of `primary`, a copy of it that follows it under `name`, ready for reading.
  PostgresServer(const PostgresServer& primary, const std::string& name, std::vector<std::string> settings = {})
      : programs_{primary.programs_}, directory_{make_directory()}, settings_{std::move(settings)} {
    try {
      run({programs_ / "pg_basebackup", "--pgdata=" + data(), "--host=" + primary.directory_, "--username=postgres",
           "--checkpoint=fast", "--wal-method=stream", "--no-sync"});
      follow(primary, name);
    } catch (...) {
      destroy();
      throw;
    }
  }
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;
  ~PostgresServer() { destroy(); }

  /// For the superuser, who needs no password; the user `with_password`, once created, needs one.
  [[nodiscard]] std::string conninfo(const std::string& user = "postgres") const {
    return "host=" + directory_ + " user=" + user + " dbname=postgres";
  }
  /// The directory of the socket.
  [[nodiscard]] const std::string& host() const noexcept { return directory_; }
  [[nodiscard]] pid_t pid() const noexcept { return server_; }

  /// Starts it and waits until it takes connections; harmless when it runs.
  void start() {
    if (server_ != 0) return;
    std::vector<std::string> command{programs_ / "postgres",
                                     "-D",
                                     data(),
                                     "-c",
                                     "listen_addresses=",
                                     "-c",
                                     "unix_socket_directories=" + directory_,
                                     "-c",
                                     "fsync=off",
                                     "-c",
                                     "full_page_writes=off",
                                     "-c",
                                     "max_connections=200",
                                     "-c",
                                     "shared_buffers=16MB",
                                     "-c",
                                     "deadlock_timeout=50ms",
                                     "-c",
                                     "max_prepared_transactions=10"};
    for (const std::string& setting : settings_) command.insert(command.end(), {"-c", setting});
    server_ = spawn(command);
    wait_until("the server is ready", [this] {
      if (::waitpid(server_, nullptr, WNOHANG) == server_) {
        server_ = 0;
        throw std::runtime_error{"the server did not start:\n" + log()};
      }
      std::ifstream file{data() + "/postmaster.pid"};
      std::string line;
      bool ours = false;
      for (int number = 1; std::getline(file, line); ++number) {
        if (number == 1) ours = line == std::to_string(server_);
        if (number == 8) return ours && line.starts_with("ready");
      }
      return false;
    });
  }
  /// Stops it and waits until it is gone; harmless when it does not run.
  void stop(Mode mode = Mode::fast) {
    if (server_ == 0) return;
    sigcont();
    ::kill(server_, mode == Mode::fast ? SIGINT : SIGQUIT);
    wait_until("the server is gone", [this] { return ::waitpid(server_, nullptr, WNOHANG) != 0; });
    server_ = 0;
  }
  void restart(Mode mode = Mode::fast) {
    stop(mode);
    start();
  }

  /// Starts it, stopped before, as a standby of `primary`, which it must not be ahead of.
  void follow(const PostgresServer& primary, const std::string& name) {
    std::erase_if(settings_, [](const std::string& setting) { return setting.starts_with("primary_conninfo="); });
    settings_.push_back("primary_conninfo=host=" + primary.directory_ + " user=postgres application_name=" + name);
    start_as_standby();
    wait_until("the standby follows", [&] {
      return primary.ask("select count(*) from pg_stat_replication where state = 'streaming' and application_name = '" +
                         name + "'") == "1";
    });
  }
  /// Starts it, stopped before, as a standby of nobody unless its settings name a primary.
  void start_as_standby() {
    run({"/usr/bin/touch", data() + "/standby.signal"});  // by whoever owns the directory
    start();
  }
  /// Makes a standby a primary; returns when it takes writes.
  void promote() { ask("select pg_promote(true, 60)"); }

  /// Stops all its processes where they are, as a machine that hangs: connections stay, nothing answers. They are set
  /// going again when this process dies meanwhile, so that they can end, too.
  void sigstop() {
    if (server_ == 0) return;
    ::kill(server_, SIGSTOP);  // first, so that it starts no more
    guard(children());
    // A signal takes its time, and what the server was forking just then comes to light after it.
    for (std::size_t found = 0, before = 1; found != before || !is_stopped(server_);) {
      before = std::exchange(found, 0);
      for (const pid_t child : children()) {
        ::kill(child, SIGSTOP);
        ++found;
      }
    }
  }
  void sigcont() {
    if (server_ == 0) return;
    for (const pid_t child : children()) ::kill(child, SIGCONT);
    ::kill(server_, SIGCONT);
    dismiss_guard();
  }
  /// The path of its socket.
  [[nodiscard]] std::string socket() const { return directory_ + "/.s.PGSQL.5432"; }

  /// Ends every session; returns how many there were.
  int terminate_backends() {
    return std::stoi(
        ask("select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity "
            "where pid <> pg_backend_pid() and backend_type = 'client backend'"));
  }
  /// How many sessions there are; one that has just been closed may still be among them.
  [[nodiscard]] int sessions() const {
    return std::stoi(
        ask("select count(*) from pg_stat_activity "
            "where pid <> pg_backend_pid() and backend_type = 'client backend'"));
  }
  /// Runs `sql` on a connection of its own; returns the first value of the last statement, or nothing.
  std::string ask(const std::string& sql) const {
    PGconn* const connection = PQconnectdb(conninfo().c_str());
    PQsetNoticeProcessor(connection, [](void*, const char*) {}, nullptr);
    const std::string why_not = PQerrorMessage(connection);  // PQexec puts its own words in the place of these
    PGresult* const result = PQexec(connection, sql.c_str());
    const bool good = PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK;
    const std::string answer = good && PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "";
    const std::string error = why_not.empty() ? PQerrorMessage(connection) : why_not;
    PQclear(result);
    PQfinish(connection);
    if (!good) throw std::runtime_error{sql + ": " + error};
    return answer;
  }

  /// Starts another program as the server's user, with its log; it ends with this thread, and the caller waits for it.
  pid_t spawn(const std::vector<std::string>& command) const {
    const passwd* const user = other_user();
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const std::string log_file = directory_ + "/log";
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error{"fork failed"};
    if (child > 0) return child;
    // Nothing but system calls from here: other threads may have held locks when the fork came.
    if (user != nullptr && (::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0 || ::setuid(user->pw_uid) != 0))
      ::_exit(126);
    ::prctl(PR_SET_PDEATHSIG, SIGQUIT);  // after setuid, which clears it
    if (::getppid() != parent) ::_exit(125);
    const int output = ::open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    const int input = ::open("/dev/null", O_RDONLY);
    ::dup2(input, 0);
    ::dup2(output, 1);
    ::dup2(output, 2);
    if (::chdir("/") != 0) ::_exit(124);
    // What the tests have open (sockets above all) must not stay open in the server.
    for (int file = 3; file < 1024; ++file) ::close(file);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
  }

  /// Looks at `condition` again and again, for a minute at most.
  template <class Condition>
  static void wait_until(const char* what, Condition condition) {
    for (const Patience patience{what}; !condition(); patience.check()) ::poll(nullptr, 0, 2);
  }

 private:
  using Path = std::filesystem::path;

  [[nodiscard]] static Path find_programs() {
    if (const char* given = std::getenv("LIDO_POSTGRES_BIN")) return given;
    int newest = 0;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator{"/usr/lib/postgresql", ignored})
      if (std::filesystem::exists(entry.path() / "bin" / "postgres"))
        newest = std::max(newest, std::atoi(entry.path().filename().c_str()));
    if (newest > 0) return Path{"/usr/lib/postgresql"} / std::to_string(newest) / "bin";
    throw std::runtime_error{"no PostgreSQL server found: set LIDO_POSTGRES_BIN"};
  }

  // The server refuses to run as root; then it runs as `postgres`, or as `nobody`.
  [[nodiscard]] static const passwd* other_user() {
    if (::geteuid() != 0) return nullptr;
    const passwd* user = ::getpwnam("postgres");
    return user != nullptr ? user : ::getpwnam("nobody");
  }
  [[nodiscard]] static std::string make_directory() {
    char path[] = "/tmp/lido-XXXXXX";  // short: the path of a socket has 107 characters at most
    if (::mkdtemp(path) == nullptr) throw std::runtime_error{"mkdtemp failed"};
    if (const passwd* user = other_user(); user != nullptr && ::chown(path, user->pw_uid, user->pw_gid) != 0)
      throw std::runtime_error{"chown failed"};
    return path;
  }
  [[nodiscard]] std::string data() const { return directory_ + "/data"; }
  [[nodiscard]] std::string log() const {
    std::ostringstream text;
    text << std::ifstream{directory_ + "/log"}.rdbuf();
    return text.str();
  }

  void run(const std::vector<std::string>& command) const {
    const pid_t child = spawn(command);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) throw std::runtime_error{command[0] + " failed:\n" + log()};
  }

  // The server's processes are its children.
  [[nodiscard]] std::vector<pid_t> children() const {
    std::vector<pid_t> found;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc", ignored}) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      std::string line;
      std::getline(std::ifstream{entry.path() / "stat"}, line);
      // `pid (name) state parent`, and a name may hold anything.
      std::istringstream rest{line.substr(std::min(line.size(), line.rfind(')') + 1))};
      char state = 0;
      pid_t parent = 0;
      if (rest >> state >> parent && parent == server_) found.push_back(static_cast<pid_t>(std::stol(name)));
    }
    return found;
  }

  [[nodiscard]] static bool is_stopped(pid_t process) {
    std::ifstream status{"/proc/" + std::to_string(process) + "/stat"};
    std::string text{std::istreambuf_iterator<char>{status}, {}};
    const auto state = text.rfind(") ");  // behind the name
    return state == std::string::npos || text[state + 2] == 'T' || text[state + 2] == 'Z';
  }

  // A process that sees the end of a pipe when this one is gone. A stopped server would not notice.
  void guard(const std::vector<pid_t>& processes) {
    dismiss_guard();
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error{"pipe2 failed"};
    const pid_t server = server_;
    guard_ = ::fork();
    if (guard_ == 0) {
      // Nothing but system calls, as in `spawn`. Whoever ends the tests means their process group.
      ::setsid();
      for (int file = 0; file < 1024; ++file)
        if (file != ends[0]) ::close(file);
      char byte = 0;
      while (::read(ends[0], &byte, 1) < 0 && errno == EINTR) {
      }
      for (const pid_t each : processes) ::kill(each, SIGCONT);
      ::kill(server, SIGQUIT);
      ::kill(server, SIGCONT);
      ::_exit(0);
    }
    ::close(ends[0]);
    if (guard_ > 0) {
      guarded_ = ends[1];
      return;
    }
    ::close(ends[1]);
    guard_ = 0;
    ::kill(server_, SIGCONT);
    throw std::runtime_error{"fork failed"};
  }
  void dismiss_guard() noexcept {
    if (guard_ == 0) return;
    ::kill(guard_, SIGKILL);  // before the pipe ends, which it would take for our death
    ::waitpid(guard_, nullptr, 0);
    ::close(guarded_);
    guard_ = 0;
  }

  void destroy() noexcept {
    try {
      stop(Mode::immediate);
    } catch (...) {
      dismiss_guard();
      ::kill(server_, SIGKILL);
      ::waitpid(server_, nullptr, 0);
    }
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  Path programs_;
  std::string directory_;
  std::vector<std::string> settings_;
  pid_t server_ = 0;
  pid_t guard_ = 0;
  int guarded_ = -1;
};

}  // namespace lido::test
