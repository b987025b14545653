#pragma once
// Who accepts, where there are several loops: --accept.

#include <array>
#include <cstdint>

#include "epoll/calls.hpp"
#include "net/error.hpp"
#include "net/listener.hpp"

namespace epoll {

inline constexpr const char* ways[] = {"reuseport", "exclusive", "handoff"};
inline constexpr net::Row accept_row{
    .name = "accept",
    .help =
        "which of several loops accepts: by the kernel's hash, whichever is "
        "woken, or one for all, in turn",
    .value = 0,
    .words = ways};

inline net::Share share_of(const net::Options& options) {
  return std::array{net::Share::port, net::Share::socket,
                    net::Share::guests}[options["accept"]];
}

/// Opens the listener as the option says, and watches it, if this loop has one.
///
/// One socket for all loops is on the list of each. Without EPOLLEXCLUSIVE a
/// peer would wake all of them, and all but one would find nobody. With it the
/// kernel wakes one that sleeps (seldom a few): the first that does, in the
/// order in which they came to be on the socket's list, here. So one loop has
/// nearly all, and others only who comes while it is busy. It can be said to
/// EPOLL_CTL_ADD alone: a change (EPOLL_CTL_MOD) is EINVAL, so that this is
/// armed once.
inline void open(net::Listener& listener, net::Mailbox& mailbox,
                 const net::Options& options, int epoll, std::uint64_t id) {
  const net::Share share = share_of(options);
  listener.open(SOCK_NONBLOCK, share, mailbox);
  if (listener.fd() < 0) return;
  const bool shared = share == net::Share::socket;
  epoll_event event{.events = EPOLLIN | (shared ? EPOLLEXCLUSIVE : 0u),
                    .data = {.u64 = id}};
  net::check(sys::epoll_ctl(epoll, EPOLL_CTL_ADD, listener.fd(), &event),
             "epoll_ctl");
}

}  // namespace epoll
