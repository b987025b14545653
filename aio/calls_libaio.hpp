#pragma once
// The system calls of the kernel's own AIO, counted where they are made, and
// the ring of events that can be read without one.

#include <libaio.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <span>
#include <utility>

#include "net/sys.hpp"
#include "net/timeline.hpp"

namespace libaio {

/// The mapping whose address is the context. No header has it (fs/aio.c), so a
/// magic number says whether it looks like this.
struct Events {
  static constexpr unsigned known = 0xa10a10a1;
  unsigned id, size, head, tail, magic, features, breaking_features, length;

  static Events& of(io_context_t context) {
    return *reinterpret_cast<Events*>(context);
  }
  io_event& at(unsigned i) { return reinterpret_cast<io_event*>(this + 1)[i]; }
  // The kernel writes an event before it moves the tail.
  unsigned end() {
    return std::atomic_ref(tail).load(std::memory_order_acquire);
  }
  // Copies out what is there, as far as there is room. Once the head has moved
  // the places are the kernel's again.
  int take(std::span<io_event> room) {
    const unsigned there = (end() + size - head) % size;
    const auto count = std::min<unsigned>(there, room.size());
    for (unsigned i = 0; i < count; ++i) room[i] = at((head + i) % size);
    std::atomic_ref(head).store((head + count) % size,
                                std::memory_order_release);
    return static_cast<int>(count);
  }
};

/// What is asked for: the upper 8 bits of what an event brings back. The lower
/// 56 are the id of the conversation (never its descriptor, which may be
/// somebody else's by the time the event is seen).
enum class Asked { accept, bell, readable, writable, receive, send };

inline void* mark(Asked what, std::uint64_t id) {
  return std::bit_cast<void*>(static_cast<std::uint64_t>(what) << 56 | id);
}
inline std::uint64_t number(void* marked) {
  return std::bit_cast<std::uint64_t>(marked);
}
inline Asked asked(void* marked) {
  return static_cast<Asked>(number(marked) >> 56);
}
inline std::uint64_t id(void* marked) {
  return number(marked) & ((std::uint64_t{1} << 56) - 1);
}

// With --trace: what is done by now and has not been seen yet. Who has taken an
// event leaves it in the ring, until the kernel needs the place.
inline void trace_done(io_context_t context) {
  thread_local std::pair<io_context_t, unsigned> seen;
  Events& ring = Events::of(context);
  if (seen.first != context) seen = {context, 0};
  for (const unsigned end = ring.end(); seen.second != end;
       seen.second = (seen.second + 1) % ring.size) {
    const io_event& event = ring.at(seen.second);
    net::trace::done(number(event.data), static_cast<long>(event.res), false);
  }
}

// With --trace: a call, and what it has handed over.
inline constexpr auto traced_submit = [](io_context_t context, long count,
                                         iocb** entries) {
  trace_done(context);
  const int taken = net::trace::returned(::io_submit(context, count, entries));
  for (int i = 0; i < taken; ++i) {
    const int operation = entries[i]->aio_lio_opcode;
    net::trace::ask(operation == IO_CMD_POLL    ? "poll"
                    : operation == IO_CMD_PREAD ? "read"
                                                : "write",
                    number(entries[i]->data), entries[i]->aio_fildes);
  }
  trace_done(context);
  return taken;
};

inline constexpr auto traced_wait = [](io_context_t context, auto... rest) {
  trace_done(context);
  const int count = net::trace::returned(::io_getevents(context, rest...));
  trace_done(context);
  return count;
};

}  // namespace libaio

namespace sys {

// These return a negative error, and leave errno alone.
inline constexpr Counted<"io_setup", ::io_setup> io_setup;
inline constexpr Counted<"io_destroy", ::io_destroy> io_destroy;
inline constexpr Counted<"io_cancel", ::io_cancel> io_cancel;
inline constexpr Counted<"io_submit", ::io_submit, libaio::traced_submit>
    io_submit;
inline constexpr Counted<"io_getevents", ::io_getevents, libaio::traced_wait>
    io_getevents;

}  // namespace sys
