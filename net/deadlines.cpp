#include "net/deadlines.hpp"

#include <linux/sockios.h>

#include <algorithm>
#include <climits>

#include "net/clock.hpp"
#include "net/sys.hpp"

namespace net {
namespace {

using protocol::Wait;

// Who holds no more than this is not evicted. The budget is the process's, and
// it may be the peers of another loop who hold most of it: then this loop would
// close all of its own, one after the other, and hardly anything would be
// freed. (But where small ones alone hold more than twice what all may, they
// are not spared either.)
constexpr std::uint32_t spared_max = (16 << 10) - 1;

const unsigned late_counter = counter("net.", "late");
const unsigned evicted_counter = counter("net.", "evicted");

constexpr std::int64_t ns_of_ms = 1'000'000;

std::int64_t now_ms() { return read_clock(CLOCK_MONOTONIC_COARSE) / ns_of_ms; }

/// The coarse clock moves by this much at a time, 1 to 10 ms.
std::int64_t step_ns() {
  static const std::int64_t step = [] {
    timespec time;
    ::clock_getres(CLOCK_MONOTONIC_COARSE, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  }();
  return step;
}

/// How long it is until `due_ms`, negative if that is past. Of `due_ms` only
/// the lower 32 bits are known, which begin anew at 0 every 50 days. The
/// difference in 32 bits with a sign is right all the same while the two are
/// less than 24 days apart, and they are: no option's time is above a day.
std::int64_t until(std::uint32_t due_ms, std::int64_t now_ms) {
  return static_cast<std::int32_t>(due_ms - static_cast<std::uint32_t>(now_ms));
}

std::uint32_t to_32_bits(std::size_t number) {
  return static_cast<std::uint32_t>(
      std::min<std::size_t>(number, std::numeric_limits<std::uint32_t>::max()));
}

std::uint32_t to_ms(std::chrono::milliseconds time) {
  return static_cast<std::uint32_t>(time.count());
}

}  // namespace

Deadlines::Deadlines(const protocol::Limits& limits, const protocol::Pool& pool,
                     std::function<int(std::uint64_t id)> socket, Hands* hands)
    : pool_(pool),
      socket_(std::move(socket)),
      hands_(hands),
      time_ms_{0, to_ms(limits.frame_time),
               to_ms(limits.reader_time / reader_parts),
               to_ms(limits.drain_time), 0},
      looked_ms_(now_ms()) {}

// A conversation whose answer is pending has no deadline here, so the clock is
// not asked: its peer has nothing to do meanwhile. Who owes the answer, another
// node for example, has a deadline where it was asked.
void Deadlines::rearm(Entry& entry, Wait wait, std::size_t held, bool heard) {
  entry.held_ = to_32_bits(held);
  if (entry.late_) return;
  if (wait.what == For::nothing) return entry.unlink();
  if (entry.linked() &&
      wait == Wait{.what = entry.what_, .mark = entry.mark_}) {
    // The same wait as before, which goes on. Only who is due, and from whom
    // something has come nevertheless, gets its time again, once. For a reader
    // this does not hold: had it read, it would have another mark.
    if (!heard || entry.heard_ || wait.what == For::reader ||
        until(entry.due_ms_, looking() ? suspected_ms_ : now_ms()) > 0)
      return;
    entry.heard_ = true;
  } else {
    entry.heard_ = false;
  }
  entry.looks_ = 0;
  entry.what_ = wait.what;
  entry.mark_ = wait.mark;
  begin(entry, wait.what == For::answer ? 0 : now_ms());
}

bool Deadlines::is_idle() const {
  armed_ = !list(For::frame).empty() || !list(For::reader).empty() ||
           !list(For::end).empty() || !limits_.empty() || drained_ms_ != 0;
  return !armed_;
}

// All waits of one kind last equally long. So who begins to wait now is due
// after all who are listed, and its place is the end of the list.
void Deadlines::begin(Entry& entry, std::int64_t now_ms) {
  armed_ = true;
  entry.due_ms_ = static_cast<std::uint32_t>(now_ms) +
                  time_ms_[static_cast<unsigned>(entry.what_)];
  list(entry.what_).push_back(entry);
}

// Without memory for it, it is tried again with the next that happens to this
// conversation.
void Deadlines::limit(Entry& entry, std::uint32_t due_ms) try {
  if ((entry.limit_ ? entry.limit_->due_ms : 0) == due_ms) return;
  entry.limit_.reset();
  if (due_ms == 0 || entry.late_) return;
  entry.limit_ = std::make_unique<Entry::Limit>(entry, due_ms);
  armed_ = true;
  limits_.insert(*entry.limit_, [due_ms](const Entry::Limit& other) {
    return until(other.due_ms, due_ms) > 0;
  });
} catch (const std::bad_alloc&) {
  entry.limit_.reset();
}

// The coarse clock moves in steps. A sleep that ends at the very time can find
// the clock a step behind, and nobody late yet; then the time that is left is
// so short that the loop would wait again and again, without sleeping, until
// the clock moves. So one step is added.
std::int64_t Deadlines::left_ns() const {
  if (idle()) return -1;
  if (looking()) return 0;
  const std::int64_t now = now_ms();
  std::int64_t left_ms = std::numeric_limits<std::int32_t>::max();
  if (drained_ms_) left_ms = std::min(left_ms, drained_ms_ - now);
  for (const For what : {For::frame, For::reader, For::end})
    if (const Entry* entry = first(what))
      left_ms = std::min(left_ms, until(entry->due_ms_, now));
  if (const Entry::Limit* limit = first_limit())
    left_ms = std::min(left_ms, until(limit->due_ms, now));
  return left_ms > 0 ? left_ms * ns_of_ms + step_ns() : 0;
}

int Deadlines::rounded_ms() const {
  const auto rounded_up = (left_ns() + ns_of_ms - 1) / ns_of_ms;
  return static_cast<int>(std::min<std::int64_t>(rounded_up, INT_MAX));
}

const timespec* Deadlines::left(timespec& room) const {
  const std::int64_t left = left_ns();
  if (left < 0) return nullptr;
  room = to_timespec(left);
  return &room;
}

// From now on it is looked for what has come from those who are due. The wait
// that is just over does not count as a look: it may have ended before their
// time was, and what came since has not been seen.
void Deadlines::suspect(std::int64_t now_ms) {
  if (looking()) return;
  suspected_ms_ = now_ms;
  waits_ = 0;
}

void Deadlines::end_look(bool all, std::size_t waits_max) {
  if (!all && ++waits_ <= waits_max) return;
  looked_ms_ = std::exchange(suspected_ms_, 0);
}

std::uint64_t Deadlines::take_late() {
  const std::int64_t now = now_ms();
  // So that 32 bits are enough for the time between the two: who is due now was
  // not due 12 days ago.
  looked_ms_ = std::max(looked_ms_, now - (std::int64_t{1} << 30));
  if (drained_ms_ && drained_ms_ <= now && !drained()) suspect(now);
  if (Entry* const entry = late_by_limit(now))
    return take(*entry, late_counter);
  for (const For what : {For::frame, For::reader, For::end})
    if (Entry* const entry = late_by_wait(what, now))
      return take(*entry, late_counter);
  return 0;
}

Deadlines::Entry* Deadlines::late_by_limit(std::int64_t now) {
  while (Entry::Limit* const limit = first_limit()) {
    if (until(limit->due_ms, now) > 0) break;
    if (until(limit->due_ms, looked_ms_) > 0) {
      suspect(now);
      break;
    }
    if (limit->heard || !is_laid_ready(limit->entry)) return &limit->entry;
    limit->heard = true;
  }
  return nullptr;
}

Deadlines::Entry* Deadlines::late_by_wait(For what, std::int64_t now) {
  while (Entry* const entry = first(what)) {
    if (until(entry->due_ms_, now) > 0) break;
    if (until(entry->due_ms_, looked_ms_) > 0) {
      suspect(now);
      break;
    }
    if (what == For::reader) {
      if (!is_read(*entry)) return entry;
      begin(*entry, now);
    } else if (entry->heard_ || !is_laid_ready(*entry)) {
      return entry;
    }
  }
  return nullptr;
}

// Once: when it is watched again, either its wait is another one, or it is
// `heard_`, and has its time once more.
bool Deadlines::is_laid_ready(const Entry& entry) {
  return hands_ && hands_->lay_ready(entry.id_);
}

// Has the peer taken anything since the last look at the kernel's queue? The
// kernel tells how many bytes are not acknowledged (TCP), or how much memory
// they take (a Unix socket): both fall when the peer takes some. The first look
// has nothing to be compared with. True: it gets another part of its time.
bool Deadlines::is_read(Entry& entry) {
  int unsent = 0;
  const bool known =
      socket_ && sys::ioctl(socket_(entry.id_), SIOCOUTQ, &unsent) == 0;
  const auto now = static_cast<std::uint32_t>(unsent);
  if (known && now < entry.unsent_) entry.looks_ = 0;
  entry.unsent_ = now;
  return entry.looks_++ < reader_parts;
}

std::uint64_t Deadlines::take_largest() {
  const std::uint32_t spared = pool_.far_exceeded() ? 0 : spared_max;
  Entry* found = nullptr;
  for (List<Entry>& list : lists_)
    list.each([&](Entry& entry) {
      if (entry.held_ > (found ? found->held_ : spared)) found = &entry;
    });
  // In a worker's hands it is evicted when that worker has put it back. To
  // evict the next one instead would close one after the other, and free
  // little.
  if (found && !is_free(*found)) return 0;
  return found ? take(*found, evicted_counter) : 0;
}

std::uint64_t Deadlines::take(Entry& entry, unsigned counter) {
  count(counter);
  entry.late_ = true;
  entry.limit_.reset();
  late_.push_back(entry);
  return entry.id_;
}

void Deadlines::drain(std::chrono::nanoseconds passed) {
  armed_ = true;
  drained_ms_ = now_ms() + (drain_time - passed) / std::chrono::milliseconds(1);
}

bool Deadlines::lets_in() const {
  return now_ms() < drained_ms_ - (drain_time - let_in_time).count();
}

bool Deadlines::drained() const {
  return drained_ms_ != 0 && drained_ms_ <= looked_ms_;
}

}  // namespace net
