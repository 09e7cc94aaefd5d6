// What NOTIFY sends to those who LISTEN.
#pragma once

#include <string>

namespace lido::postgres {

/// A notification, as `Connection::wait_for_notification` returns it.
struct Notification {
  std::string channel{};
  std::string payload{};
  int pid = 0;  ///< the server process of the session that sent it
};

}  // namespace lido::postgres
