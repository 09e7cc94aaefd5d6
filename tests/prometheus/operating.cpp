// What the adapter gives to an operator: alert rules and a dashboard, tried with a real Prometheus.
#include <netinet/in.h>
#include <prometheus/exposer.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <lido/pool.hpp>
#include <lido/prometheus/collector.hpp>
#include <support/directory.hpp>

namespace lido::prometheus {  // NOLINT(modernize-concat-nested-namespaces): the suite is a macro
BOOST_AUTO_TEST_SUITE(operating)

namespace {

using namespace std::chrono_literals;

// The directory of the adapter, from that of this file.
std::filesystem::path adapter() {
  return std::filesystem::path{__FILE__}.parent_path() / "../../adapters/lido/prometheus";
}

// What a command prints, and how it ends.
std::pair<std::string, int> run(const std::string& command) {
  std::FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  BOOST_REQUIRE(pipe != nullptr);
  std::string said;
  char buffer[4096];
  for (std::size_t size; (size = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) said.append(buffer, size);
  return {said, ::pclose(pipe)};
}

// A port that was free a moment ago.
int free_port() {
  const int link = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  BOOST_REQUIRE(::bind(link, reinterpret_cast<const sockaddr*>(&address), size) == 0);
  BOOST_REQUIRE(::getsockname(link, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  ::close(link);
  return ntohs(address.sin_port);
}

// A Prometheus that scrapes one port five times a second. Gone with its owner, also when the test dies.
class Prometheus {
 public:
  explicit Prometheus(int scraped) {
    std::ofstream{directory_ / "prometheus.yml"}
        << "global: {scrape_interval: 200ms}\nscrape_configs:\n  - job_name: lido\n"
           "    static_configs: [{targets: ['127.0.0.1:"
        << scraped << "']}]\n";
    start();
  }
  Prometheus(const Prometheus&) = delete;
  Prometheus& operator=(const Prometheus&) = delete;
  ~Prometheus() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

  // On another port where it has ended, as somebody else had taken its own.
  void see_that_it_runs() {
    if (::waitpid(child_, nullptr, WNOHANG) == child_) start();
  }

  // The answer to an instant query, as JSON; empty where nobody answers.
  [[nodiscard]] std::string ask(const std::string& expression) const {
    std::ofstream{directory_ / "query"} << expression;
    const auto [said, status] = run("curl -s -G --max-time 10 --data-urlencode query@" + (directory_ / "query") +
                                    " http://127.0.0.1:" + std::to_string(port_) + "/api/v1/query");
    return status == 0 ? said : std::string{};
  }
  [[nodiscard]] std::string log() const {
    std::ifstream file{directory_ / "log"};
    return {std::istreambuf_iterator<char>{file}, {}};
  }

 private:
  void start() {
    port_ = free_port();
    const std::string config = "--config.file=" + directory_ / "prometheus.yml";
    const std::string data = "--storage.tsdb.path=" + directory_ / "data";
    const std::string address = "--web.listen-address=127.0.0.1:" + std::to_string(port_);
    child_ = ::fork();
    BOOST_REQUIRE(child_ >= 0);
    if (child_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (std::freopen((directory_ / "log").c_str(), "w", stderr) == nullptr) ::_exit(126);
      ::execlp("prometheus", "prometheus", config.c_str(), data.c_str(), address.c_str(), static_cast<char*>(nullptr));
      ::_exit(127);
    }
  }

  test::Directory directory_;
  int port_ = 0;
  pid_t child_ = 0;
};

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

// Each `"expr"` of the dashboard, as Grafana would send it with all pools chosen.
std::set<std::string> expressions_of_the_dashboard() {
  std::ifstream file{adapter() / "dashboard.json"};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  constexpr std::string_view key = "\"expr\": \"";
  std::set<std::string> found;
  for (std::size_t at = 0; (at = text.find(key, at)) != std::string::npos;) {
    std::string expression;
    for (at += key.size(); at < text.size() && text[at] != '"'; ++at) {
      if (text[at] == '\\') ++at;
      expression += text[at];
    }
    replace_all(expression, "$__rate_interval", "30s");
    replace_all(expression, "$pool", ".*");
    found.insert(std::move(expression));
  }
  return found;
}

}  // namespace

BOOST_AUTO_TEST_CASE(each_alert_fires_on_its_fault_and_none_in_normal_operation) {
  const std::string here = std::filesystem::path{__FILE__}.parent_path().string();
  const auto [said, status] = run("cd '" + here + "' && promtool test rules alerts_test.yml");
  BOOST_TEST(status == 0, said);
  // None is forgotten: each has a row in which it fires.
  std::ifstream rules{adapter() / "alerts.yml"};
  std::ifstream tests{std::filesystem::path{here} / "alerts_test.yml"};
  const std::string rows{std::istreambuf_iterator<char>{tests}, {}};
  int alerts = 0;
  for (std::string line; std::getline(rules, line);) {
    constexpr std::string_view key = "- alert: ";
    const std::size_t at = line.find(key);
    if (at == std::string::npos) continue;
    ++alerts;
    const std::string name = line.substr(at + key.size());
    BOOST_TEST((rows.find("alertname: " + name + "\n        exp_alerts:\n          - exp_labels") != std::string::npos),
               name);
  }
  BOOST_TEST(alerts == 8);
}

BOOST_AUTO_TEST_CASE(each_expression_of_the_dashboard_is_answered_by_a_real_prometheus) {
  Pool<std::string, FixedSize> orders{[] { return std::string{"a connection"}; }, {2}, {}, {}, {.name = "orders"}};
  ::prometheus::Exposer exposer{"127.0.0.1:0", 1};
  const auto collector = std::make_shared<Collector>();
  exposer.RegisterCollectable(collector);
  const auto registration = collector->add(orders);
  Prometheus server{exposer.GetListeningPorts().at(0)};

  const auto begun = std::chrono::steady_clock::now();
  const std::string scraped = "count_over_time(db_pool_size[1m]) >= 3";
  while (server.ask(scraped).find("\"value\"") == std::string::npos) {
    if (std::chrono::steady_clock::now() - begun > 300s) BOOST_FAIL("nothing was scraped: " + server.log());
    server.see_that_it_runs();
    orders.acquire().release();
  }
  const std::set<std::string> expressions = expressions_of_the_dashboard();
  BOOST_TEST(expressions.size() > 25U);
  for (const std::string& expression : expressions) {
    std::string answer;
    const auto is_answered = [&] {
      answer = server.ask(expression);
      return answer.find("\"pool\":\"orders\"") != std::string::npos;
    };
    // After a scrape that took too long all gauges are gone until the next one.
    const auto limit = std::chrono::steady_clock::now() + 60s;
    bool answered = is_answered();
    for (; !answered && std::chrono::steady_clock::now() < limit; answered = is_answered()) orders.acquire().release();
    BOOST_TEST(answered, expression << ": " << answer);
  }
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace lido::prometheus
