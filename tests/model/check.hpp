// Runs a model: as many iterations as LIDO_MODEL_ITERATIONS says, each on a schedule of its own.
#pragma once

#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <ostream>
#include <streambuf>
#include <string>
#include <string_view>

#include <malloc.h>

#include <boost/test/unit_test.hpp>

#include <model/platform.hpp>

namespace lido::model {

// What the threads of a model share is made anew for each iteration, and destroyed after it.
template <class Derived, int threads>
struct Model : rl::test_suite<Derived, threads> {
  static_assert(threads <= most_threads);

  void before() {
    world = World{};
    world.now = TimePoint{} + std::chrono::hours{1};
    enter_thread();
    self().prepare();
  }
  void thread(unsigned index) {
    enter_thread();
    self().run(index);
  }
  void after() { self().finish(); }

  void prepare() {}
  void finish() {}

 private:
  Derived& self() { return static_cast<Derived&>(*this); }
};

// NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets it meanwhile
inline std::uint64_t iterations() {
  const char* const wanted = std::getenv("LIDO_MODEL_ITERATIONS");
  return wanted != nullptr ? std::stoull(wanted) : 20'000;
}

// What Relacy says, in place: memory that is taken while a model runs belongs to the model.
class Words : public std::streambuf {
 public:
  Words() { setp(text_.data(), text_.data() + text_.size()); }
  [[nodiscard]] std::string_view text() const { return {pbase(), static_cast<std::size_t>(pptr() - pbase())}; }

 private:
  int_type overflow(int_type next) override { return traits_type::not_eof(next); }  // the rest is not kept
  std::array<char, 1U << 16U> text_{};
};

template <class Suite>
void check() {
  // Freed memory is overwritten, so that what is used after its end has lost its signature.
  mallopt(M_PERTURB, 0xa5);
  const auto words = std::make_unique<Words>();
  std::ostream said{words.get()};
  rl::test_params settings;
  settings.iteration_count = iterations();
  settings.output_stream = &said;
  settings.progress_stream = &said;
  settings.execution_depth_limit = 20'000;
  const bool fine = rl::simulate<Suite>(settings);
  BOOST_TEST(fine, "iteration " << settings.stop_iteration << ": " << rl::test_result_str(settings.test_result) << "\n"
                                << words->text());
}

}  // namespace lido::model
