#pragma once
// A request that the C library makes for us in a thread of its own, and all of
// those that are out.

#include <bit>
#include <ctime>
#include <new>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "aio/calls.hpp"
#include "net/error.hpp"

namespace aio {

/// A request to read or to write, one at a time. From when it is asked until
/// result() says what came of it, this and the bytes are the library's: they
/// neither move nor die.
///
/// One at a time, since the library makes the requests of one descriptor one
/// after the other: a write that was asked while a read is out would be made
/// when the peer has said something, for which he may be waiting for the write.
class Operation : public aiocb {
 public:
  /// `told` says how the library tells that it is done.
  explicit Operation(std::uint64_t id, const sigevent& told = by_nothing())
      : aiocb{}, id_(id) {
    aio_sigevent = told;
  }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  std::uint64_t id() const { return id_; }
  bool out() const { return out_; }
  bool reads() const { return reads_; }

  /// False if the library has no memory for it, or not a single thread.
  bool read(int fd, std::span<std::byte> room) {
    prepare(fd, room.data(), room.size());
    return reads_ = out_ = sys::aio_read(static_cast<aiocb*>(this)) == 0;
  }
  bool write(int fd, std::span<const std::byte> bytes) {
    // It only reads them.
    prepare(fd, const_cast<std::byte*>(bytes.data()), bytes.size());
    return out_ = sys::aio_write(static_cast<aiocb*>(this)) == 0;
  }

  /// Has the library done with it?
  bool done() const {
    return out_ &&
           sys::aio_error(static_cast<const aiocb*>(this)) != EINPROGRESS;
  }
  /// What read(2) or write(2) returned, an error negative; nothing as long as
  /// it has not. Once: then all is ours again.
  std::optional<ssize_t> result() {
    const int error = sys::aio_error(static_cast<const aiocb*>(this));
    if (error == EINPROGRESS) return {};
    out_ = false;
    const ssize_t n = sys::aio_return(static_cast<aiocb*>(this));
    return n < 0 ? -error : n;
  }
  bool was_read() { return std::exchange(reads_, false); }

  /// It shall be done soon. aio_cancel(3) takes back what no thread has begun;
  /// a thread that sleeps in read(2) or write(2) is not reached by it, but by
  /// the end of the socket. In either case result() has yet to come.
  void call_off() {
    if (sys::aio_cancel(aio_fildes, static_cast<aiocb*>(this)) ==
        AIO_NOTCANCELED)
      sys::shutdown(aio_fildes, SHUT_RDWR);
  }

 private:
  // 0, as in a sigevent of zeroes, would be a signal.
  static sigevent by_nothing() {
    sigevent told{};
    told.sigev_notify = SIGEV_NONE;
    return told;
  }
  void prepare(int fd, void* bytes, std::size_t size) {
    aio_fildes = fd;
    aio_buf = bytes;
    aio_nbytes = size;
  }

  const std::uint64_t id_;
  bool out_ = false, reads_ = false;
};

/// All that are out, as aio_suspend(3) wants them: in one list, anew each time.
class Outstanding {
 public:
  /// For so many at once. False if there is no memory for it.
  bool make_room(std::size_t count) try {
    if (list_.capacity() < count) list_.reserve(std::bit_ceil(count));
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
  /// If it was `asked`, which is passed on.
  bool add(Operation& one, bool asked) {
    if (asked) list_.push_back(&one);
    return asked;
  }

  /// Sleeps until one is done, at most for `timeout` (null: no limit).
  void wait(const timespec* timeout) {
    const int n = static_cast<int>(list_.size());
    if (sys::aio_suspend(list_.data(), n, timeout) != 0 && errno != EAGAIN &&
        errno != EINTR)
      net::fail(errno, "aio_suspend");
  }

  /// done(operation, result) for those that are. It does not say which: each is
  /// asked. From the end, so that what done() asks meanwhile, and what takes an
  /// empty place, is not looked at before the next time.
  template <class Done>
  void take(Done done) {
    for (std::size_t i = list_.size(); i-- > 0;) {
      auto& one = static_cast<Operation&>(const_cast<aiocb&>(*list_[i]));
      const auto result = one.result();
      if (!result) continue;
      list_[i] = list_.back();
      list_.pop_back();
      done(one, *result);
    }
  }

 private:
  std::vector<const aiocb*> list_;
};

}  // namespace aio
