// A connection string with several hosts, as strings with one host each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/connect/remote.hpp>

namespace lido::postgres::detail {

/// The parts of one of libpq's lists with commas between; of an empty one none.
[[nodiscard]] inline std::vector<std::string> list_of(std::string_view text) {
  std::vector<std::string> parts;
  for (bool more = !text.empty(); more;) {
    const std::size_t comma = text.find(',');
    add_name(parts, text.substr(0, comma));
    more = comma != std::string_view::npos;
    if (more) text.remove_prefix(comma + 1);
  }
  return parts;
}

/// Whether an empty part of `list`, which `target` has for `key`, would alone not be empty: libpq takes what the
/// environment says, or a service file.
[[nodiscard]] inline bool inherits(ConnectionString target, const char* key, const std::vector<std::string>& list) {
  if (std::find(list.begin(), list.end(), "") == list.end()) return false;
  target.erase(key);
  return !Effective{target}.value(key).empty();
}

/// What to try, one after the other; in a random order where that or libpq's own key asks for it. The lists may also
/// come from libpq's environment (PGHOST) and service files. One string alone where there is nothing to choose from,
/// where the lists do not match each other, for libpq to say so, and where a list says what one host cannot say.
[[nodiscard]] inline std::vector<ConnectionString> one_by_one(ConnectionString target, bool shuffled) {
  const Effective effective{target};
  // Where it does not block libpq leaves this to its caller.
  if (const std::string limit = effective.value("connect_timeout"); !limit.empty())
    target.set_default("connect_timeout", limit);
  const std::vector<std::string> names = list_of(effective.value("host"));
  const std::vector<std::string> addresses = list_of(effective.value("hostaddr"));
  const std::vector<std::string> ports = list_of(effective.value("port"));
  const std::size_t count = addresses.empty() ? names.size() : addresses.size();
  const auto fits = [&](const auto& list) { return list.empty() || list.size() == count; };
  if (count < 2 || !fits(names) || !(fits(ports) || ports.size() == 1)) return {target};
  if (inherits(target, "host", names) || inherits(target, "hostaddr", addresses)) return {target};
  if (const std::string wanted = Effective{target, "sslmode"}.value("target_session_attrs"); !wanted.empty())
    target.set_default("target_session_attrs", wanted);

  std::vector<ConnectionString> hosts(count, target);
  for (std::size_t i = 0; i < count; ++i) {
    if (!names.empty()) hosts[i].set("host", names[i]);
    if (!addresses.empty()) hosts[i].set("hostaddr", addresses[i]);
    // An empty one is libpq's own, whatever PGPORT says.
    if (ports.size() > 1) hosts[i].set("port", ports[i].empty() ? effective.compiled("port") : ports[i]);
  }
  if (shuffled || target.balances() || effective.value("load_balance_hosts") == "random") {
    std::random_device random;
    std::shuffle(hosts.begin(), hosts.end(), random);
  }
  if (target.value("target_session_attrs") != "prefer-standby") return hosts;
  // It takes two looks at the list, as libpq does, too: at the standbys, and then at whatever there is.
  std::vector<ConnectionString> twice = hosts;
  for (ConnectionString& host : twice) host.set("target_session_attrs", "standby");
  for (ConnectionString& host : hosts) host.set("target_session_attrs", "any");
  twice.insert(twice.end(), hosts.begin(), hosts.end());
  return twice;
}

}  // namespace lido::postgres::detail
