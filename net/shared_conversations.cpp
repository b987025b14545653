#include "net/shared_conversations.hpp"

#include <malloc.h>

namespace net {

// The C library would give each thread an arena of its own, and each arena
// keeps what is freed in it, up to 2 MiB. Blocks go from worker to worker, and
// so all of them would; a large answer that four workers send in turn left
// 7 MiB behind. With pools before it, one arena more for all is seldom waited
// for.
SharedConversations::SharedConversations(protocol::Service& service,
                                         Mailbox& mailbox,
                                         const protocol::Pool& pool)
    : service_(service),
      mailbox_(mailbox),
      deadlines_(service.limits(), pool, sockets_of(table_), this) {
  ::mallopt(M_ARENA_MAX, 1);
}

// Nothing but laying down: the answers that follow a letter are the affair of
// whoever takes the conversation, without the lock. Rung is asked first, since
// two workers may have been told of one ringing (each that leaves arms the bell
// again), and the second read would sleep.
void SharedConversations::collect() {
  const Lock lock(mutex_);
  if (mailbox_.rung()) mailbox_.silence();
  const bool all = mailbox_.collect(
      [this](protocol::Letter letter) { lay_down(std::move(letter)); });
  if (!all)
    table_.each([this](std::uint64_t, SharedConversation& c) { mark_lost(c); });
}

// A conversation waits for one letter at a time. A second one that comes before
// the first has been delivered is nobody's.
void SharedConversations::lay_down(protocol::Letter letter) {
  SharedConversation* c = table_.find(letter.conversation);
  if (!c || c->answer) return;
  try {
    c->answer = std::make_unique<std::string>(std::move(letter.answer));
    if (!c->busy) ready_.push_back(*c);
  } catch (const std::bad_alloc&) {
    mark_lost(*c);
  }
}

void SharedConversations::mark_lost(SharedConversation& c) {
  c.lost = true;
  if (!c.busy) ready_.push_back(c);
}

SharedConversation& SharedConversations::claim(SharedConversation& c,
                                               protocol::Pool& pool) {
  c.busy = true;
  c.session.use(pool);
  return c;
}

SharedConversations::Next SharedConversations::next(protocol::Pool& pool,
                                                    bool all) {
  const Lock lock(mutex_);
  deadlines_.looked(all, table_.size());
  expire(pool);
  Next next;
  next.over =
      failed_ || (draining_ && (!table_.size() || deadlines_.drained()));
  if (next.over) return next;
  if (SharedConversation* c = take_ready(pool)) {
    next.conversation = c;
    if (const auto answer = std::move(c->answer)) next.answer.swap(*answer);
    next.stopped = draining_ && !c->stopped;
    next.readable = c->readable;
    c->stopped = draining_;
    c->readable = false;
  }
  next.more = !ready_.empty();
  next.left_ms = next.conversation ? 0 : deadlines_.left_ms();
  return next;
}

// Without those whose answers were lost: nothing else will ever come for them.
SharedConversation* SharedConversations::take_ready(protocol::Pool& pool) {
  while (!ready_.empty()) {
    SharedConversation& c = ready_.front();
    c.unlink();
    claim(c, pool);
    const bool lost = c.lost && !c.answer && c.session.pending();
    c.lost = false;
    if (!lost) return &c;
    count_lost(Want::memory);
    table_.erase(c.id());
  }
  return nullptr;
}

// The blocks of who is closed go to this worker's pool, and to no other's.
void SharedConversations::expire(protocol::Pool& pool) {
  const auto close = [&](std::uint64_t id) {
    table_.find(id)->session.use(pool);
    table_.erase(id);
  };
  deadlines_.evict(close);
  deadlines_.expire(close);
}

bool SharedConversations::hold(std::uint64_t id) const {
  const SharedConversation& c = *table_.find(id);
  return c.busy || c.readable;
}

bool SharedConversations::lay_ready(std::uint64_t id) {
  SharedConversation& c = *table_.find(id);
  if (!c.session.wants_input()) return false;
  pollfd socket{.fd = c.socket(), .events = POLLIN, .revents = 0};
  if (sys::poll(&socket, 1, 0) != 1) return false;
  c.readable = true;
  ready_.push_back(c);
  return true;
}

void SharedConversations::drain() {
  const Lock lock(mutex_);
  draining_ = true;
  table_.each([this](std::uint64_t, SharedConversation& c) {
    if (!c.busy) ready_.push_back(c);
  });
}

void SharedConversations::end() {
  reset_all(table_);
  if (failed_) std::rethrow_exception(failed_);
}

}  // namespace net
