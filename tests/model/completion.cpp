// A request that is told while its caller begins to wait, or withdraws it: the caller hears of it once or not at all,
// sees the result, and may destroy what it has withdrawn.
#include <memory>

#include <boost/test/unit_test.hpp>

#include <lido/detail/completion.hpp>
#include <model/check.hpp>
#include <model/platform.hpp>

using namespace lido;
using namespace lido::model;

BOOST_AUTO_TEST_SUITE(completion_)

namespace {

template <bool withdraws>
struct Told : Model<Told<withdraws>, 2> {
  void run(unsigned thread) {
    detail::Completion<Platform>& request = *request_;
    if (thread == 0) {
      question_($) = 3;
      if (!request.wait()) return hear();
      if (!withdraws) return;
      if (request.withdraw()) {
        request.await();
        request_.reset();
      }
      RL_ASSERT(answer_($) == 7);
    } else {
      answer_($) = 7;
      if (request.tell()) hear();
    }
  }
  void finish() { RL_ASSERT(heard_($) == (request_ ? 1 : 0)); }

 private:
  void hear() {
    RL_ASSERT(question_($) == 3 && answer_($) == 7);
    heard_($) = heard_($) + 1;
  }

  std::unique_ptr<detail::Completion<Platform>> request_ = std::make_unique<detail::Completion<Platform>>();
  rl::var<int> question_{0};
  rl::var<int> answer_{0};
  rl::var<int> heard_{0};
};

}  // namespace

BOOST_AUTO_TEST_CASE(whoever_comes_second_tells_of_the_result_once) { check<Told<false>>(); }
BOOST_AUTO_TEST_CASE(who_withdraws_waits_for_whoever_is_about_to_tell) { check<Told<true>>(); }

BOOST_AUTO_TEST_SUITE_END()
