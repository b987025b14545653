#pragma once
// The system calls of this model (those of a conversation are counted where
// they are made), and what it takes to call a thread back from a system call in
// which it sleeps.

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>

#include "net/sys.hpp"

namespace blocking {

// How a thread is called back from a call in which it sleeps: by a signal. One
// that comes a moment before the call would end nothing, and the call would
// sleep all the same. So its handler makes the thread's own socket
// non-blocking: who sleeps in it is interrupted (EINTR), and who does not yet
// will not fall asleep (EAGAIN).
inline constexpr int wake_signal = SIGUSR1;
inline thread_local constinit int sleeps_in = -1;  // the thread's own socket

inline void install_wake_signal(int number = wake_signal) {
  struct sigaction action{};
  action.sa_flags = SA_SIGINFO;  // and no SA_RESTART
  action.sa_sigaction = [](int, siginfo_t* signal, void*) {
    const int error = errno;  // of whatever is interrupted
    // Nobody but this program calls its threads back, and nobody but the kernel
    // tells of a child's end (CLD_EXITED, CLD_KILLED ...): kill(2) is SI_USER.
    if (signal->si_code == SI_TKILL ||
        (signal->si_signo == SIGCHLD && signal->si_code > 0))
      ::fcntl(sleeps_in, F_SETFL, O_NONBLOCK);
    errno = error;
  };
  ::sigaction(number, &action, nullptr);
}

// Blocks the signal in the calling thread, or lets it in; in all threads that
// do not ask for it, it is blocked. So is SIGCHLD, which the kernel sends to
// who has forked; to others it does nothing.
inline void mask_wake_signal(int how) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, wake_signal);
  ::sigaddset(&set, SIGCHLD);
  ::pthread_sigmask(how, &set, nullptr);
}

// From here on the calling thread may be called back from its calls on `fd`.
inline void admit_calls(int fd) {
  sleeps_in = fd;
  mask_wake_signal(SIG_UNBLOCK);
}

// The thread has seen what it is called back for: its calls on `fd` sleep
// again, and a signal that comes later stays pending for good. (If the
// descriptor were set first and the signal blocked then, it could come between
// the two: every later call on `fd` would fail at once, in a busy loop.)
inline void refuse_calls(int fd) {
  mask_wake_signal(SIG_BLOCK);
  sys::fcntl(fd, F_SETFL, 0);
}

// For how long a call on this socket may sleep (SO_RCVTIMEO, SO_SNDTIMEO);
// negative: without end, for which the kernel has 0.
inline void limit(int fd, int option, std::int64_t ns) {
  const std::int64_t us = ns < 0 ? 0 : std::max<std::int64_t>(ns / 1'000, 1);
  const timeval time{.tv_sec = us / 1'000'000, .tv_usec = us % 1'000'000};
  sys::setsockopt(fd, SOL_SOCKET, option, &time,
                  static_cast<socklen_t>(sizeof time));
}
inline void limit_send(int fd, std::chrono::nanoseconds time) {
  limit(fd, SO_SNDTIMEO, time.count());
}

// For a client: so long may recv(2) wait for an answer. connect(2) and send(2)
// sleep for short and are made again, until the client gives up the peer. It
// does so by shutdown(2), which ends a call that sleeps; but one that comes
// before connect(2) leaves no trace, and connect(2) would then sleep for as
// long as TCP tries.
inline void limit_sleeps(int fd, std::chrono::nanoseconds receive) {
  limit(fd, SO_RCVTIMEO, receive.count());
  limit_send(fd, std::chrono::milliseconds(100));
}

// Has more come for this socket than what was handed over, be it unread or in
// the hands of the thread that reads? The kernel counts what came (tcp(7)); of
// a Unix socket it tells only what is unread.
inline bool has_more(int fd, std::uint64_t handed_over) {
  tcp_info come{};
  socklen_t size = sizeof come;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &come, &size) == 0)
    return come.tcpi_bytes_received > handed_over;
  int unread = 0;
  return ::ioctl(fd, FIONREAD, &unread) == 0 && unread > 0;
}

// What connect(2) says of a connection that is still being made: interrupted,
// its time was up, and the same of every call after the first.
inline bool goes_on(int error) {
  return error == EINTR || error == EINPROGRESS || error == EALREADY;
}

}  // namespace blocking
