// What a tracer of a pool is told. Part of tracing.hpp.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <source_location>
#include <string_view>
#include <utility>

#include <lido/facts.hpp>

namespace lido {

/// An acquire begins.
struct AcquireBegin {
  std::string_view pool;  ///< `PoolOptions::name`
  Duration timeout{};     ///< how long it may take
  std::source_location where{};
};
/// It has ended.
struct AcquireEnd {
  Duration took{};               ///< how long the caller waited
  std::uint64_t connection = 0;  ///< `ConnectionInfo::id`; 0: it got none
  std::exception_ptr error{};    ///< why; null where it got one, and where `try_acquire` found none
};

/// An attempt to open a connection begins.
struct OpenBegin {
  std::string_view pool;         ///< `PoolOptions::name`
  std::uint64_t connection = 0;  ///< `ConnectionInfo::id`, if it comes about
  TimePoint deadline{};
};
/// It has ended.
struct OpenEnd {
  Duration took{};
  std::exception_ptr error{};  ///< why it failed; null where it has not
};

namespace detail {

// What one tracer has begun.
template <class End>
struct Span {
  Span() = default;
  Span(const Span&) = delete;
  Span& operator=(const Span&) = delete;
  virtual ~Span() = default;
  virtual void end(const End& end) = 0;

  std::unique_ptr<Span> next;
};

// What all tracers of one event have begun: empty where there are none.
template <class End>
class Spans {
 public:
  void add(std::unique_ptr<Span<End>> span) noexcept {
    span->next = std::move(first_);
    first_ = std::move(span);
  }
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }

  // Ends each, once, the last one first. False when one threw.
  bool end(const End& end) noexcept {
    bool heard = true;
    while (const std::unique_ptr<Span<End>> span = std::move(first_)) {
      first_ = std::move(span->next);
      try {
        span->end(end);
      } catch (...) {
        heard = false;
      }
    }
    return heard;
  }

  TimePoint begun{};

 private:
  std::unique_ptr<Span<End>> first_;
};

}  // namespace detail

}  // namespace lido
