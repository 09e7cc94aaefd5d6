// A proxy in front of a PostgreSQL server with faults that can be switched while it runs.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <list>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace lido::test {

/// Listens on a TCP port of this machine and passes bytes to a Unix socket and back. Each function that sets a fault
/// returns once it is in force. For any thread.
class FaultProxy {
 public:
  using Clock = std::chrono::steady_clock;

  explicit FaultProxy(std::string server) : server_{std::move(server)}, wake_{::eventfd(0, EFD_CLOEXEC)} {
    // Below the ports that the kernel gives to others.
    std::random_device random;
    for (int tries = 0; listener_ < 0 && tries < 100; ++tries) {
      port_ = static_cast<std::uint16_t>(std::uniform_int_distribution{20'000, 32'000}(random));
      take_port();
    }
    if (wake_ < 0 || listener_ < 0) throw std::runtime_error{"the proxy finds no port"};
    thread_ = std::thread{[this] { run(); }};
  }
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;
  ~FaultProxy() {
    set({.kind = Kind::end});
    thread_.join();
    for (Link& link : links_) end(link, true);
    for (const int file : {listener_, wake_})
      if (file >= 0) ::close(file);
  }

  [[nodiscard]] std::string conninfo(const std::string& user) const {
    return "host=127.0.0.1 port=" + std::to_string(port_) + " user=" + user +
           " dbname=postgres sslmode=disable gssencmode=disable";
  }

  /// No fault. What was swallowed stays lost, and so does the connection that lost it.
  void pass() { set({}); }
  /// Every byte arrives so much later.
  void delay(Clock::duration time) { set({.kind = Kind::delay, .time = time}); }
  /// Swallows everything, ends of connections included, as a network that lost its way; new connections are taken.
  void drop() { set({.kind = Kind::drop}); }
  /// Resets each connection that has passed so many bytes from now on.
  void cut_after(std::size_t bytes) { set({.kind = Kind::cut, .bytes = bytes}); }
  /// Takes cancel requests, says that they have arrived, and forwards them so much later.
  void acknowledge_cancels_early(Clock::duration time) { set({.kind = Kind::late_cancels, .time = time}); }
  /// Takes no new connections: the kernel takes a few by itself, then answers no more.
  void stop_accepting() { set({.kind = Kind::deaf}); }
  /// Takes new connections and never answers them.
  void stay_silent() { set({.kind = Kind::silent}); }
  /// Passes what sessions begin with, and from the server's first ReadyForQuery on nothing any more.
  void fall_silent_once_ready() { set({.kind = Kind::mute}); }
  /// How often something was swallowed that a client had sent to a session which had fallen silent so.
  [[nodiscard]] std::size_t swallowed() const {
    const std::scoped_lock lock{mutex_};
    return swallowed_;
  }
  /// Takes no new connections, and says so.
  void refuse() { set({.kind = Kind::refuse}); }
  /// Resets all connections that there are, once.
  void cut() {
    Fault same = fault();
    same.reset = true;
    set(same);
  }

  /// The most sessions that clients had open at once, exactly: cancel requests are none, and one that the client has
  /// closed is none any more, whatever the server knows of it.
  [[nodiscard]] std::size_t peak() const {
    const std::scoped_lock lock{mutex_};
    return peak_;
  }

 private:
  enum class Kind : unsigned char { pass, delay, late_cancels, drop, cut, deaf, silent, mute, refuse, end };
  struct Fault {
    Kind kind = Kind::pass;
    Clock::duration time{};
    std::size_t bytes = std::numeric_limits<std::size_t>::max();
    bool reset = false;
  };
  struct Chunk {
    Clock::time_point due;
    std::string bytes;
  };
  struct Link {
    int ends[2] = {-1, -1};      // the client and the server; -1 once closed
    std::deque<Chunk> ahead[2];  // what goes to the server, what goes to the client
    bool over[2] = {false, false};
    bool greeted = false;  // its first message has come
    bool session = false;  // and was no cancel request
    bool lost = false;     // bytes were swallowed: what follows would make no sense to anybody
    std::size_t passed = 0;
  };

