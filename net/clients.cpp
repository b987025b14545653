#include "net/clients.hpp"

#include "net/sys.hpp"

namespace net {
namespace {

const unsigned reset_counter = counter("net.", "reset");
const unsigned no_memory_counter = counter("lost.", "memory");
const unsigned no_thread_counter = counter("net.", "no_thread");

}  // namespace

void count_lost(Want want) {
  count(want == Want::memory ? no_memory_counter : no_thread_counter);
}

void reset_on_close(int fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  sys::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  count(reset_counter);
}

}  // namespace net
