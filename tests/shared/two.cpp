#include <shared/shared.hpp>

namespace shared {

void close(Pool& pool) { pool.close(); }

bool catches_time_out(const std::function<void()>& body) {
  try {
    body();
  } catch (const lido::AcquireTimeout&) {
    return true;
  } catch (...) {
    return false;
  }
  return false;
}

}  // namespace shared
