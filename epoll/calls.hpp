#pragma once
// The system calls of this model, counted where they are made.

#include <sys/epoll.h>

#include "net/sys.hpp"

namespace sys {

inline constexpr Counted<"epoll_create1", ::epoll_create1> epoll_create1;
inline constexpr Counted<"epoll_ctl", ::epoll_ctl> epoll_ctl;
inline constexpr Counted<"epoll_wait", ::epoll_wait> epoll_wait;
inline constexpr Counted<"epoll_pwait2", ::epoll_pwait2> epoll_pwait2;

}  // namespace sys
