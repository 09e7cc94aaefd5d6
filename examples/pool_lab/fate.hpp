// What an acquire that failed was.
#pragma once

#include <exception>

#include <lido/error.hpp>

#include "outcome.hpp"

namespace lab {

inline Fate fate_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const lido::Overloaded&) {
    return Fate::refused;
  } catch (const lido::QueueFull&) {
    return Fate::refused;
  } catch (const lido::AcquireTimeout&) {
    return Fate::timed_out;
  } catch (const std::exception&) {
    return Fate::failed;
  }
}

}  // namespace lab
