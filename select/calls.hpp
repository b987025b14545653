#pragma once
// The system calls of these two variants, counted where they are made. Servers
// wait in milliseconds and microseconds (poll is in net/sys.hpp), clients in
// nanoseconds: a load has its times in microseconds.

#include <poll.h>
#include <sys/select.h>

#include "net/sys.hpp"

namespace sys {

inline constexpr Counted<"select", ::select> select;
inline constexpr Counted<"pselect", ::pselect> pselect;
inline constexpr Counted<"ppoll", ::ppoll> ppoll;

}  // namespace sys
