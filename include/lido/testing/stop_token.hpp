// A stop token of simulated threads.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include <lido/facts.hpp>
#include <lido/testing/primitives.hpp>

namespace lido::sim {

/// A stop token whose callbacks wait for each other in virtual time; the standard one would block the machine.
class StopSource;
class StopToken {
 public:
  StopToken() = default;
  [[nodiscard]] bool stop_requested() const noexcept { return state_ && state_->requested; }
  [[nodiscard]] bool stop_possible() const noexcept { return state_ != nullptr; }

 private:
  friend class StopSource;
  template <class Function>
  friend class StopCallback;
  struct Entry {
    std::function<void()> function;
    Task* runner = nullptr;  // who calls it now
    Task* destroyer = nullptr;
  };
  struct State {
    bool requested = false;
    std::vector<std::shared_ptr<Entry>> entries;
  };
  std::shared_ptr<State> state_;
};

class StopSource {
 public:
  StopSource() { token_.state_ = std::make_shared<StopToken::State>(); }
  [[nodiscard]] StopToken get_token() const { return token_; }
  void request_stop() {
    yield();
    token_.state_->requested = true;
    while (!token_.state_->entries.empty()) {
      const std::shared_ptr<StopToken::Entry> entry = token_.state_->entries.back();
      token_.state_->entries.pop_back();
      entry->runner = self;
      entry->function();
      entry->runner = nullptr;
      if (entry->destroyer != nullptr) Simulation::wake(*entry->destroyer);
    }
  }

 private:
  StopToken token_;
};

template <class Function>
class StopCallback {
 public:
  StopCallback(const StopToken& token, Function function) : state_{token.state_.get()} {
    entry_->function = std::move(function);
    if (state_->requested)
      entry_->function();
    else
      state_->entries.push_back(entry_);
  }
  ~StopCallback() {
    std::erase(state_->entries, entry_);
    if (entry_->runner == self) return;  // by its own call: nobody to wait for
    while (entry_->runner != nullptr) {
      entry_->destroyer = self;
      self->world->block(TimePoint::max());
    }
  }
  StopCallback(const StopCallback&) = delete;
  StopCallback& operator=(const StopCallback&) = delete;

 private:
  StopToken::State* state_;  // its source outlives the call that waits
  std::shared_ptr<StopToken::Entry> entry_ = std::make_shared<StopToken::Entry>();
};

}  // namespace lido::sim
