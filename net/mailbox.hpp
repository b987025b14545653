#pragma once
// How the rest of the program reaches a loop that sleeps in its model's way.

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "net/clock.hpp"
#include "net/fd.hpp"
#include "protocol/service.hpp"

namespace net {

/// Letters, "there is new work" and "stop" for one loop. Any thread may post,
/// wake and stop; the loop's thread collects. Outlives all who post. Where it
/// lies in memory that forked children share, these may ask stopping() and
/// stopping_for() and nothing else: its mutex and its letters are the parent's.
class Mailbox final : public protocol::Postbox {
 public:
  Mailbox();

  void post(protocol::Letter letter) override;
  void wake() override;
  void stop();  // stopping() from now on, and wake(); cannot be taken back

  /// The bell: an eventfd, readable from a wake() until it is read. For loops
  /// that wait for descriptors, or that read it with a call of their model. It
  /// is blocking: a read sleeps until somebody writes it.
  int fd() const { return bell_.get(); }
  /// For loops that sleep elsewhere (on a condition variable, until a signal):
  /// from now on wake() calls `call` instead of writing the bell. It does so
  /// with the mailbox's lock held: `call` must not collect() or wake(). Who was
  /// to be woken before this went to the bell, and `call` is not called for
  /// that: so after it the loop looks once whether there is something for it.
  /// An empty function takes `call` back: when on_wake() returns, no thread is
  /// in the old one any more, and what that uses may be destroyed.
  void on_wake(std::function<void()> call);

  /// For loops that do not sleep: has the bell been rung, or is it about to be?
  /// Then silence() and collect() follow. One load, where a read of the bell
  /// would be a system call in every turn.
  bool rung() const { return rung_.load(std::memory_order_acquire); }
  /// Reads the bell once it is readable, for models that do not read it with a
  /// call of their own. One system call.
  void silence();
  /// Hands out the letters that have come since the last call, each by
  /// deliver(letter), which may keep it. The bell has to be read before, by
  /// silence() or by the kernel: mailbox.cpp shows what is lost otherwise.
  /// False if there was no memory for a letter. It is not known for whom that
  /// was, so all who wait for a letter have to go.
  template <class Deliver>
  [[nodiscard]] bool collect(Deliver deliver) {
    const bool all = take();
    for (protocol::Letter& letter : collected_) deliver(std::move(letter));
    collected_.clear();
    return all;
  }
  /// For those who get no letters.
  void collect() {
    take();
    collected_.clear();
  }

  /// For models with a thread for each conversation, where nobody collects:
  /// from now on a thread that posts calls `deliver` with its letter. The
  /// mailbox keeps no letter then, and posting wakes nobody else. As with
  /// on_wake(), the lock is held, and an empty function takes `deliver` back.
  void on_letter(std::function<void(protocol::Letter)> deliver);

  bool stopping() const { return stopped_ns_.load(std::memory_order_acquire); }
  /// If stopping: since when.
  std::chrono::nanoseconds stopping_for() const {
    return std::chrono::nanoseconds(now() - stopped_ns_);
  }

 private:
  bool take();

  Fd bell_;
  std::mutex mutex_;  // guards what follows
  std::vector<protocol::Letter> letters_;
  bool lost_ = false;  // a letter, since the last take()
  std::function<void()> call_;
  std::function<void(protocol::Letter)> deliver_;
  // take() swaps this with letters_ instead of copying letters, so both keep
  // the room they have.
  std::vector<protocol::Letter> collected_;
  std::atomic<bool> rung_{false};
  std::atomic<protocol::Nanoseconds> stopped_ns_{0};  // 0: not stopping
};

}  // namespace net
