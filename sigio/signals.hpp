#pragma once
// How a socket comes to send signals, to whom, and what they have said.

#include <pthread.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

#include "net/server.hpp"
#include "sigio/calls.hpp"

namespace sigio {

/// From here on changes of the socket send this thread `signal`, or SIGIO if
/// that is 0. The owner is the thread and not the process: another thread that
/// waits for the same signals (the node's client does) would take them away.
/// Nothing is sent for what has come before: so the caller looks once. In the
/// other order, a look and then this, what comes between the two is not told.
/// False, with errno, for want of memory.
inline bool arm(int fd, int signal) {
  f_owner_ex owner{.type = F_OWNER_TID, .pid = ::gettid()};
  return sys::fcntl(fd, F_SETOWN_EX, &owner) == 0 &&
         sys::fcntl(fd, F_SETSIG, signal) == 0 &&
         sys::fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC) == 0;
}

/// Of a listener, before it is closed: others may have the same one open, and
/// then it would send on.
inline void disarm(int fd) { sys::fcntl(fd, F_SETFL, O_NONBLOCK); }

/// Is one of these events there now? What a signal has said may be over, or of
/// somebody else: the descriptor is a number, and numbers come again. Also true
/// of an error, or where both sides have ended: poll(2) tells that unasked.
inline bool is_ready(int fd, short events) {
  pollfd socket{.fd = fd, .events = events, .revents = 0};
  for (;;) {
    const int n = sys::poll(&socket, 1, 0);
    if (n >= 0 || errno != EINTR) return n == 1;
  }
}

/// Opens the listener and arms it, if this loop has one. A descriptor has one
/// owner: so loops do not share a listening socket that was inherited, nor a
/// Unix socket, but one has it, and hands out the peers.
inline void open(net::Listener& listener, net::Mailbox& mailbox,
                 const net::Options& options, int signal) {
  const bool single = options.listen_fd >= 0 || options.bind.starts_with('/');
  const bool hands = single && options.threads > 1;
  listener.open(SOCK_NONBLOCK, hands ? net::Share::guests : net::Share::port,
                mailbox);
  if (listener.fd() >= 0 && !arm(listener.fd(), signal))
    net::fail(errno, "fcntl O_ASYNC");
}

/// The mailbox wakes this thread by a signal. Letters may be there already.
inline void wake_by_signal(net::Mailbox& mailbox) {
  mailbox.on_wake(
      [loop = ::pthread_self()] { ::pthread_kill(loop, wake_signal); });
}

/// What signals have said of a socket and no call has used up. A new one has
/// room to send, and may have received something.
struct Told {
  bool readable = true, writable = true;
  // Behind bytes that are there is more, though no signal is to come: the
  // peer's end, if it came before this was armed, or its signal found the queue
  // full or was taken while such bytes were left; or urgent data, at which
  // recv(2) stops.
  bool ending = true;

  /// By a signal, which does not say whether it is of bytes or of the end. It
  /// may be of a socket that had this number before: then a call too many is
  /// made and finds nothing (EAGAIN).
  void note(long events) {
    constexpr long broken = POLLERR | POLLHUP;
    if (readable || (events & POLLPRI)) ending = true;
    if (events & (POLLIN | POLLPRI | broken)) readable = true;
    if (events & (POLLOUT | broken)) writable = true;
  }
  /// Nothing is known any more.
  void forget() { *this = Told(); }
};

/// A server's conversation.
struct Connection : net::Conversation, Told {
  using Conversation::Conversation;

  /// Of what needs no signal.
  bool has_more() const {
    return session.wants_turn() || (readable && session.wants_input()) ||
           (writable && session.has_output());
  }
  /// No call is due that would meet an error, and there is one. It is told
  /// once, so nobody would notice; and it is believed of the socket alone.
  bool is_gone() const {
    return !session.wants_input() && !session.has_output() &&
           is_ready(socket(), 0);
  }
};

/// Which conversation has a descriptor. One thread.
class Descriptors {
 public:
  /// False for want of memory.
  bool set(int fd, std::uint64_t id) try {
    const auto place = static_cast<std::size_t>(fd);
    if (place >= ids_.size()) ids_.resize(place + 1);
    ids_[place] = id;
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
  void clear(int fd) {
    if (at(fd)) ids_[static_cast<std::size_t>(fd)] = 0;
  }
  /// 0, which is nobody's, for any number that is none of a conversation:
  /// whoever may send this process signals can send any number.
  std::uint64_t at(int fd) const {
    const auto place = static_cast<std::size_t>(fd);
    return place < ids_.size() ? ids_[place] : 0;
  }

 private:
  std::vector<std::uint64_t> ids_;
};

}  // namespace sigio
