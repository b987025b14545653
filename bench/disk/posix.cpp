// # By POSIX AIO
//
// The C library has threads for it, each of which makes a pread(2) at a time;
// this one sleeps in aio_suspend(3) until any is done, and then has to ask
// each. What is asked of one descriptor is done one after the other, so with a
// single one all threads but one have nothing to do.

#include <aio.h>

#include <vector>

#include "bench/disk/disk.hpp"
#include "net/sys.hpp"

namespace sys {
inline constexpr Counted<"aio_read", ::aio_read> aio_read;
inline constexpr Counted<"aio_suspend", ::aio_suspend> aio_suspend;
}  // namespace sys

namespace {

/// The control block is the library's from aio_read(3) until aio_return(3).
struct Read : aiocb {
  disk::Room room;
  std::uint64_t number = 0;
};

void ask(const disk::Task& task, Read& read, std::size_t place) {
  read.aio_fildes = task.files[place % task.files.size()];
  read.aio_buf = read.room.get();
  read.aio_nbytes = task.block;
  read.aio_offset = static_cast<off_t>(task.offset(read.number));
  net::check(sys::aio_read(&read), "aio_read");
}

}  // namespace

void disk::read_all(const Task& task) {
  aioinit pool{};
  pool.aio_threads = static_cast<int>(task.depth);
  pool.aio_num = static_cast<int>(task.depth);
  ::aio_init(&pool);  // counts only before the first read
  std::vector<Read> reads(task.depth);
  std::vector<const aiocb*> waiting(task.depth);
  std::uint64_t asked = 0, done = 0;
  for (std::size_t i = 0; i < reads.size() && asked < task.reads; ++i) {
    reads[i].room = make_room(task.block);
    reads[i].number = asked++;
    ask(task, reads[i], i);
    waiting[i] = &reads[i];
  }
  while (done < task.reads) {
    sys::aio_suspend(waiting.data(), static_cast<int>(waiting.size()), nullptr);
    for (std::size_t i = 0; i < reads.size(); ++i) {
      if (!waiting[i]) continue;
      const int error = ::aio_error(waiting[i]);
      if (error == EINPROGRESS) continue;
      const ssize_t n = ::aio_return(&reads[i]);
      task.check(reads[i].number, reads[i].room.get(), error ? -error : n);
      ++done;
      waiting[i] = nullptr;
      if (asked == task.reads) continue;
      reads[i].number = asked++;
      ask(task, reads[i], i);
      waiting[i] = &reads[i];
    }
  }
}
