#pragma once
// The calls of this model. They are calls of the C library, and no system calls
// (aio(7)): it has threads of its own, which make those. They are counted as
// what they are, and what the threads do is seen by a tracer alone.

#include <aio.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>

#include "net/model.hpp"
#include "net/sys.hpp"
#include "net/timeline.hpp"

namespace aio {

// With --trace: from the call that asks until its result is fetched, the
// request is in the library's hands.
inline std::uint64_t name_of(const aiocb* request) {
  return reinterpret_cast<std::uintptr_t>(request);
}
template <auto call>
inline constexpr auto traced_ask = [](aiocb* request) {
  net::trace::ask(call == ::aio_read ? "aio_read" : "aio_write",
                  name_of(request), request->aio_fildes);
  return call(request);
};
inline constexpr auto traced_return = [](aiocb* request) {
  const ssize_t result = ::aio_return(request);
  net::trace::done(name_of(request), result, false);
  return result;
};

}  // namespace aio

namespace sys {

using net::Library;

inline constexpr Library<"aio_read", ::aio_read, aio::traced_ask<::aio_read>>
    aio_read;
inline constexpr Library<"aio_write", ::aio_write, aio::traced_ask<::aio_write>>
    aio_write;
inline constexpr Library<"aio_error", ::aio_error> aio_error;
inline constexpr Library<"aio_return", ::aio_return, aio::traced_return>
    aio_return;
inline constexpr Library<"aio_suspend", ::aio_suspend> aio_suspend;
inline constexpr Library<"aio_cancel", ::aio_cancel> aio_cancel;
// Of the kernel's: in which a loop sleeps that is told by signals.
inline constexpr Counted<"sigtimedwait", ::sigtimedwait> sigtimedwait;

}  // namespace sys

namespace aio {

/// A thread is made when it is needed and no earlier, so a high limit costs
/// nothing as long as few peers come.
inline constexpr net::Row threads_row = {
    "aio-threads", "threads of the C library, one for each peer", 1024, 1,
    16384};

/// How many threads the library may have is said before the first request: what
/// comes later is ignored, and without it there are 20. A request that finds
/// none free is queued, and those that have the threads may sleep for as long
/// as their peers say nothing. So there is a thread for each request that can
/// be out: one at a time for each peer, and one for the bell. A node of a ring
/// asks others by the same pool, and has as many once more for them.
inline void size_pool(const net::Options& options) {
  [[maybe_unused]] static const bool once = [&options] {
    aioinit pool{};
    pool.aio_threads = 2 * (static_cast<int>(options["aio-threads"]) + 1);
    ::aio_init(&pool);
    return true;
  }();
}

/// Of a thread that does next to nothing.
inline constexpr std::size_t small_stack = 64 << 10;

/// In a thread by which the library tells that something is done, no signal is
/// blocked, whatever its maker has blocked. One that the main thread waits for
/// may go there instead, and would end the process as it is: it is handed on.
/// The others, which nobody waits for and are blocked elsewhere, are ignored.
inline void hand_on_signals() {
  for (const int signal :
       {SIGUSR2, SIGPIPE, SIGALRM, SIGIO, SIGVTALRM, SIGPROF, SIGXCPU, SIGXFSZ,
        SIGPWR, SIGSTKFLT, SIGTSTP, SIGTTIN, SIGTTOU})
    ::signal(signal, SIG_IGN);
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal)
    ::signal(signal, SIG_IGN);
  struct sigaction action{};
  action.sa_flags = SA_RESTART;
  action.sa_handler = [](int signal) {
    const int error = errno;
    // Where the main thread does not wait for it, it ends the process after
    // all.
    if (::gettid() == ::getpid()) ::signal(signal, SIG_DFL);
    ::syscall(SYS_tgkill, ::getpid(), ::getpid(), signal);
    errno = error;
  };
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM})
    ::sigaction(signal, &action, nullptr);
}

/// Has more come for this socket than these bytes that we have, be it unread or
/// in the hands of a thread that reads? The kernel counts what came, the peer's
/// end as one byte (tcp_fin() in net/ipv4/tcp_input.c); of a Unix socket it
/// tells only what is unread.
inline bool has_more(int fd, std::uint64_t bytes) {
  tcp_info come{};
  socklen_t size = sizeof come;
  if (sys::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &come, &size) == 0)
    return come.tcpi_bytes_received > bytes;
  int unread = 0;
  return sys::ioctl(fd, FIONREAD, &unread) == 0 && unread > 0;
}

/// For how long a thread may sleep in a call on this socket (SO_RCVTIMEO,
/// SO_SNDTIMEO). write(2) sleeps until the kernel has taken all of the bytes,
/// or the time is up: then it says how many. Without it nobody would hear of a
/// reader who takes a few at a time.
inline void limit_sleep(int fd, int option, std::chrono::milliseconds time) {
  const auto us = std::max(std::chrono::microseconds(time).count(), 1L);
  const timeval limit{.tv_sec = us / 1'000'000, .tv_usec = us % 1'000'000};
  sys::setsockopt(fd, SOL_SOCKET, option, &limit,
                  static_cast<socklen_t>(sizeof limit));
}

}  // namespace aio
