#pragma once
// The system calls of this model, counted where they are made. It asks where
// others wait, so that most of its calls find nothing: these are counted apart.

#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include <cerrno>
#include <cstdint>

#include "net/clock.hpp"
#include "net/model.hpp"
#include "net/sys.hpp"

namespace sys {

inline constexpr Counted<"nanosleep", ::nanosleep> nanosleep;
inline constexpr Counted<"sched_yield", ::sched_yield> sched_yield;

}  // namespace sys

namespace asked {

inline const unsigned found = net::counter("model.", "found");

/// A call on a non-blocking socket. "model.empty_recv" counts those that found
/// nothing (EAGAIN), "model.found" all others, be it an end or an error.
template <net::Name name, auto call>
struct Asked {
  auto operator()(auto... args) const {
    const auto result = call(args...);
    net::count(result < 0 && errno == EAGAIN ? empty : found);
    return result;
  }
  static inline const unsigned empty = net::counter("model.empty_", name.value);
};

// All of sys, where these three are not the ones that are meant.
using namespace sys;
inline constexpr Asked<"accept4", sys::accept4> accept4;
inline constexpr Asked<"recv", sys::recv> recv;
inline constexpr Asked<"send", sys::send> send;

/// From here on: has this thread found anything?
class Pass {
 public:
  bool empty() const { return net::cells().at(found) == before_; }

 private:
  const std::uint64_t before_ = net::cells().at(found);
};

/// More than a tenth of a second, and a stop would be late.
inline constexpr net::Row nap{
    "nap", "microseconds of sleep when nobody has anything; 0: none", 0, 0,
    100'000};

/// What a thread does after a pass that found nothing.
class Rest {
 public:
  /// A sleep ends late by the timer's slack, 50 us (prctl(2)): longer than a
  /// short nap. So it is set to the least, of this thread alone, at the price
  /// for which it exists: fewer timers end together.
  explicit Rest(std::uint64_t nap_us)
      : nap_ns_(static_cast<protocol::Nanoseconds>(1000 * nap_us)) {
    if (nap_ns_ > 0) ::prctl(PR_SET_TIMERSLACK, 1ul);
  }

  /// Without a nap, or with less time left than that, the CPU is offered to
  /// whoever wants it, perhaps to the very peer that is waited for: if nobody
  /// does, the call returns at once, and nobody has slept.
  void operator()(protocol::Nanoseconds left) const {
    if (nap_ns_ == 0 || left < nap_ns_) return void(sys::sched_yield());
    const timespec nap = net::to_timespec(nap_ns_);
    sys::nanosleep(&nap, nullptr);
  }

 private:
  const protocol::Nanoseconds nap_ns_;
};

}  // namespace asked
