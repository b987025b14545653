// # By pread(2)
//
// One after the other: the thread sleeps until the disk has brought the block,
// and the disk until the thread asks for the next one. Where the block is in
// memory already nobody sleeps, and nothing is cheaper.

#include "bench/disk/disk.hpp"
#include "net/sys.hpp"

namespace sys {
inline constexpr Counted<"pread", ::pread> pread;
}

void disk::read_all(const Task& task) {
  const Room room = make_room(task.block);
  for (std::uint64_t i = 0; i < task.reads; ++i) {
    const ssize_t n = sys::pread(task.files[0], room.get(), task.block,
                                 static_cast<off_t>(task.offset(i)));
    task.check(i, room.get(), n < 0 ? -errno : n);
  }
}
