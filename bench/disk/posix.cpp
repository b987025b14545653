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
using net::Library;
inline constexpr Library<"aio_read", ::aio_read> aio_read;
inline constexpr Library<"aio_suspend", ::aio_suspend> aio_suspend;
}  // namespace sys

namespace {

/// The control block is the library's from aio_read(3) until aio_return(3).
struct Read : aiocb {
  disk::Room room;
  std::uint64_t number = 0;
};

class Reader {
 public:
  explicit Reader(const disk::Task& task)
      : task_(task), reads_(task.depth), waiting_(task.depth) {
    aioinit pool{};
    pool.aio_threads = static_cast<int>(task.depth);
    pool.aio_num = static_cast<int>(task.depth);
    ::aio_init(&pool);  // counts only before the first read
    for (std::size_t i = 0; i < reads_.size(); ++i) {
      reads_[i].room = disk::make_room(task.block);
      ask(i);
    }
  }

  bool done() const { return done_ == task_.reads; }

  // It says that one is done, and not which.
  void wait() {
    sys::aio_suspend(waiting_.data(), static_cast<int>(waiting_.size()),
                     nullptr);
    for (std::size_t i = 0; i < reads_.size(); ++i) {
      const int error = waiting_[i] ? ::aio_error(waiting_[i]) : EINPROGRESS;
      if (error == EINPROGRESS) continue;
      const ssize_t n = ::aio_return(&reads_[i]);
      task_.check(reads_[i].number, reads_[i].room.get(), error ? -error : n);
      ++done_;
      ask(i);
    }
  }

 private:
  void ask(std::size_t place) {
    waiting_[place] = nullptr;
    if (asked_ == task_.reads) return;
    Read& read = reads_[place];
    read.number = asked_++;
    read.aio_fildes = task_.files[place % task_.files.size()];
    read.aio_buf = read.room.get();
    read.aio_nbytes = task_.block;
    read.aio_offset = static_cast<off_t>(task_.offset(read.number));
    net::check(sys::aio_read(&read), "aio_read");
    waiting_[place] = &read;
  }

  const disk::Task& task_;
  std::vector<Read> reads_;
  std::vector<const aiocb*> waiting_;  // null: nothing is under way there
  std::uint64_t asked_ = 0, done_ = 0;
};

}  // namespace

void disk::read_all(const Task& task) {
  Reader reader(task);
  while (!reader.done()) reader.wait();
}
