#pragma once
// One peer's conversation, and for how long its thread sleeps for it.

#include <chrono>
#include <cstdint>

#include "blocking/calls.hpp"
#include "net/conversation.hpp"

namespace blocking {

/// Of one conversation, in the thread that serves it. Session, pool and socket
/// outlive it. As long as the peer owes nothing it costs no system call.
class Deadline {
 public:
  Deadline(std::uint64_t id, int socket, protocol::Session& session,
           const protocol::Pool& pool, const protocol::Limits& limits)
      : socket_(socket),
        session_(session),
        pool_(pool),
        deadlines_(limits, pool, [socket](std::uint64_t) { return socket; }),
        entry_(id) {
    // A send(2) that sleeps must end before the reader is late, or met() would
    // never be asked while he takes a few bytes at a time: after a part of its
    // time send(2) returns how much he has taken, which is progress.
    limit_send(socket, limits.reader_time / 8);
  }

  std::uint64_t id() const { return entry_.id(); }

  /// False if the peer has let us wait too long, or if the process has too much
  /// in buffers and this thread holds some of it. Before a peer is late, look()
  /// is called, which receives what is there without sleeping: it may be we who
  /// have not come to read, because of an answer, or because we were stopped.
  /// look() tells looked() whether it found nothing; where it returns false the
  /// peer has gone, and the next call of the kernel says so too.
  template <class Look>
  bool met(Look look) {
    bool late = false;
    const auto name_late = [&late](std::uint64_t) { late = true; };
    do {
      deadlines_.watch(entry_, session_);
      deadlines_.expire(name_late);
      deadlines_.evict(name_late);  // expire() does so only if somebody waits
      if (!deadlines_.idle()) late |= deadlines_.drained();
    } while (!late && deadlines_.looking() && look());
    return !late;
  }
  void looked(bool nothing) { deadlines_.looked(nothing); }
  /// The process has too much in buffers: then met() is to be asked before a
  /// send(2) that may sleep with all that is to be sent.
  bool pressing() const { return pool_.exceeded(); }

  /// For how long the next recv(2) may sleep. For ever while the peer owes us
  /// nothing, so that a request costs no third call.
  void limit_receive() {
    if (deadlines_.idle() && !limited_) return;
    limited_ = !deadlines_.idle();
    limit(socket_, SO_RCVTIMEO, deadlines_.left_ns());
  }
  /// The same, for who sleeps elsewhere.
  std::chrono::nanoseconds left() const {
    constexpr std::chrono::hours long_enough(1);
    if (deadlines_.idle()) return long_enough;
    return std::chrono::nanoseconds(deadlines_.left_ns());
  }

  /// The program stops, and did so `passed` ago: what is not over when
  /// net::Deadlines::drain_time is has to be reset.
  void drain(std::chrono::nanoseconds passed) {
    limit_send(socket_, std::chrono::milliseconds(100));
    deadlines_.drain(passed);
  }
  bool drained() const { return deadlines_.drained(); }

 private:
  const int socket_;
  protocol::Session& session_;
  const protocol::Pool& pool_;
  net::Deadlines deadlines_;
  net::Deadlines::Entry entry_;
  bool limited_ = false;
};

/// What a thread has of its peer. Each has a pool of its own.
struct Conversation {
  Conversation(net::Guest peer, protocol::Service& service,
               protocol::ReturnAddress address)
      : guest(std::move(peer)),
        pool(service.budget(), busy_max),
        session(service, pool, address, &guest),
        deadline(address.conversation, socket(), session, pool,
                 service.limits()) {}

  // So much of free blocks is kept while the thread is awake, and so much while
  // it sleeps in recv(2), beside the room that is lent there.
  static constexpr std::size_t busy_max = 64 << 10, idle_max = 8 << 10;

  net::Guest guest;
  protocol::Pool pool;
  protocol::Session session;
  Deadline deadline;
  bool shut = false;      // we have ended our side
  bool stopping = false;  // it knows that the program stops

  int socket() const { return guest.socket.get(); }
};

}  // namespace blocking
