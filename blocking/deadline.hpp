#pragma once
// For how long a thread sleeps for its one peer.

#include <cstdint>

#include "blocking/calls.hpp"
#include "net/deadlines.hpp"

namespace blocking {

/// Of one conversation, in its own thread. Session, pool and socket outlive
/// it. As long as the peer owes nothing it costs no system call.
class Deadline {
 public:
  Deadline(std::uint64_t id, int socket, protocol::Session& session,
           const protocol::Pool& pool, const protocol::Limits& limits)
      : socket_(socket),
        session_(session),
        pool_(pool),
        deadlines_(limits, pool, [socket](std::uint64_t) { return socket; }),
        entry_(id) {
    // met() has to look more often than a reader's time comes: a send(2) that
    // is ended with a part of its bytes sent is progress.
    limit_send(socket, limits.reader_time / 8);
  }

  std::uint64_t id() const { return entry_.id(); }

  /// False if the peer has let us wait too long, or if the process has too much
  /// in buffers and this thread holds some of it. Before anybody is late
  /// `look` is called, to receive without sleeping: it may be we who have not
  /// come to read, because of an answer, or because we were stopped. It says by
  /// looked() whether nothing was there, and is false if the peer has gone.
  template <class Look>
  bool met(Look look) {
    bool late = false;
    const auto name_late = [&late](std::uint64_t) { late = true; };
    do {
      deadlines_.watch(entry_, session_);
      deadlines_.expire(name_late);
      deadlines_.evict(name_late);  // though nobody has a deadline
    } while (!late && deadlines_.looking() && look());
    return !late;
  }
  void looked(bool nothing) { deadlines_.looked(nothing); }
  /// Before a send that may sleep with all that is to be sent: is it to be
  /// asked first whether it is this conversation that has to go?
  bool pressing() const { return pool_.exceeded(); }

  /// For how long the next recv(2) may sleep. For ever while the peer owes us
  /// nothing, so that a request costs no third call.
  void limit_receive() {
    if (deadlines_.idle() && !limited_) return;
    limited_ = !deadlines_.idle();
    limit(socket_, SO_RCVTIMEO, deadlines_.left_ns());
  }

 private:
  const int socket_;
  protocol::Session& session_;
  const protocol::Pool& pool_;
  net::Deadlines deadlines_;
  net::Deadlines::Entry entry_;
  bool limited_ = false;
};

}  // namespace blocking
