// Clients of other languages, which are programs of their own: `run` says in BENCHMARK_BULK which there are, a line
// each: name, tasks and command, with tabs between. See peers/README.md for what they are asked.
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "bulk.hpp"

namespace {

using namespace bulk;

class Child {
 public:
  Child(std::vector<std::string> words, const std::string& conninfo) {
    words.push_back(conninfo);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw std::runtime_error{"socketpair"};
    child_ = fork();
    if (child_ == 0) {
      dup2(ends[1], STDIN_FILENO);
      dup2(ends[1], STDOUT_FILENO);
      execvp(arguments[0], arguments.data());
      _exit(127);
    }
    close(ends[1]);
    end_ = fdopen(ends[0], "r+");
  }
  ~Child() {
    std::fclose(end_);
    waitpid(child_, nullptr, 0);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  double ask(const std::string& task, std::size_t rows) {
    std::fprintf(end_, "%s %zu\n", task.c_str(), rows);
    std::fflush(end_);
    double outcome = 0, processor = 0;
    char line[256];
    if (std::fgets(line, sizeof line, end_) == nullptr || std::sscanf(line, "%lf %lf", &outcome, &processor) != 2)
      throw std::runtime_error{"a peer failed at " + task};
    elsewhere += processor;
    return outcome;
  }

 private:
  pid_t child_ = -1;
  std::FILE* end_ = nullptr;
};

const bool registered = [] {
  const std::map<std::string, Task> tasks{{"read", Task::read},         {"stream", Task::stream},
                                          {"copy_out", Task::copy_out}, {"copy_in", Task::copy_in},
                                          {"pipeline", Task::pipeline}, {"unnest", Task::unnest}};
  const char* const told = std::getenv("BENCHMARK_BULK");
  std::istringstream lines{told == nullptr ? "" : told};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream parts{line};
    std::string name, can, word;
    std::getline(parts, name, '\t');
    std::getline(parts, can, '\t');
    std::vector<std::string> command;
    while (std::getline(parts, word, '\t')) command.push_back(word);
    std::istringstream which{can};
    while (which >> word) {
      ways().push_back({tasks.at(word), name, [command, word](const std::string& conninfo, const Rows& rows) -> Once {
                          auto child = std::make_shared<Child>(command, conninfo);
                          return [child, word, count = rows.size()] { return child->ask(word, count); };
                        }});
      ways().back().is_elsewhere = true;
    }
  }
  return true;
}();

}  // namespace