  [[nodiscard]] Fault fault() const {
    const std::scoped_lock lock{mutex_};
    return wanted_;
  }
  void set(const Fault& fault) {
    std::unique_lock lock{mutex_};
    wanted_ = fault;
    const std::uint64_t mine = ++changes_;
    wake();
    applied_changed_.wait(lock, [&] { return applied_ >= mine; });
  }
  void wake() const {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_, &one, sizeof one));
  }

  void take_port() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bool taken = ::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    // Not before: the port of another proxy, which refuses just now, is not free. From now on, as connections that
    // there are must not keep this one from listening again.
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    taken = taken && ::listen(listener_, 128) == 0;
    if (!taken) ::close(std::exchange(listener_, -1));
  }

  // Takes over what was asked for. False: the end.
  bool apply() {
    std::unique_lock lock{mutex_};
    if (applied_ != changes_) {
      const bool listens = now_.kind != Kind::refuse;
      now_ = wanted_;
      if (now_.reset)
        for (Link& link : links_) end(link, true);
      for (Link& link : links_) {
        link.passed = 0;
        finish(link);  // what was swallowed until now may end
      }
      wanted_.reset = false;
      // Without a listener the kernel refuses connections, and the port stays taken. Once: a second time, what is
      // accepted later would be shut, too.
      if (now_.kind != Kind::refuse)
        ::listen(listener_, now_.kind == Kind::deaf ? 1 : 128);
      else if (listens)
        ::shutdown(listener_, SHUT_RD);
      applied_ = changes_;
      applied_changed_.notify_all();
    }
    return now_.kind != Kind::end;
  }

  void run() {
    std::vector<pollfd> files;
    while (apply()) {
      files.assign({{.fd = wake_, .events = POLLIN, .revents = 0},
                    {.fd = now_.kind == Kind::deaf || now_.kind == Kind::refuse ? -1 : listener_,
                     .events = POLLIN,
                     .revents = 0}});
      for (const Link& link : links_)
        for (const int end : {0, 1})
          files.push_back({.fd = link.over[end] ? -1 : link.ends[end], .events = POLLIN, .revents = 0});
      ::poll(files.data(), files.size(), patience());
      if (std::uint64_t count = 0; files[0].revents != 0) static_cast<void>(!::read(wake_, &count, sizeof count));
      std::size_t file = 2;
      for (Link& link : links_) {
        for (const int from : {0, 1})
          if (files[file++].revents != 0) receive(link, from);
        for (const int from : {0, 1}) send(link, from);
        finish(link);
      }
      links_.remove_if([](const Link& link) { return link.ends[0] < 0 && link.ends[1] < 0; });
      if (files[1].revents != 0) accept();
    }
  }

  [[nodiscard]] int patience() const {
    auto due = Clock::time_point::max();
    for (const Link& link : links_)
      for (const auto& queue : link.ahead)
        if (!queue.empty()) due = std::min(due, queue.front().due);
    if (due == Clock::time_point::max()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now()).count();
    return static_cast<int>(std::max<long long>(left, 1));  // 1: a peer's buffer is full
  }

  void accept() {
    for (int client = 0; (client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0;) {
      const int on = 1;
      ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      Link& link = links_.emplace_back();
      link.ends[0] = client;
      link.lost = now_.kind == Kind::drop || now_.kind == Kind::silent;
      if (!link.lost && !connect(link)) end(link, true);
    }
  }

  [[nodiscard]] bool connect(Link& link) const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    server_.copy(address.sun_path, sizeof address.sun_path - 1);
    link.ends[1] = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return ::connect(link.ends[1], reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }

  void receive(Link& link, int from) {
    std::array<char, 16'384> buffer;
    const ssize_t count = ::recv(link.ends[from], buffer.data(), buffer.size(), 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (count <= 0) {
      link.over[from] = true;
      return;
    }
    const std::string_view bytes{buffer.data(), static_cast<std::size_t>(count)};
    if (from == 0 && !std::exchange(link.greeted, true)) greet(link, bytes);
    link.lost = link.lost || now_.kind == Kind::drop;
    if (link.lost) return note_swallowed(from);
    const bool early = now_.kind == Kind::late_cancels && !link.session;
    const Clock::duration later = early || now_.kind == Kind::delay ? now_.time : Clock::duration::zero();
    link.ahead[from].push_back({Clock::now() + later, std::string{bytes}});
    constexpr std::string_view ready{"Z\0\0\0\5I", 6};
    link.lost = now_.kind == Kind::mute && from == 1 && bytes.find(ready) != std::string_view::npos;
    if (early) ::close(std::exchange(link.ends[0], -1));  // by which its client knows
  }

  void note_swallowed(int from) {
    if (from == 1 || now_.kind != Kind::mute) return;
    const std::scoped_lock lock{mutex_};
    ++swallowed_;
  }

  // A session's first message is its startup packet; a cancel request says another number.
  void greet(Link& link, std::string_view bytes) {
    link.session = bytes.size() < 8 || bytes.substr(4, 4) != std::string_view{"\x04\xd2\x16\x2e", 4};
    if (!link.session) return;
    std::size_t open = 0;
    for (const Link& each : links_) {
      // Asked now: a client that has closed one before it opened the next has one.
      pollfd file{.fd = each.session ? each.ends[0] : -1, .events = POLLRDHUP, .revents = 0};
      ::poll(&file, 1, 0);
      if (file.fd >= 0 && file.revents == 0) ++open;
    }
    const std::scoped_lock lock{mutex_};
    peak_ = std::max(peak_, open);
  }

  void send(Link& link, int from) {
    const int to = link.ends[1 - from];
    for (auto& queue = link.ahead[from]; !queue.empty() && queue.front().due <= Clock::now();) {
      std::string& bytes = queue.front().bytes;
      const std::size_t most = std::min(bytes.size(), now_.bytes - std::min(now_.bytes, link.passed));
      const ssize_t count = ::send(to, bytes.data(), most, MSG_NOSIGNAL);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (count < 0) return queue.clear();
      bytes.erase(0, static_cast<std::size_t>(count));
      link.passed += static_cast<std::size_t>(count);
      if (link.passed >= now_.bytes) return end(link, true);
      if (bytes.empty()) queue.pop_front();
    }
  }

  // Passes the end of a connection on, behind the bytes that came before it.
  void finish(Link& link) {
    link.lost = link.lost || (now_.kind == Kind::drop && (link.over[0] || link.over[1]));
    if (now_.kind == Kind::drop) {
      for (const int each : {0, 1})
        if (link.over[each] && link.ends[each] >= 0) ::close(std::exchange(link.ends[each], -1));
    } else if (link.over[0] ||
               (!link.lost && link.over[1] && link.ahead[1].empty())) {  // a client that lost bytes learns nothing
      end(link, false);
    } else if (link.over[1] && link.ends[1] >= 0) {
      ::close(std::exchange(link.ends[1], -1));
    }
  }

  static void end(Link& link, bool reset) {
    for (int& file : link.ends) {
      if (file < 0) continue;
      const linger at_once{.l_onoff = reset ? 1 : 0, .l_linger = 0};
      ::setsockopt(file, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      ::close(std::exchange(file, -1));
    }
    for (auto& queue : link.ahead) queue.clear();
  }

  const std::string server_;
  const int wake_;
  std::uint16_t port_ = 0;
  // The thread's own.
  int listener_ = -1;
  std::list<Link> links_;
  Fault now_;
  // Owned by the mutex.
  mutable std::mutex mutex_;
  std::condition_variable applied_changed_;
  Fault wanted_;
  std::uint64_t changes_ = 0;
  std::uint64_t applied_ = 0;
  std::size_t peak_ = 0;
  std::size_t swallowed_ = 0;
  std::thread thread_;
};

}  // namespace lido::test
