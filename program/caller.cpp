#include "program/caller.hpp"

#include <algorithm>
#include <utility>

#include "net/clock.hpp"

namespace program {

Answer Caller::ask(const std::string& address, const Command& command) {
  return std::move(ask(address, std::span(&command, 1)).front());
}

std::vector<Answer> Caller::ask(const std::string& address,
                                std::span<const Command> commands) {
  std::unique_lock lock(mutex_);
  Contact& asked = contact(address);
  asked.answers.clear();
  asked.error.clear();
  asked.unsaid = commands;
  asked.awaited = commands.size();
  if (asked.state == Contact::State::away) asked.state = Contact::State::wanted;
  mailbox_.wake();
  const bool in_time =
      news_.wait_for(lock, timeout_, [&] { return settled(asked); }) ||
      await_look(lock, asked);
  asked.unsaid = {};
  asked.awaited = 0;
  // From now on the answer might come after all and be taken for another's.
  if (!in_time)
    failure_ = "no answer from " + address + " within " +
               std::to_string(timeout_.count()) + " ms";
  if (!failure_.empty()) throw NoAnswer(failure_);
  if (!asked.error.empty()) throw NoAnswer(asked.error);
  return std::move(asked.answers);
}

// It is late, unless it has come and lies in a socket: we may have been stopped
// meanwhile, and not the node. The other thread looks, and does not sleep.
bool Caller::await_look(std::unique_lock<std::mutex>& lock,
                        const Contact& asked) {
  look_since_ = net::now();
  mailbox_.wake();
  news_.wait_for(lock, timeout_, [&] {
    return settled(asked) || look_since_ == protocol::never;
  });
  look_since_ = protocol::never;
  return settled(asked);
}

bool Caller::settled(const Contact& contact) const {
  return contact.answers.size() == contact.awaited || !contact.error.empty() ||
         !failure_.empty();
}

void Caller::stop() {
  {
    const std::scoped_lock lock(mutex_);
    over_ = true;
  }
  mailbox_.wake();
}

void Caller::fail(const std::string& why) {
  const std::scoped_lock lock(mutex_);
  failure_ = why;
  news_.notify_one();
}

Caller::Contact& Caller::contact(const std::string& address) {
  const auto found = std::ranges::find(contacts_, address, &Contact::address);
  if (found != contacts_.end()) return *found;
  Contact& made = contacts_.emplace_back();
  made.address = address;
  return made;
}

protocol::Peer* Caller::next() {
  const std::scoped_lock lock(mutex_);
  for (Contact& contact : contacts_) {
    if (contact.state != Contact::State::wanted) continue;
    contact.state = Contact::State::connecting;
    return &contact;
  }
  return nullptr;
}

// A peer is handed out once for what there is to say: it may be another thread
// that says it, later.
protocol::Peer* Caller::due(protocol::Nanoseconds) {
  const std::scoped_lock lock(mutex_);
  for (Contact& contact : contacts_) {
    if (contact.state != Contact::State::connected || contact.due ||
        contact.unsaid.empty())
      continue;
    contact.due = true;
    return &contact;
  }
  return nullptr;
}

protocol::Nanoseconds Caller::next_due() {
  const std::scoped_lock lock(mutex_);
  return look_since_;
}

bool Caller::overdue(protocol::Nanoseconds) {
  const std::scoped_lock lock(mutex_);
  return look_since_ != protocol::never;
}

void Caller::looked(protocol::Nanoseconds then) {
  const std::scoped_lock lock(mutex_);
  if (then < look_since_) return;
  look_since_ = protocol::never;
  news_.notify_one();
}

bool Caller::over() {
  const std::scoped_lock lock(mutex_);
  return over_;
}

void Caller::connected(protocol::Peer& peer) {
  const std::scoped_lock lock(mutex_);
  static_cast<Contact&>(peer).state = Contact::State::connected;
}

void Caller::say(protocol::Peer& peer, protocol::Nanoseconds) {
  const std::scoped_lock lock(mutex_);
  Contact& asked = static_cast<Contact&>(peer);
  for (const Command& command : asked.unsaid) {
    const std::vector<std::string_view> words(command.begin(), command.end());
    peer.session.request(words);
  }
  asked.unsaid = {};
  asked.due = false;
}

void Caller::hand_over(protocol::Peer& peer, protocol::Nanoseconds) {
  const std::scoped_lock lock(mutex_);
  Contact& asked = static_cast<Contact&>(peer);
  while (const protocol::Value* reply = peer.session.reply())
    // What comes after its question was given up is nobody's answer.
    if (asked.answers.size() < asked.awaited)
      asked.answers.emplace_back(*reply);
  if (settled(asked)) news_.notify_one();
}

void Caller::closed(protocol::Peer& peer, std::string_view why) {
  const std::scoped_lock lock(mutex_);
  Contact& asked = static_cast<Contact&>(peer);
  const bool was_connected = asked.state == Contact::State::connected;
  asked.state = Contact::State::away;
  asked.due = false;
  peer.session.reset();
  if (settled(asked)) return;
  asked.error =
      (was_connected ? "lost the connection to " : "could not connect to ") +
      peer.address + ": " +
      (why.empty() ? "the peer closed it" : std::string(why));
  news_.notify_one();
}

}  // namespace program
