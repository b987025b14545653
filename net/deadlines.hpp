#pragma once
// Which conversations have waited too long for their peers. One list per kind
// of wait: every wait of a kind has the same length, so the lists are in order
// by themselves and nothing is ever sorted. (But for the times that a service
// sets, which are as it likes.)

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <limits>
#include <memory>

#include "net/list.hpp"
#include "protocol/session.hpp"

namespace net {

/// For one loop, one thread at a time. Costs no system call while peers keep
/// their times: the loop's own wait is cut short where somebody is due, and
/// while nobody waits there is no timeout and the clock is not asked. (Of a
/// peer who does not read the kernel's queue is looked at, once in a quarter of
/// his time.) Clock: CLOCK_MONOTONIC_COARSE, so a deadline is met within 100
/// ms; a reader's may pass by one of its quarters.
///
/// Nobody is late whose bytes the kernel has already. The loop may have been
/// stopped (SIGSTOP, a debugger, a virtual machine that was paused) and find
/// the time over before it has seen what came meanwhile. So who is due is only
/// suspected at first: left_ms() is 0 then, and the loop says by looked() when
/// it has seen all that was ready. Who is due still is late. The same holds for
/// the end of the drain.
class Deadlines {
 public:
  /// Member of a connection; leaves its list when it is destroyed.
  class Entry : public Link {
   public:
    explicit Entry(std::uint64_t id) : id_(id) {}
    std::uint64_t id() const { return id_; }

   private:
    friend class Deadlines;
    /// In order of time among all that have one; apart, since few do.
    struct Limit : Link {
      Limit(Entry& its_entry, std::uint32_t its_due_ms)
          : entry(its_entry), due_ms(its_due_ms) {}
      Entry& entry;
      std::uint32_t due_ms;
      bool heard = false;  // as the entry's own
    };

    std::unique_ptr<Limit> limit_;
    // Ids are below 2^56 (table.hpp): all of this fits into 48 bytes, of which
    // every idle peer has some.
    std::uint64_t id_ : 56;
    protocol::Wait::For what_ : 3 = protocol::Wait::For::nothing;
    bool late_ : 1 = false;   // it has been named, and will be no second time
    bool heard_ : 1 = false;  // while it was suspected: it was given more time
    std::uint8_t looks_ : 3 = 0;  // at a reader's queue that did not fall
    std::uint32_t mark_ = 0;
    std::uint32_t due_ms_ = 0;
    std::uint32_t held_ = 0;    // bytes, when it was last watched
    std::uint32_t unsent_ = 0;  // in the kernel's queue at the last look
  };

  /// Of a loop whose workers share its conversations, or for which a library's
  /// threads receive: a worker may be receiving just what its conversation
  /// waits for, and calls watch() when it puts it back.
  class Hands {
   public:
    virtual ~Hands() = default;
    /// A worker has it, or lay_ready() has laid it ready for one: it is neither
    /// named late nor evicted meanwhile.
    virtual bool hold(std::uint64_t id) const = 0;
    /// It is due, and the loop has looked. If the kernel has bytes for it all
    /// the same, or its end, of which a worker may have been told and not yet
    /// have come to it: lays it ready, and says so.
    virtual bool lay_ready(std::uint64_t id) = 0;
  };

