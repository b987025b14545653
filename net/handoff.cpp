#include "net/handoff.hpp"

#include <new>

namespace net {

void Handoff::join(unsigned loop, Mailbox& mailbox) {
  const std::scoped_lock lock(mutex_);
  inboxes_[loop].mailbox = &mailbox;
  if (!inboxes_[loop].guests.empty()) mailbox.wake();
}

unsigned Handoff::next_turn(unsigned giver) {
  for (unsigned i = 0; i < inboxes_.size(); ++i) {
    const unsigned loop = turn_++ % static_cast<unsigned>(inboxes_.size());
    if (!inboxes_[loop].left) return loop;
  }
  return giver;
}

Guest Handoff::give(unsigned giver, Guest guest) {
  const std::scoped_lock lock(mutex_);
  const unsigned loop = next_turn(giver);
  if (loop == giver) return guest;
  Inbox& inbox = inboxes_[loop];
  try {
    inbox.guests.push_back(std::move(guest));
  } catch (const std::bad_alloc&) {
    return guest;  // not moved from: there was no place to move it to
  }
  if (inbox.mailbox) inbox.mailbox->wake();
  return {};
}

Guest Handoff::take(unsigned loop) {
  const std::scoped_lock lock(mutex_);
  std::deque<Guest>& guests = inboxes_[loop].guests;
  if (guests.empty()) return {};
  Guest first = std::move(guests.front());
  guests.pop_front();
  return first;
}

void Handoff::leave(unsigned loop) {
  const std::scoped_lock lock(mutex_);
  inboxes_[loop].left = true;
}

}  // namespace net
