#pragma once
// Guests on their way from the loop that accepts to the others.

#include <deque>
#include <mutex>
#include <vector>

#include "net/guest.hpp"
#include "net/mailbox.hpp"

namespace net {

/// One loop accepts and gives the guests to all in turn, itself among them. A
/// guest has his seat already, which goes with him. Thread-safe; the mailboxes
/// outlive it.
///
/// A loop that leaves is given nobody from then on, and takes who is on the way
/// to it afterwards: if it took first and left then, a guest that comes between
/// the two would lie there, and nobody would serve or close him.
class Handoff {
 public:
  explicit Handoff(unsigned loops) : inboxes_(loops) {}

  /// Loop number `loop` runs, and is rung when somebody comes for it, as it is
  /// now if somebody has.
  void join(unsigned loop, Mailbox& mailbox);
  /// `giver` has not left. Gives the guest to the loop whose turn it is, and
  /// passes by those that have left. Returned is who stays with `giver`: it is
  /// its own turn, or there is no other, or no memory.
  Guest give(unsigned giver, Guest guest);
  /// The next who has come for this loop; false if there is none.
  Guest take(unsigned loop);
  void leave(unsigned loop);

 private:
  struct Inbox {
    std::deque<Guest> guests;
    Mailbox* mailbox = nullptr;  // null: it does not run yet, and will look
    bool left = false;
  };
  unsigned next_turn(unsigned giver);

  std::mutex mutex_;  // guards what follows
  std::vector<Inbox> inboxes_;
  unsigned turn_ = 0;
};

}  // namespace net
