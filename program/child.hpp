#pragma once
// Processes that a program starts, waits for and ends.

#include <sys/types.h>

#include <csignal>
#include <optional>

#include "net/fd.hpp"
#include "program/options.hpp"
#include "protocol/agenda.hpp"

namespace program {

/// The signals that tell of children and of people who want us to end, as a
/// descriptor: so that one poll sees them and a child's output alike. They are
/// blocked in this thread as long as this lives. One thread.
class Signals {
 public:
  /// Throws std::system_error.
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// Somebody wants us to end (SIGINT, SIGTERM, SIGHUP).
  bool interrupted() const { return interrupted_; }

  /// Sleeps until a signal has come, `fd` (if it is not -1) is readable or has
  /// ended, or the time is `due`; false: it is. Throws std::system_error.
  bool wait(int fd, protocol::Nanoseconds due);

 private:
  sigset_t before_;
  net::Fd fd_;
  bool interrupted_ = false;
};

/// What a child inherits beside our own standard streams; -1: nothing.
struct Inherited {
  int socket = -1;  // under its own number
  int output = -1;  // as its standard output
  int errors = -1;  // as its standard error
};

/// A process that we have started, and end: no other is ever signalled. Killed
/// if it still runs when this is destroyed, and ends when we die.
class Child {
 public:
  /// Throws std::system_error if there can be no process; a program that cannot
  /// be run says so itself and ends with 127.
  Child(const Arguments& command, const Inherited& inherited);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void signal(int number) const;

  /// Has it ended? Neither sleeps nor takes a signal away.
  bool ended();
  /// Its exit code, or 128 and the signal that killed it; nothing if it has not
  /// ended by then, or if `patient` is false and we are interrupted before.
  std::optional<int> wait(Signals& signals, protocol::Nanoseconds due,
                          bool patient);

 private:
  [[noreturn]] static void become(const Arguments& command,
                                  const Inherited& inherited, pid_t parent);

  pid_t pid_ = -1;  // -1: it has ended
  int code_ = 0;    // once it has ended
};

}  // namespace program
