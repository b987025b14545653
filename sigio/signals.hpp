#pragma once
// How a socket comes to send signals, to whom, and whose it is when one comes.

#include <pthread.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <vector>

#include "net/listener.hpp"
#include "sigio/calls.hpp"

namespace sigio {

/// Of a socket that has been armed with it. The C library keeps some real-time
/// signals for itself: which one is the first can be asked at run time only.
inline int ready_signal() { return SIGRTMIN; }
/// By which others wake a loop. A standard one: it is never refused, however
/// full the queue is, and two that come at once are one.
inline constexpr int wake_signal = SIGUSR2;

/// Blocks the signals in this thread, for good, and returns the set by which
/// they are waited for. This comes before anything is armed: SIGIO and the
/// real-time signals end a process that has not blocked them.
inline sigset_t block(std::initializer_list<int> signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals) ::sigaddset(&set, signal);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

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
/// somebody else: the descriptor is a number, and numbers come again.
inline bool is_ready(int fd, short events) {
  pollfd socket{.fd = fd, .events = events, .revents = 0};
  int n;
  do n = sys::poll(&socket, 1, 0);
  while (n < 0 && errno == EINTR);
  return n == 1;
}
/// The peer has reset, or both sides have ended.
inline bool is_broken(int fd) { return is_ready(fd, 0); }

/// A descriptor has one owner. So loops do not share a listening socket that
/// was inherited, nor a Unix socket: one has it, and hands out the peers.
inline net::Share share_of(const net::Options& options) {
  const bool single = options.listen_fd >= 0 || options.bind.starts_with('/');
  return single && options.threads > 1 ? net::Share::guests : net::Share::port;
}

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
