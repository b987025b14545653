#pragma once
// The system calls of this model, counted where they are made, and the wait in
// nanoseconds, which not every kernel has.

#include <sys/epoll.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "net/fd.hpp"
#include "net/probe.hpp"
#include "net/sys.hpp"

namespace sys {

inline constexpr Counted<"epoll_create1", ::epoll_create1> epoll_create1;
inline constexpr Counted<"epoll_ctl", ::epoll_ctl> epoll_ctl;
inline constexpr Counted<"epoll_wait", ::epoll_wait> epoll_wait;
inline constexpr Counted<"epoll_pwait2", ::epoll_pwait2> epoll_pwait2;
inline constexpr Counted<"ppoll", ::ppoll> ppoll;

}  // namespace sys

namespace epoll {

/// epoll_wait(2) with its timeout in nanoseconds (null: no limit). That is
/// epoll_pwait2(2), Linux 5.11. Where it is refused, two calls do the same: an
/// epoll instance is itself readable when something on its list is ready. In
/// milliseconds a load of a thousand requests a second would either be late
/// with each or not sleep at all.
class Wait {
 public:
  int operator()(int epoll, epoll_event* ready, int ready_max,
                 const timespec* timeout) {
    if (precise_) {
      const int n =
          sys::epoll_pwait2(epoll, ready, ready_max, timeout, nullptr);
      if (n >= 0 || (errno != ENOSYS && errno != EPERM)) return n;
      precise_ = false;
      std::fputs("no epoll_pwait2 here: using ppoll and epoll_wait\n", stderr);
    }
    pollfd any{.fd = epoll, .events = POLLIN, .revents = 0};
    const int n = sys::ppoll(&any, nfds_t{1}, timeout, nullptr);
    return n > 0 ? sys::epoll_wait(epoll, ready, ready_max, 0) : n;
  }

 private:
  bool precise_ = true;
};

/// Refused is as good as had, as long as nobody is killed for having asked.
inline std::string probe(const net::Options&, net::Trial& trial) {
  if (trial.counting) return {};
  const net::Fd nobody(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event none;
  const timespec at_once{};
  trial.about_to("epoll_pwait2");
  ::epoll_pwait2(nobody.get(), &none, 1, &at_once, nullptr);
  return {};
}

}  // namespace epoll
