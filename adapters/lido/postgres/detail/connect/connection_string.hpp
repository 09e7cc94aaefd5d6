// A connection string, taken apart without ever showing what is secret in it.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/detail/concat.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/detail/connect/nearest.hpp>
#include <lido/postgres/detail/connect/pool_keys.hpp>
#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/options.hpp>

namespace lido::postgres::detail {

/// The options of a connection string, in libpq's own vocabulary.
class ConnectionString {
 public:
  /// Throws `PermanentConnectError` when `text` is malformed. The message never quotes it: libpq would take a piece of
  /// a password that should have been escaped for a port or a keyword, and print it.
  explicit ConnectionString(const std::string& text) {
    if (text.find('\0') != std::string::npos) throw malformed("no zero byte in it");
    const SplitString split{text, PQlibVersion() < 160'000};
    for (const auto& [key, value] : split.pool) {
      if (key.starts_with("pool_"))
        throw malformed("no key that begins with pool_, which nothing but a lido::postgres::Pool reads");
      balances_ = value == "random";
      if (!balances_ && value != "disable") throw malformed("random or disable as load_balance_hosts");
    }
    const ConninfoHandle parsed{PQconninfoParse((split.pool.empty() ? text : split.rest).c_str(), nullptr)};
    if (!parsed) {
      refuse_unknown(split.others);
      throw malformed("postgresql://user:password@host:port/database?key=value or key='value' pairs");
    }
    for (const PQconninfoOption* option = parsed.get(); option->keyword != nullptr; ++option)
      if (option->val != nullptr && *option->val != '\0') add(option->keyword, option->val);  // libpq ignores others
    refuse_pasted(parsed.get());
    for (const std::string_view key : {"connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval",
                                       "keepalives_count", "tcp_user_timeout"})
      check_number(key);
    if (!has_good_ports()) throw malformed("a port from 1 to 65535");
    if (is_uri(text)) check_at_signs(text);
    refuse_user_in(value("host"));
  }

  // These once, and not in each place that has one.
  [[gnu::noinline]] ConnectionString(const ConnectionString&) = default;
  [[gnu::noinline]] ConnectionString(ConnectionString&&) = default;
  [[gnu::noinline]] ConnectionString& operator=(const ConnectionString&) = default;
  [[gnu::noinline]] ConnectionString& operator=(ConnectionString&&) = default;
  [[gnu::noinline]] ~ConnectionString() = default;

  /// Throws `PermanentConnectError` where a value that messages show is a connection string of its own, or looks like
  /// one: it may hold a password.
  static void refuse_pasted(const PQconninfoOption* options) {
    for (; options->keyword != nullptr; ++options)
      if (options->val != nullptr && is_one_of(options->keyword, "host hostaddr port user dbname service") &&
          looks_like_a_string(options->val))
        throw malformed(lido::detail::concat({"a name as ", options->keyword, ", and no other connection string"}));
  }

  /// Throws `PermanentConnectError` where one of the `hosts` has a user in front of it, and perhaps a password.
  static void refuse_user_in(std::string_view hosts) {
    if (has_user(hosts)) throw malformed("a host without user and password");
  }

  /// Whether one of them has. An '@' at the beginning is that of an abstract Unix socket, and one of a directory is a
  /// part of its name, unless it may be that of a password with a comma in it: that has a ':' before it.
  /// Complexity: linear.
  [[nodiscard]] static bool has_user(std::string_view hosts) noexcept {
    std::size_t begin = 0;  // of the host
    bool colon = false;     // anywhere before
    for (std::size_t at = 0; at < hosts.size(); ++at) {
      if (hosts[at] == ',') begin = at + 1;
      if (hosts[at] == '@' && at > begin && (colon || hosts[begin] != '/')) return true;
      colon = colon || hosts[at] == ':';
    }
    return false;
  }

  /// It may hold a password.
  [[nodiscard]] static bool looks_like_a_string(const char* value) {
    const std::string_view text{value};
    if (text.find("://") != std::string_view::npos) return true;
    if (text.find('=') == std::string_view::npos) return false;
    static constexpr std::string_view secret = "password";
    return ConninfoHandle{PQconninfoParse(value, nullptr)} || find_in_any_case(text, secret) != std::string_view::npos;
  }

  /// Sets `key` unless the connection string did.
  [[gnu::noinline]] void set_default(std::string_view key, std::string_view value) {
    if (!has(key)) add(key, value);
  }
  [[gnu::noinline]] void set(std::string_view key, std::string_view value) {
    erase(key);
    add(key, value);
  }

  [[gnu::noinline]] void erase(std::string_view key) {
    std::erase_if(options_, [&](const auto& option) { return option.first == key; });
  }

  [[nodiscard]] bool has(std::string_view key) const noexcept { return find(key) != nullptr; }
  /// Empty where it is not set.
  [[nodiscard]] std::string_view value(std::string_view key) const noexcept {
    const std::string* found = find(key);
    return found == nullptr ? std::string_view{} : std::string_view{*found};
  }

  /// Each is from 1 to 65535, or the default.
  [[nodiscard]] bool has_good_ports() const noexcept {
    std::string_view list = value("port");
    while (!list.empty()) {
      std::string_view one = list.substr(0, list.find(','));
      list.remove_prefix(std::min(list.size(), one.size() + 1));
      if (one.empty()) continue;  // the default
      const std::uint64_t port = take_number<std::uint64_t>(one).value_or(0);
      if (!one.empty() || port < 1 || port > 65'535) return false;
    }
    return true;
  }

  /// `connect_timeout`, if it is set and limits anything.
  [[nodiscard]] std::optional<Duration> connect_timeout() const {
    std::string_view text = value("connect_timeout");
    const std::uint64_t seconds = take_number<std::uint64_t>(text).value_or(0);
    if (seconds == 0) return std::nullopt;
    return std::chrono::seconds{static_cast<std::int64_t>(std::min(seconds, std::uint64_t{1'000'000'000}))};
  }

  /// Whether `load_balance_hosts=random` was taken out of it, as this libpq does not know the key.
  [[nodiscard]] bool balances() const noexcept { return balances_; }

  /// Whatever is secret in it, blotted out of `message`.
  [[nodiscard]] std::string redacted(std::string message) const {
    for (const auto& [key, secret] : options_)
      if (key.find("password") != std::string::npos || key == "scram_client_key" || key == "oauth_client_secret")
        message = without_secret(std::move(message), secret);
    return message;
  }

  /// Null-terminated arrays for `PQconnectStartParams`, which live as long as this and until the next `set`.
  struct Arrays {
    std::vector<const char*> keys;
    std::vector<const char*> values;
  };
  /// With one more at the end, if that is not null.
  [[nodiscard]] Arrays arrays(const char* last_key = nullptr, const char* last_value = nullptr) const {
    const std::size_t count = options_.size();
    Arrays arrays{std::vector<const char*>(count + 2), std::vector<const char*>(count + 2)};
    for (std::size_t at = 0; at < count; ++at) {
      arrays.keys[at] = options_[at].first.c_str();
      arrays.values[at] = options_[at].second.c_str();
    }
    arrays.keys[count] = last_key;
    arrays.values[count] = last_value;
    return arrays;
  }

 private:
  [[nodiscard]] static PermanentConnectError malformed(std::string_view expected) {
    return PermanentConnectError{
        lido::detail::concat({"malformed connection string (not shown, it may hold a password): expected ", expected})};
  }

  // A key is no secret, but what stands in its place may be one that was pasted there: only what looks like a key is
  // named.
  static void refuse_unknown(const std::vector<std::string>& keys) {
    const ConninfoHandle defaults{PQconndefaults()};
    if (!defaults) return;
    std::vector<std::string> known{"requiressl"};  // which libpq makes into sslmode as it reads it
    for (const PQconninfoOption* option = defaults.get(); option->keyword != nullptr; ++option)
      add_name(known, option->keyword);
    for (const OptionSetting& setting : settings) add_name(known, setting.key());
    const auto is_known = [&](const std::string& key) {
      return std::find(known.begin(), known.end(), key) != known.end();
    };
    for (const std::string& key : keys) {
      if (is_known(key)) continue;
      if (key.empty() || key.size() > longest_name || !std::all_of(key.begin(), key.end(), is_key_letter)) return;
      // libpq's own names are too many to list. The pool's are those of `Options`, which need not begin so.
      std::string meant = lido::detail::concat({"pool_", key});
      if (!is_known(meant)) meant = nearest(key, known);
      throw PermanentConnectError{
          lido::detail::concat({"connection string: no key is called ", key, meant.empty() ? "" : "; did you mean ",
                                meant, meant.empty() ? "" : "?"})};
    }
  }
  [[nodiscard]] static bool is_key_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || c == '_'; }

  // An '@' or '/' of a password that is not escaped moves a part of it into the host or database, which libpq shows.
  void check_at_signs(std::string_view uri) const {
    uri.remove_prefix(uri.find("//") + 2);
    const std::string_view before_query = uri.substr(0, uri.find('?'));
    const auto count = std::count(before_query.begin(), before_query.end(), '@');
    const bool in_authority = uri.substr(0, uri.find('/')).find('@') != std::string_view::npos;
    if (count > 1 || (count == 1 && !in_authority) || has_user(value("host")))
      throw malformed("'@', '/' and '?' of a user or password to be written as %40, %2F and %3F");
  }

  void check_number(std::string_view key) const {
    const auto allowed = [](char c) { return (c >= '0' && c <= '9') || c == ' ' || c == '-'; };
    const std::string_view text = value(key);
    if (!std::all_of(text.begin(), text.end(), allowed)) throw malformed(lido::detail::concat({"a number as ", key}));
  }

  [[nodiscard, gnu::noinline]] const std::string* find(std::string_view key) const noexcept {
    for (const auto& [name, value] : options_)
      if (name == key) return &value;
    return nullptr;
  }

  [[gnu::noinline]] void add(std::string_view key, std::string_view value) { options_.emplace_back(key, value); }

  std::vector<std::pair<std::string, std::string>> options_;
  bool balances_ = false;
};

}  // namespace lido::postgres::detail
