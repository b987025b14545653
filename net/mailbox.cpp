#include "net/mailbox.hpp"

#include <sys/eventfd.h>

#include <cerrno>
#include <new>
#include <utility>

#include "net/error.hpp"
#include "net/sys.hpp"

namespace net {
namespace {

// No more will usually lie here at once, and then none can be lost: room that
// is reserved is no memory before it is used.
constexpr std::size_t letters_reserved = 1024;

}  // namespace

// Blocking, since a read of a non-blocking one that is queued to the kernel
// (io_uring, POSIX AIO) would fail with EAGAIN instead of waiting.
Mailbox::Mailbox() : bell_(check(::eventfd(0, EFD_CLOEXEC), "eventfd")) {
  letters_.reserve(letters_reserved);
  collected_.reserve(letters_reserved);
}

// Who posts is not the one to suffer where there is no memory: it has other
// lookups to drive.
void Mailbox::post(protocol::Letter letter) {
  {
    const std::scoped_lock lock(mutex_);
    if (deliver_) return deliver_(std::move(letter));
    try {
      letters_.push_back(std::move(letter));
    } catch (const std::bad_alloc&) {
      lost_ = true;
    }
  }
  ring();
}

void Mailbox::on_letter(std::function<void(protocol::Letter)> deliver) {
  const std::scoped_lock lock(mutex_);
  deliver_ = std::move(deliver);
}

// Whoever finds the flag set knows that the bell of an earlier ring has not
// been answered yet: collect() will come, and it will see everything that was
// done before this exchange.
void Mailbox::ring() {
  if (rung_.exchange(true, std::memory_order_acq_rel)) return;
  // The lock is held while the loop is woken, so that on_ring() with an empty
  // function can promise that nobody is in the old one any more.
  const std::scoped_lock lock(mutex_);
  // Rings coalesce for the bell's sake; a function is called for each. An
  // exchange, not a store: whoever has found the flag set since, and left it to
  // us to wake the loop, has to be seen by what the function looks at.
  if (wake_) {
    rung_.exchange(false, std::memory_order_acq_rel);
    return wake_();
  }
  const std::uint64_t one = 1;
  while (sys::write(bell_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void Mailbox::stop() {
  stopping_.store(true, std::memory_order_release);
  ring();
}

void Mailbox::on_ring(std::function<void()> wake) {
  const std::scoped_lock lock(mutex_);
  wake_ = std::move(wake);
  rung_.exchange(false, std::memory_order_acq_rel);
}

void Mailbox::silence() {
  std::uint64_t rings;
  while (sys::read(bell_.get(), &rings, sizeof rings) < 0 && errno == EINTR) {
  }
}

// The flag is cleared after the bell was read and before the letters are
// taken. The other way round, a letter could come in between and find the flag
// set: it would ring nobody and lie here until the next one.
bool Mailbox::take() {
  rung_.exchange(false, std::memory_order_acq_rel);
  const std::scoped_lock lock(mutex_);
  collected_.swap(letters_);
  return !std::exchange(lost_, false);
}

}  // namespace net
