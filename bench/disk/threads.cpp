// # By threads
//
// As many threads as reads are to be on their way, each in a pread(2) of its
// own. It is what POSIX AIO does too, without the queue between.

#include <atomic>
#include <thread>
#include <vector>

#include "bench/disk/disk.hpp"
#include "net/sys.hpp"

namespace sys {
inline constexpr Counted<"pread", ::pread> pread;
}

void disk::read_all(const Task& task) {
  std::atomic<std::uint64_t> next = 0;
  const auto read_some = [&] {
    const Room room = make_room(task.block);
    for (std::uint64_t i; (i = next++) < task.reads;) {
      const ssize_t n = sys::pread(task.files[0], room.get(), task.block,
                                   static_cast<off_t>(task.offset(i)));
      task.check(i, room.get(), n < 0 ? -errno : n);
    }
  };
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < task.depth; ++i) threads.emplace_back(read_some);
}
