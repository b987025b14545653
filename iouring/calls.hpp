#pragma once
// The system calls of this model, counted where they are made, and what a trace
// has beside them.

#include <liburing.h>

#include <map>

#include "net/sys.hpp"
#include "net/timeline.hpp"

namespace iouring {

/// What an entry asks for.
inline const char* name_of(int operation) {
  static const std::map<int, const char*> names = {
      {IORING_OP_POLL_ADD, "poll"},   {IORING_OP_ASYNC_CANCEL, "cancel"},
      {IORING_OP_TIMEOUT, "timeout"}, {IORING_OP_READ, "read"},
      {IORING_OP_ACCEPT, "accept"},   {IORING_OP_CONNECT, "connect"},
      {IORING_OP_RECV, "recv"},       {IORING_OP_SEND, "send"}};
  return names.contains(operation) ? names.at(operation) : "other";
}

// With --trace: what is done by now and has not been seen yet. Who has taken a
// completion leaves it in the queue, until the kernel needs the place.
inline void trace_done(const io_uring_cq& queue) {
  thread_local unsigned seen = 0;  // a thread has one ring
  const unsigned end = ::io_uring_smp_load_acquire(queue.ktail);
  for (; seen != end; ++seen) {
    const io_uring_cqe& cqe = queue.cqes[seen & queue.ring_mask];
    net::trace::done(cqe.user_data, cqe.res, cqe.flags & IORING_CQE_F_MORE);
  }
}

// With --trace: a call, and from which entry handed over to which completion.
template <auto call>
inline constexpr auto traced = [](io_uring* ring, auto... arguments) {
  trace_done(ring->cq);
  for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; ++i) {
    const io_uring_sqe& asked = ring->sq.sqes[i & ring->sq.ring_mask];
    net::trace::ask(name_of(asked.opcode), asked.user_data, asked.fd);
  }
  const int result = net::trace::returned(call(ring, arguments...));
  trace_done(ring->cq);
  return result;
};

}  // namespace iouring

namespace sys {

// liburing makes one io_uring_enter(2) in each of these, since there is always
// something to hand over or to wait for.
template <auto call>
using Enter = Counted<"io_uring_enter", call, iouring::traced<call>>;
inline constexpr Enter<::io_uring_submit> io_uring_submit;
inline constexpr Enter<::io_uring_submit_and_wait> io_uring_submit_and_wait;
inline constexpr Enter<::io_uring_submit_and_wait_timeout>
    io_uring_submit_and_wait_timeout;

}  // namespace sys
