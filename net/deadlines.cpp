#include "net/deadlines.hpp"

#include <algorithm>
#include <chrono>
#include <climits>

#include "net/counters.hpp"

namespace net {
namespace {

using protocol::Wait;

// To close somebody who holds as little as this would help nobody: a loop would
// close all of its own for what another loop's peers hold.
constexpr std::uint32_t spared_max = (16 << 10) - 1;

const unsigned late_counter = counter("net.", "late");
const unsigned evicted_counter = counter("net.", "evicted");

std::int64_t to_ns(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::int64_t now_ns() {
  timespec time;
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return to_ns(time);
}

/// The coarse clock moves by this much at a time, 1 to 10 ms.
std::int64_t step_ns() {
  static const std::int64_t step = [] {
    timespec time;
    ::clock_getres(CLOCK_MONOTONIC_COARSE, &time);
    return to_ns(time);
  }();
  return step;
}

}  // namespace

Deadlines::Deadlines(const protocol::Limits& limits, const protocol::Pool& pool)
    : limits_(limits), pool_(pool) {}

void Deadlines::Entry::link_before(Entry& head) {
  unlink();
  previous_ = head.previous_;
  next_ = &head;
  previous_->next_ = this;
  head.previous_ = this;
}

// All waits of one kind last equally long, so the end of a list is the place
// of whoever begins to wait now. Who waits for an answer is in no hurry of his
// own: it has a deadline with those who owe it.
void Deadlines::rearm(Entry& entry, Wait wait, std::size_t held) {
  entry.held_ = static_cast<std::uint32_t>(
      std::min<std::size_t>(held, std::numeric_limits<std::uint32_t>::max()));
  if (entry.late_) return;
  if (wait.what == Wait::For::nothing) return entry.unlink();
  if (entry.previous_ && wait == entry.wait_) return;
  entry.wait_ = wait;
  if (wait.what == Wait::For::answer) return entry.link_before(awaiting_);
  const bool frame = wait.what == Wait::For::frame;
  const bool reader = wait.what == Wait::For::reader;
  const auto time = frame    ? limits_.frame_time
                    : reader ? limits_.reader_time
                             : limits_.drain_time;
  entry.due_ns_ = now_ns() + std::chrono::nanoseconds(time).count();
  entry.link_before(frame ? frames_ : reader ? readers_ : ends_);
}

// A wait that ends just before the coarse clock moves would find nobody late
// and be repeated, again and again, until it does: so one step is added.
std::int64_t Deadlines::left_ns() const {
  if (idle()) return -1;
  std::int64_t due =
      drained_ns_ ? drained_ns_ : std::numeric_limits<std::int64_t>::max();
  for (const Entry* list : {&frames_, &readers_, &ends_})
    if (!list->alone()) due = std::min(due, list->next_->due_ns_);
  const std::int64_t left = due - now_ns();
  return left > 0 ? left + step_ns() : 0;
}

int Deadlines::rounded_ms() const {
  const auto rounded_up = (left_ns() + 999'999) / 1'000'000;
  return static_cast<int>(std::min<std::int64_t>(rounded_up, INT_MAX));
}

const timespec* Deadlines::left(timespec& room) const {
  const std::int64_t left = left_ns();
  if (left < 0) return nullptr;
  room.tv_sec = left / 1'000'000'000;
  room.tv_nsec = left % 1'000'000'000;
  return &room;
}

std::uint64_t Deadlines::take_late() {
  const std::int64_t now = now_ns();
  for (Entry* list : {&frames_, &readers_, &ends_})
    if (!list->alone() && list->next_->due_ns_ <= now)
      return take(*list->next_, late_counter);
  if (!pool_.exceeded()) return 0;
  Entry* entry = largest();
  return entry ? take(*entry, evicted_counter) : 0;
}

std::uint64_t Deadlines::take(Entry& entry, unsigned counter) {
  count(counter);
  entry.late_ = true;
  entry.link_before(late_);
  return entry.id_;
}

Deadlines::Entry* Deadlines::largest() {
  Entry* found = nullptr;
  for (Entry* list : {&frames_, &readers_, &ends_, &awaiting_})
    for (Entry* entry = list->next_; entry != list; entry = entry->next_)
      if (entry->held_ > (found ? found->held_ : spared_max)) found = entry;
  return found;
}

void Deadlines::drain() {
  drained_ns_ = now_ns() + std::chrono::nanoseconds(drain_time).count();
}

bool Deadlines::lets_in() const {
  using std::chrono::nanoseconds;
  const auto afterwards = nanoseconds(drain_time - let_in_time).count();
  return now_ns() < drained_ns_ - afterwards;
}

bool Deadlines::drained() const {
  return drained_ns_ != 0 && now_ns() >= drained_ns_;
}

}  // namespace net
