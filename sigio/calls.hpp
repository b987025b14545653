#pragma once
// The system calls of this model, counted where they are made, and the signals
// that they wait for.

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <initializer_list>

#include "net/error.hpp"
#include "net/fd.hpp"
#include "net/sys.hpp"

namespace sys {

inline constexpr Counted<"sigtimedwait", ::sigtimedwait> sigtimedwait;
inline constexpr Counted<"signalfd", ::signalfd> signalfd;
inline constexpr Counted<"ppoll", ::ppoll> ppoll;

}  // namespace sys

namespace sigio {

/// Of a socket that has been armed with it. The C library keeps some real-time
/// signals for itself: which one is the first can be asked at run time only.
inline int ready_signal() { return SIGRTMIN; }
/// By which others wake a loop. A standard one: it is never refused, however
/// full the queue is, and two that come at once are one.
inline constexpr int wake_signal = SIGUSR2;
/// About as many may be queued by default (RLIMIT_SIGPENDING, which goes by the
/// machine's memory): a bound for what is thrown away, and for a look.
inline constexpr int queue_max = 100'000;
inline constexpr timespec at_once{};

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

/// The same, and a file of those that wait: signalfd(2). One that is not
/// blocked would be delivered, and never be read. It is each time the signals
/// of the thread that reads, whoever has made the file.
inline net::Fd file_of(std::initializer_list<int> signals) {
  const sigset_t set = block(signals);
  return net::Fd(net::check(sys::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC),
                            "signalfd"));
}

/// Takes away the signals that are queued, and tells nobody. Bounded, since
/// more may come meanwhile.
inline void discard(int signal) {
  const sigset_t queued = block({signal});
  for (int i = 0; i < queue_max; ++i)
    if (sys::sigtimedwait(&queued, nullptr, &at_once) < 0) return;
}

}  // namespace sigio
