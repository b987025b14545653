#pragma once
// A request that the C library makes for us in a thread of its own, and the
// conversation that it is made for.

#include <optional>
#include <span>
#include <utility>

#include "aio/calls.hpp"
#include "net/clock.hpp"
#include "net/conversation.hpp"

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
  Operation(std::uint64_t id, const sigevent& told) : aiocb{}, id_(id) {
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
  /// Was it a read? Once, when it is done.
  bool take_read() { return std::exchange(reads_, false); }

  /// It shall be done soon. aio_cancel(3) takes back what no thread has begun;
  /// a thread that sleeps in read(2) or write(2) is not reached by it, but by
  /// the end of the socket. In either case result() has yet to come.
  void call_off() {
    if (sys::aio_cancel(aio_fildes, static_cast<aiocb*>(this)) ==
        AIO_NOTCANCELED)
      sys::shutdown(aio_fildes, SHUT_RDWR);
  }

 private:
  void prepare(int fd, void* bytes, std::size_t size) {
    aio_fildes = fd;
    aio_buf = bytes;
    aio_nbytes = size;
  }

  const std::uint64_t id_;
  bool out_ = false, reads_ = false;
};

/// Into so many parts of a reader's time a write that sleeps is cut, each of
/// which says what was taken: two for each look at him.
inline constexpr int write_parts = 2 * net::Deadlines::reader_parts;
/// Within such a time a thread that has bytes in hand has brought them.
inline constexpr std::int64_t thread_time_ns = 1'000'000'000;

/// What a loop keeps of a conversation; `told` says how it learns that the
/// operation is done.
template <sigevent (*told)(std::uint64_t id)>
struct Conversation : net::Conversation {
  Conversation(net::Guest peer, protocol::Service& service,
               protocol::Pool& pool, protocol::ReturnAddress address)
      : net::Conversation(std::move(peer), service, pool, address),
        operation(address.conversation, told(address.conversation)) {}

  Operation operation;      // while it is out we stay
  std::uint64_t heard = 0;  // bytes that we have, and one for the peer's end
  bool closing = false;     // as soon as the operation is done
  bool draining = false;
  // It was due, and a thread was about to bring more; until a read is done.
  bool behind = false;
  std::int64_t behind_until_ns = 0;
  bool missed = false;  // it was done at the last look, and nothing told so

  /// It is due: is a thread about to bring more? Then it is held, for so long
  /// as threads may take for that; but only once, since the thread may be one
  /// that could not be made.
  bool hold() {
    if (behind) return false;
    behind_until_ns = net::now() + thread_time_ns;
    return behind = operation.out() && operation.reads() && is_behind();
  }
  bool is_held() const { return behind && net::now() < behind_until_ns; }
  /// For a later look at who is done still.
  void note_done() { missed = operation.done(); }

  /// There is something for it that has not been handed over: a read that is
  /// out may have bytes already of which it has not told.
  bool is_behind() const {
    return operation.done() || has_more(socket(), heard);
  }
};

}  // namespace aio
