#pragma once
// A program is tried out before it is tested: how it is started, and what it
// promises.

#include <string>

#include "tests/conformance/levels.hpp"
#include "tests/conformance/process.hpp"

namespace conformance {

struct Program;

/// What `--traits` says. A trait that is not printed has its default; those
/// promise nothing that an echo does not keep.
struct Traits {
  Named<std::string> values;

  bool printed() const { return !values.empty(); }
  const std::string& operator[](const std::string& name) const;
  /// How many conversations are served at once.
  std::size_t concurrent() const;
  /// Up to which level the program promises everything.
  Level level() const;
};
const Traits& traits_of(const Program& program);

/// Up to which level a program is tested: LEVEL=, or what it promises.
Level level_asked_of(const Program& program);

/// Can it run here? `skip` is why not (the program ended with 77 and that
/// line), `failure` what is wrong with it. Found out once per program.
struct Availability {
  std::string skip, failure;
  bool usable() const { return skip.empty() && failure.empty(); }
};
const Availability& availability(const Program& program);

/// How long a program may take to start: on a machine that is busy, or if it
/// has to be compiled first.
Milliseconds start_bound();
/// A server ends so soon after SIGTERM, on a machine that has little time for
/// it. A sanitizer looks for leaks then, which is not the server's time.
Milliseconds stop_bound();

/// Does the program under test take a socket (--listen-fd)? The servers of
/// this suite all do; an own one may have --port alone.
bool takes_socket();

}  // namespace conformance
