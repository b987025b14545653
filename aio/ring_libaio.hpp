#pragma once
// A context of the kernel's own AIO: what is asked for, what is in flight, and
// what has been done.

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <new>
#include <vector>

#include "aio/calls_libaio.hpp"
#include "net/error.hpp"

namespace libaio {

/// Used by one thread. What is asked for has one of the context's slots until
/// its event has been seen. The kernel copies an entry when it takes it, so it
/// may be used again at once; bytes are lent only while submit() lasts, since
/// no socket here would let the kernel wait.
class Ring {
 public:
  static constexpr unsigned batch = 64;  // handed over by one call

  /// Throws std::system_error. `peeks`: events are read from the ring itself,
  /// and a call is made only to sleep.
  Ring(unsigned slots, bool peeks) : peeks_(peeks) {
    if (const int error = set_up(slots); error < 0)
      net::fail(-error, "io_setup");
  }
  /// Takes back what is in flight, and lets go of its sockets.
  ~Ring() { sys::io_destroy(context_); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  unsigned slots() const { return slots_; }

  /// Has the next submit() something to hand over?
  bool waits() const { return !noted_.empty() && in_flight_ < slots_; }
  /// For the next submit(), which asks what for: by that time it may have gone.
  void note(Asked what, std::uint64_t id) { noted_.emplace_back(what, id); }

  /// Hands over a batch of what was noted, in that order: make(what, id, entry)
  /// fills in the entry, or says false. What the kernel does not take is
  /// done(what, id, error), the rest will be when its event is seen.
  template <class Make, class Done>
  void submit(Make make, Done done) {
    std::size_t seen = 0;
    long count = 0;
    for (; seen < noted_.size() && count < batch && in_flight_ < slots_;
         ++seen) {
      const auto [what, id] = noted_[seen];
      // What may be taken back is known by its entry's address.
      iocb* entry = what == Asked::accept ? &accept_ : &entries_[count];
      if (!make(what, id, entry)) continue;
      entry->data = mark(what, id);
      asked_[count++] = entry;
      ++in_flight_;
    }
    noted_.erase(noted_.begin(), noted_.begin() + seen);
    // It says how many it has taken, and if that is none the error of the first
    // one. EAGAIN is want of memory, since there are slots: nor would there be
    // any for those behind it.
    long next = 0, result = 0;
    while (next < count) {
      if (result != -EAGAIN)
        result = sys::io_submit(context_, count - next, &asked_[next]);
      if (result > 0)
        next += result;
      else
        tell(asked_[next++]->data, result, done);
    }
    if (result == -EAGAIN) ::poll(nullptr, 0, 10);
  }

  /// Takes the events that are there; if there is none, sleeps until one is, at
  /// most for so long (null: no limit).
  void wait(const timespec* limit) {
    came_ = peeks_ ? Events::of(context_).take(events_) : 0;
    const bool at_once = limit && limit->tv_sec == 0 && limit->tv_nsec == 0;
    if (came_ > 0 || (peeks_ && at_once)) return;
    // It only reads the limit.
    came_ = sys::io_getevents(context_, 1L, std::ssize(events_), events_.data(),
                              const_cast<timespec*>(limit));
    if (came_ < 0 && came_ != -EINTR) net::fail(-came_, "io_getevents");
  }

  /// done(what, id, result) for every event that the wait has brought.
  template <class Done>
  void take(Done done) {
    for (int i = 0; i < came_; ++i)
      tell(events_[i].data, static_cast<long>(events_[i].res), done);
  }
  /// There may be more, so that what was lent may be lent still.
  bool more() const { return came_ == std::ssize(events_); }

  /// What was asked for as Asked::accept comes back, if nobody has come.
  /// Returns 0 or a negative error.
  int cancel() { return sys::io_cancel(context_, &accept_, &events_[0]); }

  /// A context of twice as many slots, at most so many, in the place of this
  /// one: what is noted and what is in flight is forgotten. False if it is not
  /// to be had, and nothing has changed.
  bool grow(unsigned most) {
    io_context* const old = context_;
    if (slots_ >= most || set_up(std::min(2 * slots_, most)) < 0) return false;
    sys::io_destroy(old);
    noted_.clear();
    in_flight_ = 0;
    return true;
  }

 private:
  template <class Done>
  void tell(void* marked, long result, Done done) {
    --in_flight_;
    done(asked(marked), id(marked), result);
  }
  int set_up(unsigned slots) try {
    // Twice as many: some may be of conversations that have gone meanwhile.
    noted_.reserve(2 * slots);
    io_context_t made = nullptr;
    const int error = sys::io_setup(static_cast<int>(slots), &made);
    if (error < 0) return error;
    context_ = made;
    slots_ = slots;
    if (Events::of(made).magic != Events::known) peeks_ = false;
    return 0;
  } catch (const std::bad_alloc&) {
    return -ENOMEM;
  }

  io_context_t context_ = nullptr;
  bool peeks_;
  unsigned slots_ = 0, in_flight_ = 0;
  std::vector<std::pair<Asked, std::uint64_t>> noted_;
  iocb accept_{};
  std::array<iocb, batch> entries_;
  std::array<iocb*, batch> asked_;
  std::array<io_event, 256> events_;
  int came_ = 0;
};

}  // namespace libaio
