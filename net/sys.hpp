#pragma once
// System calls, counted where they are made: thin wrappers with the system's
// own signatures. With --trace each call also leaves an event with its time.

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/counters.hpp"

namespace sys {

using net::Counted;

inline constexpr Counted<"accept4", ::accept4> accept4;
inline constexpr Counted<"close", ::close> close;
inline constexpr Counted<"connect", ::connect> connect;
inline constexpr Counted<"fcntl", ::fcntl> fcntl;
inline constexpr Counted<"getsockopt", ::getsockopt> getsockopt;
inline constexpr Counted<"ioctl", ::ioctl> ioctl;
inline constexpr Counted<"poll", ::poll> poll;
inline constexpr Counted<"recv", ::recv> recv;
inline constexpr Counted<"send", ::send> send;
inline constexpr Counted<"setsockopt", ::setsockopt> setsockopt;
inline constexpr Counted<"shutdown", ::shutdown> shutdown;
inline constexpr Counted<"read", ::read> read;
inline constexpr Counted<"write", ::write> write;

}  // namespace sys
