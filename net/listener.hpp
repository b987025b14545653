#pragma once
// A loop's listening socket: who is accepted there gets a seat, or is told why
// not, also where there is no descriptor left to accept with.

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>

#include "net/clients.hpp"
#include "net/endpoint.hpp"
#include "net/fd.hpp"
#include "net/guest.hpp"
#include "net/model.hpp"

namespace net {

/// One loop's listening socket. One thread.
class Listener {
 public:
  /// `opened` is called in open() when peers can connect, with the URL
  /// (tcp://127.0.0.1:7000, tcp://[::1]:7000, unix:/path). `endpoint` is shared
  /// by several loops; null: this is the only one. All outlive the listener.
  Listener(const Options& options, Clients& clients,
           std::function<void(const std::string& url)> opened,
           Endpoint* endpoint = nullptr);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// socket, bind, listen. `flags` is SOCK_NONBLOCK or 0; so is `peer_flags`,
  /// for the sockets that are accepted in the model's stead (see admit()). What
  /// every accepted socket inherits (TCP_NODELAY, --send-buffer) is set here,
  /// once. Throws std::system_error naming the call.
  void open(int flags, int peer_flags);
  void open(int flags) { open(flags, flags); }
  /// For loops that may share otherwise than a port. Where guests are handed
  /// out, only the first to open has a descriptor, and the mailbox of another
  /// is rung when somebody has come for it.
  void open(int flags, Share share, Mailbox& mailbox);
  /// For models that cannot watch every descriptor: a peer who gets this one or
  /// a higher one is refused, as if there were too many (they hold the lower
  /// ones), and counted under "model.refused_descriptors", too.
  void refuse_from(int descriptor);
  int fd() const { return socket_.get(); }
  /// How many peers have connected and are not accepted yet: all who have to be
  /// let in before a close, for it would reset them. More may come meanwhile.
  unsigned queued() const;
  /// No more peers; but who has been handed to this loop has yet to be taken.
  void close();

  /// A peer has been accepted: `fd` is what accept4 returned (or a completion
  /// carried), -1 or a negative errno included when `error` says why it failed.
  /// Gives a seat, or tells the peer that there are too many and closes. A
  /// failure that concerns one peer, or nobody (EAGAIN, EINTR, ECONNABORTED),
  /// is no guest. EMFILE and ENFILE: accept takes a descriptor before it looks
  /// for a peer; so the reserve descriptor is given up, everybody who waits is
  /// told and closed, and a peer is handed out after all if descriptors have
  /// come free. Never spins: with a blocking listener it sleeps until somebody
  /// comes, at most 100 ms, and where even the reserve is gone, or memory,
  /// it pauses for 10 ms.
  ///
  /// Where guests are handed out, and it is another loop's turn, nobody is left
  /// for this one: then `fd` was a peer all the same.
  Guest admit(int fd, int error);
  /// A guest cannot be served after all (no thread, no process): he is told as
  /// if there were too many, and counts as one of those.
  void turn_away(Guest guest);
  /// The next whom another loop has handed to this one; false if there is none.
  Guest handed();

 private:
  void listen(Endpoint::Place place, int flags, int peer_flags);
  void prepare(int flags);
  Guest count_own(Guest guest);
  Guest admit_late(int error);
  Guest seat_beside_reserve(Fd peer);
  Guest seat(Fd peer);
  Guest exhausted(int error);
  Guest take_turns();
  bool waiting(int timeout_ms) const;
  void refuse(Fd peer);
  void complain(int error);

  const Options& options_;
  Clients& clients_;
  std::function<void(const std::string& url)> opened_;
  std::optional<Endpoint> own_;  // if nobody shares it
  Endpoint& endpoint_;
  // Opened before anything else, for a low number: it has to be below the limit
  // even if that is lowered later.
  Fd reserve_;
  Fd socket_;
  bool blocking_ = false;
  int peer_flags_ = 0;
  unsigned loop_ = 0;   // its number
  bool hands_ = false;  // guests from loop to loop
  // Of this loop, if there are others (and not too many).
  std::optional<unsigned> accepted_counter_;
  int refused_from_ = std::numeric_limits<int>::max();
  unsigned refused_counter_ = 0;
  std::int64_t complained_ns_ = 0;  // 0: never
};

}  // namespace net
