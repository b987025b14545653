#pragma once
// How it is learnt that a request is done: by looking at all of them, by a
// signal, or by a thread.

#include <aio.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <new>
#include <vector>

#include "aio/calls.hpp"
#include "aio/operation.hpp"
#include "net/error.hpp"

namespace aio {

// ---- By looking

/// Nothing tells. (Zeroes alone would ask for a signal.)
inline sigevent by_nothing(std::uint64_t) {
  sigevent told{};
  told.sigev_notify = SIGEV_NONE;
  return told;
}

/// All that are out, as aio_suspend(3) wants them: in one list, anew each time.
class Outstanding {
 public:
  /// For so many at once. False if there is no memory for it.
  bool make_room(std::size_t count) try {
    if (list_.capacity() < count) list_.reserve(std::bit_ceil(count));
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
  /// Lists it if the library has taken it, and returns whether it has. There is
  /// room (make_room()).
  bool add(Operation& one, bool asked) {
    if (asked) list_.push_back(&one);
    return asked;
  }

  /// Sleeps until one is done, at most for `timeout` (null: no limit).
  void wait(const timespec* timeout) {
    const int n = static_cast<int>(list_.size());
    if (sys::aio_suspend(list_.data(), n, timeout) != 0 && errno != EAGAIN &&
        errno != EINTR)
      net::fail(errno, "aio_suspend");
  }

  /// done(operation, result) for those that are. It does not say which: each is
  /// asked. From the end, so that what done() asks meanwhile, and what takes an
  /// empty place, is not looked at before the next time.
  template <class Done>
  void take(Done done) {
    for (std::size_t i = list_.size(); i-- > 0;) {
      auto& one = static_cast<Operation&>(const_cast<aiocb&>(*list_[i]));
      const auto result = one.result();
      if (!result) continue;
      list_[i] = list_.back();
      list_.pop_back();
      done(one, *result);
    }
  }

 private:
  std::vector<const aiocb*> list_;
};

// ---- By a signal

/// A real-time signal: each that is sent is queued, and carries the id. Which
/// is the first that the C library has left can be asked at run time only.
inline const int done_signal = SIGRTMIN;

inline sigevent by_signal(std::uint64_t id) {
  sigevent told{};
  told.sigev_notify = SIGEV_SIGNAL;
  told.sigev_signo = done_signal;
  told.sigev_value.sival_ptr = std::bit_cast<void*>(id);
  return told;
}

// ---- By a thread

/// The pipe through which the threads tell ids. It is never closed: one that is
/// late would write into whatever has the number by then.
struct News {
  int read_end = -1, write_end = -1;
};
inline constinit News news;

inline void open_news() {
  [[maybe_unused]] static const bool once = [] {
    std::array<int, 2> ends;
    net::check(::pipe2(ends.data(), O_CLOEXEC), "pipe2");
    news = {.read_end = ends[0], .write_end = ends[1]};
    return true;
  }();
}

// In a thread of the library's, which ends with this. If the pipe is full it
// sleeps here, and nobody else does.
inline void told_by_thread(sigval value) {
  const auto id = reinterpret_cast<std::uintptr_t>(value.sival_ptr);
  while (::write(news.write_end, &id, sizeof id) < 0 && errno == EINTR) {
  }
}

inline sigevent by_thread(std::uint64_t id) {
  // Nobody waits for its end, and it needs no stack of 8 MiB.
  static pthread_attr_t attributes = [] {
    pthread_attr_t made;
    ::pthread_attr_init(&made);
    ::pthread_attr_setdetachstate(&made, PTHREAD_CREATE_DETACHED);
    ::pthread_attr_setstacksize(&made, small_stack);
    return made;
  }();
  sigevent told{};
  told.sigev_notify = SIGEV_THREAD;
  told.sigev_notify_function = told_by_thread;
  told.sigev_notify_attributes = &attributes;
  told.sigev_value.sival_ptr = std::bit_cast<void*>(id);
  return told;
}

}  // namespace aio
