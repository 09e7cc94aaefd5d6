// The two parkers: what the unparking thread wrote is there for the one that took the token, no token is lost, and the
// parked thread may destroy the parker at once.
#include <memory>

#include <boost/test/unit_test.hpp>

#include <model/check.hpp>
#include <model/platform.hpp>

using namespace lido;
using namespace lido::model;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(parker)

namespace {

// With `gives_up` the parked thread may be woken though it gave up, and then finds the token the next time.
template <class Parker, bool gives_up>
struct HandOver : Model<HandOver<Parker, gives_up>, 2> {
  void run(unsigned thread) {
    if (thread == 0) {
      if (!gives_up || !parker_->park_until(world.now + 1s)) parker_->park();
      RL_ASSERT(note_($) == 7);
      parker_.reset();
    } else {
      Parker& other = *parker_;
      note_($) = 7;
      other.unpark();
    }
  }

 private:
  std::unique_ptr<Parker> parker_ = std::make_unique<Parker>();
  rl::var<int> note_{0};
};

using OnFutex = detail::FutexParker<Futex>;
using Portable = detail::PortableParker<Monitor>;

}  // namespace

BOOST_AUTO_TEST_CASE(a_futex_hands_over_what_was_written) { check<HandOver<OnFutex, false>>(); }
BOOST_AUTO_TEST_CASE(a_futex_loses_no_token_to_a_time_out) { check<HandOver<OnFutex, true>>(); }
BOOST_AUTO_TEST_CASE(a_condition_variable_hands_over_what_was_written) { check<HandOver<Portable, false>>(); }
BOOST_AUTO_TEST_CASE(a_condition_variable_loses_no_token_to_a_time_out) { check<HandOver<Portable, true>>(); }

BOOST_AUTO_TEST_SUITE_END()
