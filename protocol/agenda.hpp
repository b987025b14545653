#pragma once
// To whom a client talks, what it says, and when. A model's client moves the
// bytes and asks the agenda for the rest: the same agendas (one command, a
// demonstration, a node's lookups, a load) run over every model.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "protocol/client_session.hpp"

namespace protocol {

/// Nanoseconds of the monotonic clock.
using Nanoseconds = std::int64_t;
inline constexpr Nanoseconds never = std::numeric_limits<Nanoseconds>::max();

/// One peer. Owned by the agenda and alive until converse() has returned; its
/// session is touched only by the thread that holds the peer's connection,
/// from connecting until closed().
struct Peer {
  std::string address;  // "127.0.0.1:7000", "[::1]:7000" or "/a/path"
  ClientSession session;
  std::uint64_t tag = 0;  // the model's: where it keeps the connection
};

/// May be called from any thread; members marked (holder) only by the thread
/// that holds the peer.
class Agenda {
 public:
  virtual ~Agenda() = default;

  /// The next peer to connect to, or null. Each is handed out once, and again
  /// only after closed(). The agenda wakes the loop when there is a new one.
  virtual Peer* next() = 0;
  /// A connected peer to whom there is something to say by now, or null; asked
  /// until null, after every wait. Its holder then calls say().
  virtual Peer* due(Nanoseconds now) = 0;
  /// When due() is to be asked next, wake-ups aside; `never` if only after one.
  virtual Nanoseconds next_due() = 0;
  /// A peer whose connection, be it still in the making, is to be given up, or
  /// null; asked until null, after every wait, before next(). Its holder closes
  /// the connection, and closed() follows as always; one that has closed it
  /// already passes over it.
  virtual Peer* given_up() { return nullptr; }
  /// Nothing more is to be done: converse() closes all and returns.
  virtual bool over() = 0;

  // Nobody is late whose bytes the kernel already has. After SIGSTOP, under a
  // debugger, in a machine that was paused, the clock has gone on and nothing
  // was read: an agenda that gives people up goes by what was looked at.

  /// All that peers had sent by `then` has been handed over, as far as the loop
  /// can know (net::Look). Told after a wait.
  virtual void looked(Nanoseconds then) { (void)then; }
  /// Somebody would be late by now: it is time to look, for those who do not
  /// look at every socket in every turn anyhow. next_due() is past, too.
  virtual bool overdue(Nanoseconds now) {
    (void)now;
    return false;
  }

  /// The connection stands; say() follows. (holder)
  virtual void connected(Peer& peer) = 0;
  /// Appends to the session what there is to say by now, perhaps nothing.
  /// (holder)
  virtual void say(Peer& peer, Nanoseconds now) = 0;
  /// Takes the replies that have come out of the session; may append more
  /// requests. (holder)
  virtual void hand_over(Peer& peer, Nanoseconds now) = 0;
  /// There is no connection (any more): `why` in words, empty if the peer
  /// ended when it owed nothing. The model no longer holds the peer. (holder)
  virtual void closed(Peer& peer, std::string_view why) = 0;
};

}  // namespace protocol
