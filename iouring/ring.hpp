#pragma once
// A ring: the two queues, and what has been asked for and is not done yet.

#include <algorithm>
#include <cstdio>

#include "iouring/calls.hpp"
#include "net/error.hpp"
#include "net/probe.hpp"

namespace iouring {

/// What has been asked for: the upper 8 bits of an entry's user_data. The lower
/// 56 are the id of the conversation (never its descriptor, which may be
/// somebody else's by the time the completion is seen).
enum class Asked { accept, anyone, connect, receive, send, cancel, bell, tick };

/// Both queues. Used by the thread that made it, alone. What entries point to
/// must stay until their completion has been seen: finish() waits for that.
class Ring {
 public:
  /// `entries` and `completions` are rounded up to powers of two. Throws
  /// std::system_error. Says so where it has to be content with less, except to
  /// a probe, whose one line is a refusal.
  Ring(unsigned entries, unsigned completions, bool probing = false) {
    // The kernel's half of a request is done when we wait, not by interrupting
    // us (Linux 6.1); before that at any of our system calls (5.19).
    constexpr unsigned deferred =
        IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    int error = init(entries, completions, deferred);
    const bool second = error == -EINVAL;
    if (second) error = init(entries, completions, IORING_SETUP_COOP_TASKRUN);
    if (error < 0) net::fail(-error, "io_uring_setup");
    if (second && !probing) {  // once for all rings of the process
      [[maybe_unused]] static const int told =
          std::fputs("no DEFER_TASKRUN here: using COOP_TASKRUN\n", stderr);
    }
  }
  ~Ring() { ::io_uring_queue_exit(&ring_); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  io_uring* get() { return &ring_; }

  /// An empty entry, to be filled before the next call; it is handed over with
  /// the next wait, or now if the queue is full.
  io_uring_sqe* entry(Asked what, std::uint64_t id) {
    io_uring_sqe* entry;
    while (!(entry = ::io_uring_get_sqe(&ring_)))
      expect(sys::io_uring_submit(&ring_));
    entry->user_data = user_data(what, id);
    ++in_flight_;
    return entry;
  }
  static std::uint64_t user_data(Asked what, std::uint64_t id) {
    return static_cast<std::uint64_t>(what) << 56 | id;
  }

  /// Hands over all entries and sleeps until something is done, at most for
  /// `timeout` (null: no limit).
  void wait(__kernel_timespec* timeout = nullptr) {
    io_uring_cqe* first;
    expect(timeout ? sys::io_uring_submit_and_wait_timeout(&ring_, &first, 1u,
                                                           timeout, nullptr)
                   : sys::io_uring_submit_and_wait(&ring_, 1u));
    if (::io_uring_cq_has_overflow(&ring_)) net::count(overflows_);
  }

  /// done(what, id, completion) for everything that is done.
  template <class Done>
  void take(Done done) {
    unsigned head, taken = 0;
    io_uring_cqe* cqe;
    io_uring_for_each_cqe(&ring_, head, cqe) {
      ++taken;
      if (!(cqe->flags & IORING_CQE_F_MORE)) --in_flight_;
      done(static_cast<Asked>(cqe->user_data >> 56),
           cqe->user_data & ((std::uint64_t{1} << 56) - 1), *cqe);
    }
    ::io_uring_cq_advance(&ring_, taken);
  }

  /// Takes back what is still asked for and waits until the kernel has let go
  /// of every address that it was lent.
  template <class Done>
  void finish(Done done) {
    ::io_uring_prep_cancel64(entry(Asked::cancel, 0), 0,
                             IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    while (in_flight_ > 0) {
      wait();
      take(done);
    }
  }

 private:
  // EBUSY and EAGAIN: the kernel wants its completions taken first.
  static void expect(int result) {
    if (result < 0 && result != -EINTR && result != -ETIME &&
        result != -EBUSY && result != -EAGAIN)
      net::fail(-result, "io_uring_enter");
  }
  int init(unsigned entries, unsigned completions, unsigned flags) {
    return net::patiently([&] {
      io_uring_params params{};
      params.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                     IORING_SETUP_SUBMIT_ALL | flags;
      // Fewer than entries are no ring (EINVAL).
      params.cq_entries = std::max(entries, completions);
      return ::io_uring_queue_init_params(entries, &ring_, &params);
    });
  }

  io_uring ring_{};
  std::uint64_t in_flight_ = 0;
  const unsigned overflows_ = net::counter("model.", "overflows");
};

}  // namespace iouring
