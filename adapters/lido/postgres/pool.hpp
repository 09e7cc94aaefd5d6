// The PostgreSQL pool, ready made.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <lido/detail/listening.hpp>
#include <lido/detail/platform.hpp>
#include <lido/facts.hpp>
#include <lido/pool.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/detail/compiled/calls.hpp>
#include <lido/postgres/environment.hpp>
#include <lido/postgres/options.hpp>
#include <lido/postgres/policies.hpp>

namespace lido::postgres {

/// Opens connections for a pool: any `lido::Pool` takes it as its connector. Cheap to copy.
class Connector {
 public:
  /// Throws `PermanentConnectError` when `connection_string` is malformed.
  explicit Connector(const std::string& connection_string, ConnectionSettings settings = {})
      : target_{detail::Calls<>::target_of(connection_string, settings)},
        settings_{detail::Calls<>::kept(std::move(settings))} {}

  /// Connects. Blocks until `info.deadline` or until `info.stop` is requested; throws `ConnectError`.
  Connection operator()(const OpenInfo& info) const {
    return Connection::connect(*target_, info.deadline, info.stop, settings_);
  }

 private:
  std::shared_ptr<const detail::ConnectionString> target_;
  std::shared_ptr<const ConnectionSettings> settings_;
};

namespace detail {

// Who listens to the notices of a pool.
using Notices = lido::detail::Listening<lido::StandardPlatform>;

struct MadePool {
  lido::Pool<Connection, Growth, CheckSession, Recycle> pool;
  std::shared_ptr<Notices> notices;  // null: nobody listens
};

/// As `Calls`: defined in making_pool.hpp.
template <class Form = void>
struct MakingPool {
  [[nodiscard]] static MadePool make(const std::string& connection_string, const Options& options,
                                     const std::shared_ptr<Enclosure>& enclosure);
  static void silence(Notices& notices) noexcept;
};

}  // namespace detail

/// A pool of sessions with the settings of `Options`; all its members are those of `lido::Pool`.
class Pool : public lido::Pool<Connection, Growth, CheckSession, Recycle> {
 public:
  /// A pool on `connection_string`, a URI or `key=value` pairs as libpq takes them. Its `pool_` keys win over `options`
  /// (see environment.hpp). Opens nothing yet. Throws `PermanentConnectError` when the string is malformed,
  /// `SettingError`, naming the key, and `InvalidOption`, naming the field.
  explicit Pool(const std::string& connection_string, const Options& options = {})
      : Pool{detail::MakingPool<>::make(connection_string, options, {})} {}

  /// A pool as the environment says: `Pool pool{options_from_environment()};`.
  explicit Pool(const Environment& environment) : Pool{environment.connection_string, environment.options} {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() {
    if (notices_) detail::MakingPool<>::silence(*notices_);
  }

 protected:
  /// For `Sandbox`.
  Pool(const Environment& environment, const std::shared_ptr<detail::Enclosure>& enclosure)
      : Pool{detail::MakingPool<>::make(environment.connection_string, environment.options, enclosure)} {}

 private:
  explicit Pool(detail::MadePool made)
      : lido::Pool<Connection, Growth, CheckSession, Recycle>{std::move(made.pool)},
        notices_{std::move(made.notices)} {}

  std::shared_ptr<detail::Notices> notices_;  // null: nobody listens
};

/// A `Pool` without pooling, for tests: every acquire connects, every release closes, so that no test sees what another
/// one left behind. Otherwise it is the same, its limit and its queue included.
class TestPool : public Pool {
 public:
  /// As the constructors of `Pool`; `Options::pooling` is ignored.
  explicit TestPool(const std::string& connection_string, Options options = {})
      : Pool{without_pooling(options_from_string(connection_string, std::move(options)))} {}
  explicit TestPool(const Environment& environment) : TestPool{environment.connection_string, environment.options} {}

 private:
  [[nodiscard]] static Environment without_pooling(Environment environment) {
    environment.options.pooling = false;
    return environment;
  }
};

}  // namespace lido::postgres

// What makes a pool, and what a pool is made of, is compiled here or elsewhere.
#if __has_include(<lido_postgres_compiled.hpp>)
#  include <lido/postgres/detail/compiled/elsewhere.hpp>
#else
#  include <lido/postgres/detail/compiled/making_pool.hpp>
#endif
