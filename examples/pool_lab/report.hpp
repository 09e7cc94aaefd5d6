// What comes out: a page, a JSON file and a table.
#pragma once

#include <string>
#include <vector>

#include "advice.hpp"
#include "workload.hpp"

namespace lab {

/// One HTML page that needs no network and no script.
std::string page(const Experiment& experiment, const std::vector<Result>& results, const Advice& advice,
                 const std::string& stage);
std::string json(const Experiment& experiment, const std::vector<Result>& results, const Advice& advice,
                 const std::string& stage);
/// For the terminal.
std::string table(const std::vector<Result>& results, const Advice& advice);

}  // namespace lab
