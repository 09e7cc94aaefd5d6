// Whoever waits in the thread that calls.
#pragma once

#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// Runs the operation that `make` makes until it is done, and returns its outcome. The runners of an event loop return
/// what is to be awaited for it; else they are the same, so that what is written over a runner is written once.
struct Blocking {
  template <class Make>
  static auto run(const Until& until, Make&& make) {
    auto operation = make();
    complete(operation, until);
    return operation.outcome();
  }
};

}  // namespace lido::postgres::detail
