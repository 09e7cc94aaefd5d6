#include "workload.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <set>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

namespace lab {

namespace {

using Json = nlohmann::json;

// An object of the file whose members are asked for by name; what nobody asked for is an error.
class Fields {
 public:
  Fields(const Json& object, std::string path) : object_{object}, path_{std::move(path)} {
    if (!object.is_object()) throw InvalidInput{path_, "an object"};
  }

  [[nodiscard]] const Json* find(const char* name) {
    known_.insert(name);
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }
  [[nodiscard]] std::string path(const char* name) const { return path_ + "." + name; }

  double number(const char* name, double fallback, double least, bool above = false) {
    const Json* const value = find(name);
    return value == nullptr ? fallback : number(*value, path(name), least, above);
  }
  static double number(const Json& value, const std::string& path, double least, bool above = false) {
    const std::string expected = std::string{"a number "} + (above ? "above " : "of at least ") + words(least);
    if (!value.is_number()) throw InvalidInput{path, expected};
    const auto read = value.get<double>();
    if (!std::isfinite(read) || read < least || (above && read == least) || read > 1e9)
      throw InvalidInput{path, expected};
    return read;
  }
  std::size_t count(const char* name, std::size_t fallback, std::size_t least) {
    const Json* const value = find(name);
    return value == nullptr ? fallback : count(*value, path(name), least);
  }
  static std::size_t count(const Json& value, const std::string& path, std::size_t least) {
    constexpr std::uint64_t most = 100'000;
    const std::string expected = "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
    if (!value.is_number_unsigned()) throw InvalidInput{path, expected};
    const auto read = value.get<std::uint64_t>();
    if (read < least || read > most) throw InvalidInput{path, expected};
    return static_cast<std::size_t>(read);
  }
  std::string text(const char* name, std::string fallback) {
    const Json* const value = find(name);
    if (value == nullptr) return fallback;
    if (!value->is_string() || value->get_ref<const std::string&>().size() > 100)
      throw InvalidInput{path(name), "a text of at most 100 bytes"};
    return value->get<std::string>();
  }
  static const Json::array_t& list(const Json& value, const std::string& path, const char* of) {
    if (!value.is_array() || value.empty()) throw InvalidInput{path, std::string{"a list of "} + of};
    return value.get_ref<const Json::array_t&>();
  }

  void nothing_else() const {
    for (const auto& [name, value] : object_.items()) {
      if (known_.contains(name)) continue;
      std::string all;
      for (const std::string& one : known_) all += (all.empty() ? "" : ", ") + one;
      throw InvalidInput{path_ + "." + name, "one of " + all};
    }
  }

 private:
  static std::string words(double number) {
    std::string text = std::to_string(number);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
    return text;
  }

