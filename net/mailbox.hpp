#pragma once
// How the rest of the program reaches a loop that sleeps in its model's way.

#include <atomic>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "net/fd.hpp"
#include "protocol/service.hpp"

namespace net {

/// Letters, "there is new work" and "stop" for one loop. Any thread may post,
/// ring and stop; the loop's thread collects. Outlives all who post.
class Mailbox final : public protocol::Postbox {
 public:
  Mailbox();

  void post(protocol::Letter letter) override;
  void ring() override;
  void stop();  // rings too; cannot be taken back

  /// The bell: a blocking eventfd, readable after a ring. For loops that wait
  /// for descriptors, or read it with their model's own call.
  int fd() const { return bell_.get(); }
  /// For loops that sleep elsewhere (a condition variable, a signal): called
  /// by the ringing thread instead of writing the bell, at every ring; it must
  /// not collect(). Whoever was rung before looks once after setting it. An
  /// empty function takes it back: on return nobody is in the old one any more.
  void on_ring(std::function<void()> wake);

  /// The bell has been read: reads it in the model's stead. One system call.
  void silence();
  /// Hands out what has come since the last call: deliver(letter), which is the
  /// receiver's own. The bell has to be read before (by silence(), or by the
  /// kernel), or a ring could be lost. False if there was no memory for a
  /// letter. Whose it was nobody knows: all who wait for one have to go.
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

  /// For models with a thread for each conversation, which need nobody to
  /// collect: the thread that posts calls this with each letter, and nothing is
  /// kept or rung. As with on_ring(), an empty function takes it back.
  void on_letter(std::function<void(protocol::Letter)> deliver);

  bool stopping() const { return stopping_.load(std::memory_order_acquire); }

 private:
  bool take();

  Fd bell_;
  std::mutex mutex_;  // guards what follows
  std::vector<protocol::Letter> letters_;
  bool lost_ = false;  // a letter, since the last take()
  std::function<void()> wake_;
  std::function<void(protocol::Letter)> deliver_;
  // The other two change places in take(): neither gives its room back.
  std::vector<protocol::Letter> collected_;
  std::atomic<bool> rung_{false};
  std::atomic<bool> stopping_{false};
};

}  // namespace net
