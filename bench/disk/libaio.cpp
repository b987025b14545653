// # By libaio
//
// What the kernel's AIO was made for. With O_DIRECT io_submit(2) hands the
// reads over to the disk and returns, io_getevents(2) sleeps until some are
// done, and no thread is needed for them. Without it the call reads as pread(2)
// does: it sleeps until the block is there, one after the other.

#include <libaio.h>

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

class Reader {
 public:
  explicit Reader(const disk::Task& task)
      : task_(task), reads_(task.depth), events_(task.depth) {
    const int error = ::io_setup(static_cast<int>(task.depth), &context_);
    if (error < 0) disk::skip("io_setup", -error);
    for (Read& read : reads_) {
      read.room = disk::make_room(task.block);
      ask(read);
    }
  }
  ~Reader() { ::io_destroy(context_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  bool done() const { return done_ == task_.reads; }

  // It may take only some, and tells the error of the first that it did not
  // take when it is asked again.
  void submit() {
    for (std::size_t first = 0; first < entries_.size();) {
      const int n = sys::io_submit(
          context_, std::ssize(entries_) - static_cast<long>(first),
          entries_.data() + first);
      if (n < 0) net::fail(-n, "io_submit");
      first += static_cast<std::size_t>(n);
    }
    entries_.clear();
  }

  void wait() {
    const int n = sys::io_getevents(context_, 1L, std::ssize(events_),
                                    events_.data(), nullptr);
    if (n < 0 && n != -EINTR) net::fail(-n, "io_getevents");
    for (int i = 0; i < n; ++i) {
      Read& read = *static_cast<Read*>(events_[i].data);
      task_.check(read.number, read.room.get(),
                  static_cast<long>(events_[i].res));
      ++done_;
      ask(read);
    }
  }

 private:
  void ask(Read& read) {
    if (asked_ == task_.reads) return;
    read.number = asked_++;
    ::io_prep_pread(&read.entry, task_.files[0], read.room.get(), task_.block,
                    static_cast<long long>(task_.offset(read.number)));
    read.entry.data = &read;
    entries_.push_back(&read.entry);
  }

  const disk::Task& task_;
  io_context_t context_ = nullptr;
  std::vector<Read> reads_;
  std::vector<iocb*> entries_;  // to be handed over
  std::vector<io_event> events_;
  std::uint64_t asked_ = 0, done_ = 0;
};

}  // namespace

void disk::read_all(const Task& task) {
  Reader reader(task);
  while (!reader.done()) {
    reader.submit();
    reader.wait();
  }
}
