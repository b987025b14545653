// # By libaio
//
// What the kernel's AIO was made for. With O_DIRECT io_submit(2) hands the
// reads over to the disk and returns, io_getevents(2) sleeps until some are
// done, and no thread is needed for them. Without it the call reads as pread(2)
// does: it sleeps until the block is there, one after the other.

#include <libaio.h>

#include <bit>
#include <vector>

#include "bench/disk/disk.hpp"
#include "net/sys.hpp"

namespace sys {
inline constexpr Counted<"io_submit", ::io_submit> io_submit;
inline constexpr Counted<"io_getevents", ::io_getevents> io_getevents;
}  // namespace sys

namespace {

struct Read {
  disk::Room room;
  std::uint64_t number = 0;
  iocb entry{};
};

// It may take only some, and tells the error of the first that it did not take
// when it is asked again.
void submit(io_context_t context, std::vector<iocb*>& entries) {
  for (std::size_t first = 0; first < entries.size();) {
    const int n =
        sys::io_submit(context, std::ssize(entries) - static_cast<long>(first),
                       entries.data() + first);
    if (n < 0) net::fail(-n, "io_submit");
    first += static_cast<std::size_t>(n);
  }
  entries.clear();
}

}  // namespace

void disk::read_all(const Task& task) {
  io_context_t context = nullptr;
  if (const int error = ::io_setup(static_cast<int>(task.depth), &context);
      error < 0)
    skip("io_setup", -error);
  std::vector<Read> reads(task.depth);
  std::vector<iocb*> entries;
  std::vector<io_event> events(task.depth);
  std::uint64_t asked = 0, done = 0;
  const auto ask = [&](Read& read) {
    read.number = asked++;
    ::io_prep_pread(&read.entry, task.files[0], read.room.get(), task.block,
                    static_cast<long long>(task.offset(read.number)));
    read.entry.data = &read;
    entries.push_back(&read.entry);
  };
  for (Read& read : reads) {
    read.room = make_room(task.block);
    if (asked < task.reads) ask(read);
  }
  while (done < task.reads) {
    submit(context, entries);
    const int n = sys::io_getevents(context, 1L, std::ssize(events),
                                    events.data(), nullptr);
    if (n < 0 && n != -EINTR) net::fail(-n, "io_getevents");
    for (int i = 0; i < n; ++i) {
      Read& read = *static_cast<Read*>(events[i].data);
      task.check(read.number, read.room.get(),
                 static_cast<long>(events[i].res));
      ++done;
      if (asked < task.reads) ask(read);
    }
  }
  ::io_destroy(context);
}