  /// For how long conversations may go on after drain(), and for how long of
  /// that peers who have come may still be let in.
  static constexpr std::chrono::milliseconds drain_time{1'500},
      let_in_time{750};
  /// A reader's time has so many parts. When one is over without a byte of ours
  /// taken, it is looked how much the kernel has left to send: who acknowledges
  /// makes progress, even where that does not make room for more. Without any
  /// in `reader_parts` of them it is late.
  static constexpr unsigned reader_parts = 4;

  /// The pool and the hands outlive this. `socket` says whose socket it is;
  /// without it the kernel's queues are not looked at.
  Deadlines(const protocol::Limits& limits, const protocol::Pool& pool,
            std::function<int(std::uint64_t id)> socket = nullptr,
            Hands* hands = nullptr);

  /// To be told after everything that has happened to a session. Same wait and
  /// same mark: the entry keeps its place and its time. (But who is due, and
  /// has been heard of since the last time, has its time once more: the rest of
  /// a large frame is there, and does not come in one turn.)
  void watch(Entry& entry, protocol::Session& session) {
    watch(entry, session, session.waits_for());
  }
  /// Where the model knows better what it waits for.
  void watch(Entry& entry, protocol::Session& session, protocol::Wait wait) {
    if (session.client().limited) [[unlikely]]
      limit(entry, session.client().due_ms);
    if (wait.what == protocol::Wait::For::nothing && !entry.linked()) [[likely]]
      return;
    rearm(entry, wait, session.held(), session.was_heard());
  }

  /// Nobody can be late: no timeout is needed.
  bool idle() const { return !armed_ || is_idle(); }
  /// Until the next one is due: at least 0; -1 if idle.
  std::int64_t left_ns() const;
  int left_ms() const { return idle() ? -1 : rounded_ms(); }  // rounded up
  /// For calls that take a timespec: null if idle.
  const timespec* left(timespec& room) const;

  /// Somebody is suspected: the loop does not sleep until it has looked().
  bool looking() const { return suspected_ms_ != 0; }
  /// After each wait that has not failed, when what it brought has been served:
  /// was that all there was? Under load it never is; but waits bring first what
  /// was ready first, so it is enough if there have been more than `waits_max`.
  void looked(bool all, std::size_t waits_max = unlimited) {
    if (looking()) [[unlikely]]
      end_look(all, waits_max);
  }

  /// Calls close(id) for each conversation that is late (counter "net.late"),
  /// and evicts. Each is named once. close destroys the entry, or abandons its
  /// session until the kernel has let go of it.
  template <class Close>
  void expire(Close close) {
    if (idle()) return;
    while (std::uint64_t id = take_late()) close(id);
    evict(close);
  }
  /// Calls close(id) for the largest of those that wait, for their peers or for
  /// an answer, while the process has more in buffers than it should
  /// ("net.evicted"). After everything that may have taken some.
  template <class Close>
  void evict(Close close) {
    while (std::uint64_t id = pool_.exceeded() ? take_largest() : 0) close(id);
  }

  /// The loop stops: what is left after drain_time is late as a whole. `passed`
  /// of it is over already.
  void drain(std::chrono::nanoseconds passed = {});
  bool lets_in() const;  // drain() was called, and it is not too late
  bool drained() const;  // that time has passed

 private:
  using For = protocol::Wait::For;
  static constexpr auto unlimited = std::numeric_limits<std::size_t>::max();

  bool is_idle() const;
  void rearm(Entry& entry, protocol::Wait wait, std::size_t held, bool heard);
  void begin(Entry& entry, std::int64_t now_ms);
  void limit(Entry& entry, std::uint32_t due_ms);
  bool is_read(Entry& entry);
  bool is_free(const Entry& entry) const {
    return !hands_ || !hands_->hold(entry.id_);
  }
  Entry* first(For what) const {
    return list(what).first([this](Entry& entry) { return is_free(entry); });
  }
  Entry::Limit* first_limit() const {
    return limits_.first(
        [this](Entry::Limit& limit) { return is_free(limit.entry); });
  }
  bool is_laid_ready(const Entry& entry);
  Entry* late_by_limit(std::int64_t now);
  Entry* late_by_wait(For what, std::int64_t now);
  void suspect(std::int64_t now_ms);
  void end_look(bool all, std::size_t waits_max);
  int rounded_ms() const;
  std::uint64_t take_late();
  std::uint64_t take_largest();
  std::uint64_t take(Entry& entry, unsigned counter);

  List<Entry>& list(For what) { return lists_[static_cast<unsigned>(what)]; }
  const List<Entry>& list(For what) const {
    return lists_[static_cast<unsigned>(what)];
  }

  const protocol::Pool& pool_;
  const std::function<int(std::uint64_t id)> socket_;
  Hands* const hands_;  // null: nobody else has any
  // By what they wait for, each in order of time. (For an answer there is no
  // deadline, but bytes are held; who waits for nothing is not listed.)
  std::array<List<Entry>, 5> lists_;
  std::array<std::uint32_t, 5> time_ms_;  // how long each of them may last
  List<Entry::Limit> limits_;             // that services have set
  List<Entry> late_;                      // named, but not yet destroyed
  std::int64_t drained_ms_ = 0;           // 0: not draining
  // Somebody may be listed: entries leave by themselves. It is asked twice in
  // each turn, and without this an ECHO took 25 instructions more in epoll.
  mutable bool armed_ = false;
  // The first: who was due by then is suspected, and looked for; 0: nobody is.
  // The second: who was due by then has been looked for, and is late if still
  // due.
  std::int64_t suspected_ms_ = 0, looked_ms_;
  std::size_t waits_ = 0;  // since the first
};

}  // namespace net
