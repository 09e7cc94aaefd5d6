// What a soak plays again and again, and what it remembers of it.
#pragma once

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <faults/scenario.hpp>

namespace lido::test {

/// Everything that a soak plays, gathered from all files of the program.
inline std::vector<std::function<void()>>& deck() {
  static std::vector<std::function<void()>> instance;
  return instance;
}
/// Puts it there.
struct InDeck {
  InDeck(std::initializer_list<std::function<void()>> cards) { deck().insert(deck().end(), cards); }
};

/// The worst figures of what is not a scenario, for a soak's last table.
class Notes {
 public:
  void add(const std::string& what, std::initializer_list<std::pair<const char*, Duration>> figures) {
    Note& note = notes_[what];
    ++note.runs;
    for (const auto& [name, figure] : figures) {
      const auto known = std::ranges::find(note.worst, name, [](const auto& each) { return each.first; });
      if (known == note.worst.end())
        note.worst.emplace_back(name, figure);
      else
        known->second = std::max(known->second, figure);
    }
  }
  void print(std::ostream& out) const {
    for (const auto& [what, note] : notes_) {
      out << "| " << what << ": " << note.runs << " runs";
      if (!note.worst.empty()) out << "; at worst, in ms:";
      for (const auto& [name, figure] : note.worst) out << ' ' << name << ' ' << milliseconds(figure, 1) << ';';
      out << '\n';
    }
    out << std::flush;
  }

 private:
  struct Note {
    std::size_t runs = 0;
    std::vector<std::pair<std::string, Duration>> worst;
  };
  std::map<std::string, Note> notes_;
};

inline Notes& notes() {
  static Notes instance;
  return instance;
}

}  // namespace lido::test
