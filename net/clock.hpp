#pragma once
// The clock of everything that is due.

#include <chrono>
#include <ctime>

#include "protocol/agenda.hpp"

namespace net {

/// Nanoseconds of any clock.
inline protocol::Nanoseconds read_clock(clockid_t clock) {
  timespec time;
  ::clock_gettime(clock, &time);
  return protocol::Nanoseconds{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// Nanoseconds of CLOCK_MONOTONIC.
inline protocol::Nanoseconds now() {
  return std::chrono::steady_clock::now().time_since_epoch() /
         std::chrono::nanoseconds(1);
}

/// For how long a client may sleep before `due`; negative: without end. A
/// sleep ends late by a timer's slack (50 us, prctl(2)) and the way back to a
/// CPU, so the last 100 us are spent awake: then it is 0.
inline protocol::Nanoseconds time_to_sleep(protocol::Nanoseconds due) {
  constexpr protocol::Nanoseconds awake = 100'000;
  if (due == protocol::never) return -1;
  const protocol::Nanoseconds left = due - now();
  return left > awake ? left - awake : 0;
}

inline timespec to_timespec(protocol::Nanoseconds ns) {
  return {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
}

}  // namespace net
