#pragma once
// System calls, counted where they are made: thin wrappers with the system's
// own signatures. With --trace each call also leaves an event with its time.

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/types.h>  // fd_set
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "net/counters.hpp"
#include "net/timeline.hpp"

namespace net {

/// A name as a template argument.
template <std::size_t N>
struct Name {
  constexpr Name(const char (&text)[N]) { std::copy_n(text, N, value); }
  char value[N];
};

/// The descriptor on which a call is made: its first argument, unless that is a
/// set of flags (alone) or a number of them (select(2)).
int descriptor(auto...) { return -1; }
int descriptor(int first, auto second, auto...) {
  return std::is_same_v<decltype(second), fd_set*> ? -1 : first;
}

/// A system call that counts itself under "sys.<name>". In a trace it is made
/// by `traced`, which may record more than the call itself.
template <Name name, auto call, auto traced = call, Name prefix = "sys.">
struct Counted {
  auto operator()(auto... args) const {
    cells().add(index);
    if (!trace::on.load(std::memory_order_relaxed)) [[likely]]
      return call(args...);
    return follow(args...);
  }
  // Out of the way of those that are not traced.
  [[gnu::cold, gnu::noinline]] static auto follow(auto... args) {
    const auto began = trace::begin();
    const auto result = traced(args...);
    const int error = errno;
    trace::end(name.value, descriptor(args...), began,
               result == -1 ? -error : static_cast<std::int64_t>(result));
    errno = error;
    return result;
  }
  static inline const unsigned index =
      counter(prefix.value, std::string_view(name.value));
};

/// A call of the C library that is none of the kernel's: it may come to several
/// of those, to none, or to some in threads that the library makes by itself.
/// Counts itself under "lib.<name>", so that nobody takes it for one.
template <Name name, auto call, auto traced = call>
using Library = Counted<name, call, traced, "lib.">;

}  // namespace net

namespace sys {

using net::Counted;

inline constexpr Counted<"accept4", ::accept4> accept4;
inline constexpr Counted<"close", ::close> close;
inline constexpr Counted<"connect", ::connect> connect;
inline constexpr Counted<"fcntl", ::fcntl> fcntl;
inline constexpr Counted<"fork", ::fork> fork;
inline constexpr Counted<"getsockopt", ::getsockopt> getsockopt;
inline constexpr Counted<"ioctl", ::ioctl> ioctl;
inline constexpr Counted<"poll", ::poll> poll;
inline constexpr Counted<"recv", ::recv> recv;
inline constexpr Counted<"send", ::send> send;
inline constexpr Counted<"setsockopt", ::setsockopt> setsockopt;
inline constexpr Counted<"shutdown", ::shutdown> shutdown;
inline constexpr Counted<"read", ::read> read;
inline constexpr Counted<"waitpid", ::waitpid> waitpid;
inline constexpr Counted<"write", ::write> write;

}  // namespace sys
