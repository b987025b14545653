#pragma once
// The conversations of a loop whose workers share them: each is in one worker's
// hands at a time, or in nobody's, and then it is armed.

#include <poll.h>

#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "net/conversation.hpp"

namespace net {

/// Models add nothing (a byte more would cost every idle peer eight).
struct SharedConversation : Conversation {
  using Conversation::Conversation;

  // Under the lock, as are its places in lists (Link, deadline), even while a
  // worker has it: neighbours that leave write there.
  std::uint8_t busy : 1 = false;      // it is in a worker's hands
  std::uint8_t readable : 1 = false;  // laid ready, since bytes have come
  std::uint8_t stopped : 1 = false;   // it has been told of the stop
  std::uint8_t lost : 1 = false;      // a letter was, perhaps its own
  // The worker's own, as are session, socket and shut.
  std::uint16_t interest = 0;           // of its events
  std::unique_ptr<std::string> answer;  // under the lock: a letter's
};

/// The table, the deadlines and the list of those who have more to do, under
/// one lock. A worker takes a conversation, does with it what is to be done
/// without the lock, and puts it back, or closes it.
///
///     worker A                  lock   worker B
///     ----------------------------------------------------------------
///     take(7): it is busy        A
///     receives, answers, sends         a letter for 7: it is busy,
///                                B     so it is laid beside it
///     put_back(7): not busy,     A
///     armed, and, since there
///     is a letter, laid ready
///     next(): 7, and its letter  A
///
/// Busy is taken back, and the socket armed, under the one lock. If it was
/// armed after that:
///
///     put_back(7): not busy      A
///                                B     it is late: closed, and with it
///                                      descriptor 9
///                                B     accepts somebody, as descriptor 9
///     arms 9, for 7                    whose event now says 7: nobody
///
/// And if it was armed before busy is taken back, the event would find it busy.
/// That event is dropped: whoever has the conversation arms it again, and the
/// kernel looks at the socket then.
///
/// Thread-safe but for the end. The service, the mailbox and all pools outlive
/// it. A service's greet() and the destructors of its states are called with
/// the lock held.
class SharedConversations final : Deadlines::Hands {
 public:
  using Lock = std::unique_lock<std::mutex>;

  /// Before the workers begin. `pool` tells of the budget, whoever's it is.
  SharedConversations(protocol::Service& service, Mailbox& mailbox,
                      const protocol::Pool& pool);

  /// What a worker is to do next.
  struct Next {
    SharedConversation* conversation = nullptr;  // in its hands from here on
    std::string answer;     // of the letter that has come for it; "": none
    bool stopped = false;   // the stop: take_all()
    bool readable = false;  // something has come, though no event says so
    bool more = false;      // others lie ready: another worker is to be woken
    int left_ms = -1;       // else how long it may sleep
    bool over = false;      // nothing: the loop has ended
  };

  /// A peer becomes a conversation, which arm(conversation) has the kernel
  /// watch. Where that or memory fails, the peer has to go, and is counted.
  template <class Arm>
  void begin(Guest guest, protocol::Pool& pool, Arm arm) {
    const Lock lock(mutex_);
    SharedConversation* c = net::begin(table_, std::move(guest), service_, pool,
                                       deadlines_, mailbox_);
    if (!c || arm(*c)) return;
    count_lost(Want::memory);
    table_.erase(c->id());
  }

  /// An event has come. Null if there is nothing to do: the conversation has
  /// gone, or a worker has it, or will; and he arms it again.
  SharedConversation* take(std::uint64_t id, protocol::Pool& pool) {
    const Lock lock(mutex_);
    SharedConversation* c = table_.find(id);
    return c && !c->busy && !c->linked() ? &claim(*c, pool) : nullptr;
  }

  /// The worker has done what there was to do. False if arm(conversation) was:
  /// it is still in his hands, to be closed.
  template <class Arm>
  bool put_back(SharedConversation& c, Arm arm) {
    const Lock lock(mutex_);
    deadlines_.watch(c.deadline, c.session);
    if (!arm(c)) return false;
    c.busy = false;
    if (c.answer || c.lost || c.session.wants_turn() ||
        (draining_ && !c.stopped))
      ready_.push_back(c);
    return true;
  }

  /// Closes what is in the worker's hands.
  void close(SharedConversation& c) {
    const Lock lock(mutex_);
    table_.erase(c.id());
  }

  /// The bell has rung: lays the letters beside their conversations. By the
  /// worker that does so, or another one, next() will find them.
  void collect();

  /// Before each wait. `all`: the last one has brought nothing. Closes who is
  /// late, and evicts; so the pool is the worker's own.
  Next next(protocol::Pool& pool, bool all);

  /// The stop begins: peers who have come may be let in for a while. False if
  /// another worker has said so already.
  bool stop() {
    const Lock lock(mutex_);
    if (stopping_) return false;
    deadlines_.drain();
    return stopping_ = true;
  }
  /// It goes on: all who are there are told, each by the worker that has it
  /// next. When the last has gone, or the time is over, next() says so.
  void drain();
  /// For lets_in() and drained() alone, which need no lock behind stop(): what
  /// that has set does not change.
  const Deadlines& deadlines() const { return deadlines_; }

  /// A worker has failed: it is over for the others, too.
  void fail(std::exception_ptr why) {
    const Lock lock(mutex_);
    if (!failed_) failed_ = std::move(why);
  }
  /// When the last worker has ended: resets who is left. Throws what one of
  /// them has failed with.
  void end();

 private:
  bool hold(std::uint64_t id) const override;
  bool lay_ready(std::uint64_t id) override;
  SharedConversation& claim(SharedConversation& c, protocol::Pool& pool);
  void expire(protocol::Pool& pool);
  void lay_down(protocol::Letter letter);
  void mark_lost(SharedConversation& c);
  SharedConversation* take_ready(protocol::Pool& pool);

  protocol::Service& service_;
  Mailbox& mailbox_;
  std::mutex mutex_;  // guards what follows
  mutable Table<SharedConversation> table_;
  Deadlines deadlines_;
  List<SharedConversation> ready_;  // for the next worker that asks
  bool stopping_ = false, draining_ = false;
  std::exception_ptr failed_;
};

}  // namespace net
