// # By io_uring
//
// One call hands over what was asked since the last and sleeps until some of it
// is done. Through the page cache, too, the call does not sleep for a block:
// the disk's answer completes the read.

#include <liburing.h>

#include <vector>

#include "bench/disk/disk.hpp"
#include "net/sys.hpp"

namespace sys {
inline constexpr Counted<"io_uring_enter", ::io_uring_submit_and_wait>
    io_uring_submit_and_wait;
}

namespace {

struct Read {
  disk::Room room;
  std::uint64_t number = 0;
};

}  // namespace

void disk::read_all(const Task& task) {
  io_uring ring;
  if (const int error = ::io_uring_queue_init(task.depth, &ring, 0); error < 0)
    skip("io_uring_setup", -error);
  std::vector<Read> reads(task.depth);
  std::uint64_t asked = 0, done = 0;
  const auto ask = [&](Read& read) {
    read.number = asked++;
    io_uring_sqe* const entry = ::io_uring_get_sqe(&ring);
    ::io_uring_prep_read(entry, task.files[0], read.room.get(),
                         static_cast<unsigned>(task.block),
                         task.offset(read.number));
    ::io_uring_sqe_set_data(entry, &read);
  };
  for (Read& read : reads) {
    read.room = make_room(task.block);
    if (asked < task.reads) ask(read);
  }
  while (done < task.reads) {
    const int n = sys::io_uring_submit_and_wait(&ring, 1u);
    if (n < 0 && n != -EINTR) net::fail(-n, "io_uring_enter");
    io_uring_cqe* completion;
    unsigned head, taken = 0;
    io_uring_for_each_cqe(&ring, head, completion) {
      Read& read = *static_cast<Read*>(::io_uring_cqe_get_data(completion));
      task.check(read.number, read.room.get(), completion->res);
      ++done, ++taken;
      if (asked < task.reads) ask(read);
    }
    ::io_uring_cq_advance(&ring, taken);
  }
  ::io_uring_queue_exit(&ring);
}
