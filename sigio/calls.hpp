#pragma once
// The system calls of this model, counted where they are made.

#include <signal.h>
#include <sys/signalfd.h>

#include "net/sys.hpp"

namespace sys {

inline constexpr Counted<"sigtimedwait", ::sigtimedwait> sigtimedwait;
inline constexpr Counted<"signalfd", ::signalfd> signalfd;
inline constexpr Counted<"ppoll", ::ppoll> ppoll;

}  // namespace sys
