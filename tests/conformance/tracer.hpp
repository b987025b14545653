#pragma once
// strace(1) on a running server: it breaks calls that can be broken, and it
// counts what the server counts, from outside.

#include <map>
#include <memory>
#include <string>

#include "tests/conformance/server.hpp"

namespace conformance {

/// Attached until finish().
class Tracer {
 public:
  /// Why strace cannot be used on a process here; empty if it can. Tried out
  /// once.
  static const std::string& obstacle();

  /// Waits until every thread of the server is traced.
  Tracer(Server& server, Arguments options);

  /// Waits until the server sleeps, if it does, and detaches; what it has
  /// written.
  std::string finish(bool sleeps);

 private:
  Process& server_;
  std::unique_ptr<Process> strace_;
};

/// The calls that a signal can interrupt and that models make. Never close,
/// connect, epoll_ctl or futex: strace suppresses what it breaks, and those do
/// their work, or cannot be asked again, when they say EINTR.
extern const std::string interruptible;

/// The table of `strace -c` as calls by name.
std::map<std::string, std::size_t> counts_of(const std::string& table);

}  // namespace conformance
