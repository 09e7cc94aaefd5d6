// What the server says besides its answers: NOTICE, WARNING, INFO, and what else `client_min_messages` lets through.
#pragma once

#include <functional>
#include <source_location>
#include <string>

namespace lido::postgres {

/// A notice, with the server's words. Behind the word `password` literals show as `'***'`, as in errors, and a text of
/// more than 64 KiB is cut; `detail` and `context` may quote values.
struct Notice {
  std::string severity{};        ///< DEBUG, LOG, INFO, NOTICE or WARNING, whatever language the server speaks
  std::string sqlstate{};        ///< 00000, 01000 and so on
  std::string message{};         ///< one sentence as a rule
  std::string detail{};          ///< empty where there is none
  std::string hint{};            ///< likewise
  std::string context{};         ///< which function and line it came from; likewise
  std::source_location where{};  ///< the last statement that was run; line 0 where there is none
  int pid = 0;                   ///< the server process of the session; 0 while it is being opened
};

/// Told of each notice while the answer is read in which it comes, by the thread that reads it and with no lock held:
/// the statement goes on when it returns, and its deadline does not stop it. What it throws is ignored. It must not
/// give the connection back or end it; a statement there is a `QueryError`, and costs nothing.
using NoticeListener = std::function<void(const Notice&)>;

}  // namespace lido::postgres
