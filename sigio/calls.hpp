#pragma once
// The system calls of this model, counted where they are made: under the
// kernel's names where the C library has others.

#include <signal.h>
#include <sys/signalfd.h>

#include "net/sys.hpp"

namespace sys {

inline constexpr Counted<"rt_sigtimedwait", ::sigtimedwait> rt_sigtimedwait;
inline constexpr Counted<"signalfd4", ::signalfd> signalfd4;
inline constexpr Counted<"ppoll", ::ppoll> ppoll;

}  // namespace sys
