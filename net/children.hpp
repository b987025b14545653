#pragma once
// The children of a process that forks: what their parent keeps of each, how it
// calls them, and how it learns that one has ended.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>

#include "net/clients.hpp"
#include "net/counters.hpp"
#include "protocol/pool.hpp"

namespace net {

/// Used by the parent's thread that forks, and by no other. Nothing is lost
/// when a child is killed: it counts in cells that lie in memory of all, and
/// what it had in buffers is given back for it, and its peer's seat.
class Children {
 public:
  /// `budget` outlives it.
  explicit Children(protocol::Budget& budget) : budget_(budget) {}

  bool empty() const { return children_.empty(); }

  /// fork(2), for the peer in this seat, which stays with the parent. -1: there
  /// can be no more processes. In the child, whose result is 0, all signals are
  /// blocked: it lets in what calls it back when it knows where it sleeps, and
  /// none that came before is lost. Throws std::bad_alloc, in the parent.
  pid_t fork(Seat seat);
  /// Takes leave of all that have ended, without waiting for others.
  void reap();
  /// Sends the signal to each. (Who has ended, and is not reaped yet, keeps its
  /// number, so nobody else is meant.)
  void call(int signal) const;
  /// Ends those who are left; each peer of theirs counts as reset.
  void kill();
  /// Sleeps until one has ended, at most for so long. SIGCHLD is blocked: one
  /// that came before is found here.
  static void wait(std::chrono::nanoseconds time);

 private:
  struct Child {
    Seat seat;
    Cells* cells = nullptr;
    std::uint64_t resets = 0;  // in its cells, before it began
  };

  void begin(Cells& cells, pid_t parent) noexcept;
  void bury(const Child& child, bool killed);

  protocol::Budget& budget_;
  std::map<pid_t, Child> children_;
  bool killing_ = false;
};

}  // namespace net
