#include "net/mailbox.hpp"

#include <sys/eventfd.h>

#include <cerrno>
#include <new>
#include <utility>

#include "net/error.hpp"
#include "net/sys.hpp"

namespace net {
namespace {

// Room for so many letters is made at the start, so that they cannot be lost
// for want of memory; more will seldom lie here at once. It costs little: the
// kernel gives memory when it is written to, not when it is reserved.
constexpr std::size_t letters_reserved = 1024;

}  // namespace

// How a letter finds a loop that sleeps. The thread that posts lays its letter
// down and sets the flag `rung_`; it writes the bell, which takes a system
// call, only if the flag was clear. The loop that wakes reads the bell, clears
// the flag and takes the letters, in this order. An example, downwards in time:
//
//     the threads that post    flag   bell   the loop
//     ------------------------------------------------------------------
//                              -      -      sleeps until the bell rings
//     lays letter A down       -      -
//     sets the flag            set    -
//     writes the bell          set    rung   wakes
//     lays letter B down       set    rung
//     finds the flag set       set    rung
//                              set    -      reads the bell
//     lays letter C down       set    -
//     finds the flag set       set    -
//                              -      -      clears the flag
//                              -      -      takes A, B and C
//                              -      -      sleeps
//
// Nobody wrote the bell for B and C, and they came all the same: who finds the
// flag set has laid its letter down before the loop clears the flag, and only
// then does the loop take what lies there. Who comes after the clearing writes
// the bell; if its letter was taken just before that, the loop wakes in vain.
//
// If the loop took the letters first and cleared the flag afterwards, C would
// come between the two:
//
//                              set    -      takes A and B
//     lays letter C down       set    -
//     finds the flag set       set    -
//                              -      -      clears the flag
//                              -      -      sleeps, while C lies here
//
// Nobody has rung for C: it waits until somebody posts another letter. And if
// the loop cleared the flag first and read the bell afterwards:
//
//                              -      rung   clears the flag
//     lays letter C down       -      rung
//     sets the flag            set    rung
//     writes the bell          set    rung
//                              set    -      reads the bell, for both
//                              set    -      takes A, B and C
//                              set    -      sleeps
//     lays letter D down       set    -
//     finds the flag set       set    -
//
// Nobody rings for D, nor ever again: the flag stays set, and the bell silent.

// Blocking, since a read of a non-blocking one that is queued to the kernel
// (io_uring, POSIX AIO) would fail with EAGAIN instead of waiting.
Mailbox::Mailbox() : bell_(check(::eventfd(0, EFD_CLOEXEC), "eventfd")) {
  letters_.reserve(letters_reserved);
  collected_.reserve(letters_reserved);
}

// Where there is no memory for the letter, post() does not throw: the thread
// that posts drives the lookups of all conversations, and has to go on with the
// others. The loop learns of it from collect().
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
  wake();
}

void Mailbox::on_letter(std::function<void(protocol::Letter)> deliver) {
  const std::scoped_lock lock(mutex_);
  deliver_ = std::move(deliver);
}

// Whoever finds the flag set need not wake the loop: an earlier call did, and
// the loop has not cleared the flag since. When it does so, by an exchange as
// well, it sees all that was done before this one: stop() and new work, too.
void Mailbox::wake() {
  if (rung_.exchange(true, std::memory_order_acq_rel)) return;
  // The lock is held while the loop is woken, so that on_wake() with an empty
  // function can promise that nobody is in the old one any more.
  const std::scoped_lock lock(mutex_);
  // The flag saves writes of the bell; a function is to be called each time, so
  // the flag is cleared before the call. By an exchange, not a store:
  // another thread may have found the flag set in the meantime and left it to
  // us to wake the loop. An exchange reads what that thread has written to the
  // flag, so the function sees all that was done before; a store reads nothing.
  if (call_) {
    rung_.exchange(false, std::memory_order_acq_rel);
    return call_();
  }
  const std::uint64_t one = 1;
  while (sys::write(bell_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
}

void Mailbox::stop() {
  protocol::Nanoseconds never = 0;
  stopped_ns_.compare_exchange_strong(never, now(), std::memory_order_acq_rel);
  wake();
}

void Mailbox::on_wake(std::function<void()> call) {
  const std::scoped_lock lock(mutex_);
  call_ = std::move(call);
  rung_.exchange(false, std::memory_order_acq_rel);
}

void Mailbox::silence() {
  std::uint64_t times;
  while (sys::read(bell_.get(), &times, sizeof times) < 0 && errno == EINTR) {
  }
}

// The bell has been read. First the flag is cleared, then the letters are
// taken: see above.
bool Mailbox::take() {
  rung_.exchange(false, std::memory_order_acq_rel);
  const std::scoped_lock lock(mutex_);
  collected_.swap(letters_);
  return !std::exchange(lost_, false);
}

}  // namespace net
