#pragma once
// Which conversations have waited too long for their peers. One list per kind
// of wait: every wait of a kind has the same length, so the lists are in order
// by themselves and nothing is ever sorted.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>

#include "protocol/session.hpp"

namespace net {

/// For one loop, one thread. Costs no system call: the loop's own wait is cut
/// short where somebody is due, and while nobody waits there is no timeout and
/// the clock is not asked. Clock: CLOCK_MONOTONIC_COARSE, so a deadline is met
/// within 100 ms.
class Deadlines {
 public:
  /// Member of a connection; leaves its list when it is destroyed.
  class Entry {
   public:
    explicit Entry(std::uint64_t id) : id_(id) {}
    std::uint64_t id() const { return id_; }
    ~Entry() { unlink(); }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    friend class Deadlines;
    Entry() : previous_(this), next_(this) {}  // the head of a list
    bool alone() const { return next_ == this; }
    void unlink() {
      if (!previous_) return;
      previous_->next_ = next_;
      next_->previous_ = previous_;
      previous_ = next_ = nullptr;
    }
    void link_before(Entry& head);

    Entry* previous_ = nullptr;  // null: in no list
    Entry* next_ = nullptr;
    std::uint64_t id_ = 0;
    std::int64_t due_ns_ = 0;
    std::uint32_t held_ = 0;  // bytes, when it was last watched
    bool late_ = false;       // it has been named, and will be no second time
    protocol::Wait wait_;
  };

  /// For how long conversations may go on after drain(), and for how long of
  /// that peers who have come may still be let in.
  static constexpr std::chrono::milliseconds drain_time{1'500},
      let_in_time{750};

  /// Both outlive this.
  Deadlines(const protocol::Limits& limits, const protocol::Pool& pool);

  /// To be told after everything that has happened to a session. Same wait and
  /// same mark: the entry keeps its place and its time.
  void watch(Entry& entry, const protocol::Session& session) {
    const protocol::Wait wait = session.waits_for();
    if (wait.what == protocol::Wait::For::nothing && !entry.previous_)
        [[likely]]
      return;
    rearm(entry, wait, session.held());
  }

  /// Nobody can be late: no timeout is needed.
  bool idle() const {
    return frames_.alone() && readers_.alone() && ends_.alone() &&
           drained_ns_ == 0;
  }
  /// Until the next one is due: at least 0; -1 if idle.
  std::int64_t left_ns() const;
  int left_ms() const { return idle() ? -1 : rounded_ms(); }  // rounded up
  /// For calls that take a timespec: null if idle.
  const timespec* left(timespec& room) const;

  /// Calls close(id) for each conversation that is late (counter "net.late"),
  /// and for the largest of those that wait, for their peers or for an answer,
  /// while the process has more in buffers than it should ("net.evicted"). Each
  /// is named once.
  /// close destroys the entry, or abandons its session until the kernel has let
  /// go of it.
  template <class Close>
  void expire(Close close) {
    if (idle() && awaiting_.alone()) return;
    while (std::uint64_t id = take_late()) close(id);
  }

  /// The loop stops: what is left after drain_time is late as a whole.
  void drain();
  bool lets_in() const;  // drain() was called, and it is not too late
  bool drained() const;  // that time has passed

 private:
  void rearm(Entry& entry, protocol::Wait wait, std::size_t held);
  int rounded_ms() const;
  std::uint64_t take_late();
  std::uint64_t take(Entry& entry, unsigned counter);
  Entry* largest();  // null: nobody holds enough to be worth it

  const protocol::Limits& limits_;
  const protocol::Pool& pool_;
  Entry frames_, readers_, ends_;  // heads of the lists, each in order of time
  Entry awaiting_;                 // an answer: no deadline, but bytes
  Entry late_;                     // named, but not yet destroyed
  std::int64_t drained_ns_ = 0;    // 0: not draining
};

}  // namespace net