  const Json& object_;
  std::string path_;
  std::set<std::string> known_;
};

Distribution distribution(const Json& json, const std::string& path, int depth = 0) {
  if (json.is_number()) return Distribution::constant(Fields::number(json, path, 0));
  Fields fields{json, path};
  if (fields.find("upper") != nullptr) {
    std::vector<double> upper, counts;
    const Json* const given = fields.find("counts");
    if (given == nullptr) throw InvalidInput{fields.path("counts"), "as many numbers as `upper` has"};
    for (const Json& one : Fields::list(*fields.find("upper"), fields.path("upper"), "numbers")) {
      upper.push_back(Fields::number(one, fields.path("upper"), 0));
      if (upper.size() > 1 && upper.back() <= upper[upper.size() - 2])
        throw InvalidInput{fields.path("upper"), "numbers that increase"};
    }
    for (const Json& one : Fields::list(*given, fields.path("counts"), "numbers"))
      counts.push_back(Fields::number(one, fields.path("counts"), 0));
    if (counts.size() != upper.size()) throw InvalidInput{fields.path("counts"), "as many numbers as `upper` has"};
    if (std::ranges::all_of(counts, [](double one) { return one == 0; }))
      throw InvalidInput{fields.path("counts"), "at least one that is not 0: the record is of nothing"};
    fields.nothing_else();
    return Distribution::histogram(std::move(upper), std::move(counts));
  }
  if (const Json* const parts = fields.find("mix")) {
    if (depth > 3) throw InvalidInput{path, "a mix that is not nested so deeply"};
    std::vector<std::pair<double, Distribution>> mixed;
    for (const Json& one : Fields::list(*parts, fields.path("mix"), "parts")) {
      const std::string where = fields.path("mix") + "[" + std::to_string(mixed.size()) + "]";
      Fields part{one, where};
      const double share = part.number("share", 1, 0, true);
      const Json* const span = part.find("span");
      if (span == nullptr) throw InvalidInput{part.path("span"), "a number of seconds, or a distribution"};
      mixed.emplace_back(share, distribution(*span, part.path("span"), depth + 1));
      part.nothing_else();
    }
    fields.nothing_else();
    return Distribution::mix(std::move(mixed));
  }
  const Json* const mean = fields.find("exponential");
  if (mean == nullptr)
    throw InvalidInput{path, "a number of seconds, or an object with `exponential`, `mix`, or `upper` and `counts`"};
  const double read = Fields::number(*mean, fields.path("exponential"), 0, true);
  fields.nothing_else();
  return Distribution::exponential(read);
}

std::vector<Rate> arrivals(const Json& json, const std::string& path, double lasts) {
  if (json.is_number()) return {{.lasts = lasts, .per_second = Fields::number(json, path, 0, true)}};
  std::vector<Rate> rates;
  for (const Json& one : Fields::list(json, path, "objects with `lasts` and `per_second`")) {
    Fields fields{one, path + "[" + std::to_string(rates.size()) + "]"};
    rates.push_back({.lasts = fields.number("lasts", 1, 0, true), .per_second = fields.number("per_second", 0, 0)});
    fields.nothing_else();
  }
  if (std::ranges::all_of(rates, [](const Rate& rate) { return rate.per_second == 0; }))
    throw InvalidInput{path, "at least one rate above 0"};
  return rates;
}

std::vector<Fault> faults(const Json& json, const std::string& path) {
  std::vector<Fault> all;
  for (const Json& one : Fields::list(json, path, "objects with `at`, `lasts` and `kind`")) {
    Fields fields{one, path + "[" + std::to_string(all.size()) + "]"};
    const std::string kind = fields.text("kind", "");
    if (kind != "stall" && kind != "refuse" && kind != "kill")
      throw InvalidInput{fields.path("kind"), "stall, refuse or kill"};
    all.push_back({.at = fields.number("at", 0, 0),
                   .lasts = fields.number("lasts", 0, 0),
                   .harm = kind == "stall"    ? Harm::stall
                           : kind == "refuse" ? Harm::refuse
                                              : Harm::kill});
    if (kind == "kill" && all.back().lasts > 0) throw InvalidInput{fields.path("lasts"), "none: it happens once"};
    if (kind != "kill" && all.back().lasts == 0) throw InvalidInput{fields.path("lasts"), "a number above 0"};
    fields.nothing_else();
  }
  std::ranges::sort(all, [](const Fault& one, const Fault& other) { return one.at < other.at; });
  for (std::size_t i = 1; i < all.size(); ++i)
    if (all[i].at < all[i - 1].at + all[i - 1].lasts) throw InvalidInput{path, "faults that do not overlap"};
  return all;
}

PoolSettings pool(const Json& json, const std::string& path, PoolSettings base) {
  Fields fields{json, path};
  base.name = fields.text("name", base.name);
  base.size = fields.count("size", base.size, 0);
  base.overflow = fields.count("overflow", base.overflow, 0);
  if (base.size + base.overflow == 0) throw InvalidInput{fields.path("size"), "at least 1, with the overflow"};
  base.max_waiting = fields.count("max_waiting", base.max_waiting, 1);
  base.timeout = fields.number("timeout", base.timeout, 0);
  base.barging_limit = fields.number("barging_limit", base.barging_limit, 0);
  if (fields.find("max_standing_wait") != nullptr)
    base.max_standing_wait = fields.number("max_standing_wait", 0, 0, true);
  if (fields.find("fail_fast_after") != nullptr) base.fail_fast_after = fields.number("fail_fast_after", 0, 0);
  fields.nothing_else();
  return base;
}

// Little's law: how many are busy on average, if nobody has to wait.
double busy(const Workload& workload) {
  const double hold = workload.hold.mean();
  if (workload.threads > 0)
    return static_cast<double>(workload.threads) * hold / std::max(hold + workload.pause.mean(), 1e-9);
  double callers = 0, seconds = 0;
  for (const Rate& rate : workload.arrivals) {
    callers += rate.lasts * rate.per_second;
    seconds += rate.lasts;
  }
  return callers / seconds * hold;
}

}  // namespace

Experiment parse(const std::string& json, const std::string& name) {
  Json read;
  try {
    // Deep nesting would use up the stack.
    read = Json::parse(json, [](int depth, Json::parse_event_t, Json&) {
      if (depth > 32) throw InvalidInput{"the file", "at most 32 levels of nesting"};
      return true;
    });
  } catch (const Json::parse_error& error) {
    throw InvalidInput{name, "JSON, whole; what is wrong stands at byte " + std::to_string(error.byte)};
  } catch (const InvalidInput& error) {
    throw InvalidInput{name, "at most 32 levels of nesting"};
  }
  Experiment made;
  Workload& workload = made.workload;
  Fields fields{read, name};
  workload.name = fields.text("name", "workload");
  workload.lasts = fields.number("lasts", workload.lasts, 0, true);
  if (workload.lasts > 86'400) throw InvalidInput{fields.path("lasts"), "at most a day, 86400"};
  workload.threads = fields.find("threads") != nullptr ? fields.count("threads", 0, 1) : 0;
  if (const Json* const given = fields.find("arrivals")) {
    if (workload.threads > 0)
      throw InvalidInput{fields.path("arrivals"), "no `threads` beside it: they come by themselves"};
    workload.arrivals = arrivals(*given, fields.path("arrivals"), workload.lasts);
  } else if (workload.threads == 0) {
    throw InvalidInput{fields.path("arrivals"), "callers: `arrivals` a second, or `threads`"};
  }
  if (const Json* const given = fields.find("pause")) workload.pause = distribution(*given, fields.path("pause"));
  if (const Json* const given = fields.find("hold")) workload.hold = distribution(*given, fields.path("hold"));
  if (const Json* const given = fields.find("open")) workload.open = distribution(*given, fields.path("open"));
  if (workload.threads > 0 && workload.hold.mean() + workload.pause.mean() <= 0)
    throw InvalidInput{fields.path("hold"), "holds or pauses above 0: threads would come without end"};
  workload.cores = fields.number("cores", 0, 0);
  if (const Json* const given = fields.find("faults")) workload.faults = faults(*given, fields.path("faults"));
  made.wanted_wait = fields.number("wanted_wait", made.wanted_wait, 0, true);

  PoolSettings base;
  if (const Json* const given = fields.find("pool")) base = pool(*given, fields.path("pool"), base);
  if (const Json* const given = fields.find("compare")) {
    for (const Json& one : Fields::list(*given, fields.path("compare"), "objects like `pool`")) {
      made.pools.push_back(pool(one, fields.path("compare") + "[" + std::to_string(made.pools.size()) + "]", base));
      if (made.pools.back().name.empty()) made.pools.back().name = "pool " + std::to_string(made.pools.size());
    }
  }
  std::set<std::size_t> sizes;
  if (const Json* const given = fields.find("sizes")) {
    for (const Json& one : Fields::list(*given, fields.path("sizes"), "sizes"))
      sizes.insert(Fields::count(one, fields.path("sizes"), 1));
  } else if (made.pools.empty()) {
    for (const double times : {1.0, 1.1, 1.25, 1.5, 2.0, 3.0})
      sizes.insert(static_cast<std::size_t>(std::clamp(std::ceil(busy(workload) * times), 1.0, 10'000.0)));
  }
  fields.nothing_else();
  for (const std::size_t size : sizes) {
    PoolSettings sized = base;
    sized.size = sized.sized = size;
    sized.overflow = 0;
    sized.name = "size " + std::to_string(size);
    made.pools.push_back(sized);
  }
  return made;
}

}  // namespace lab
