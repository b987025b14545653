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

class Reader {
 public:
  explicit Reader(const disk::Task& task) : task_(task), reads_(task.depth) {
    const int error = ::io_uring_queue_init(task.depth, &ring_, 0);
    if (error < 0) disk::skip("io_uring_setup", -error);
    for (Read& read : reads_) {
      read.room = disk::make_room(task.block);
      ask(read);
    }
  }
  ~Reader() { ::io_uring_queue_exit(&ring_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  bool done() const { return done_ == task_.reads; }

  void submit_and_wait() {
    const int n = sys::io_uring_submit_and_wait(&ring_, 1u);
    if (n < 0 && n != -EINTR) net::fail(-n, "io_uring_enter");
    io_uring_cqe* completion;
    unsigned head, taken = 0;
    io_uring_for_each_cqe(&ring_, head, completion) {
      Read& read = *static_cast<Read*>(::io_uring_cqe_get_data(completion));
      task_.check(read.number, read.room.get(), completion->res);
      ++done_, ++taken;
      ask(read);
    }
    ::io_uring_cq_advance(&ring_, taken);
  }

 private:
  void ask(Read& read) {
    if (asked_ == task_.reads) return;
    read.number = asked_++;
    io_uring_sqe* const entry = ::io_uring_get_sqe(&ring_);
    ::io_uring_prep_read(entry, task_.files[0], read.room.get(),
                         static_cast<unsigned>(task_.block),
                         task_.offset(read.number));
    ::io_uring_sqe_set_data(entry, &read);
  }

  const disk::Task& task_;
  io_uring ring_{};
  std::vector<Read> reads_;
  std::uint64_t asked_ = 0, done_ = 0;
};

}  // namespace

void disk::read_all(const Task& task) {
  Reader reader(task);
  while (!reader.done()) reader.submit_and_wait();
}
