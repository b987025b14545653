#include "node/contacts.hpp"

namespace node {
namespace {

using protocol::Nanoseconds;

// Questions that one node owes us: a silent node costs no more than this, what
// is beyond waits with us and goes when its time is over.
constexpr std::size_t said_max = 1024;
// Bytes not yet sent to one node; above it nothing is appended.
constexpr std::size_t unsent_max = 256 << 10;

}  // namespace

const protocol::Value* Contact::hear(Question& question) {
  while (const protocol::Value* reply = session.reply()) {
    doubtful = false;
    if (std::exchange(said.front().asking, false)) continue;
    question = said.front();
    said.pop_front();
    return reply;
  }
  return nullptr;
}

Contacts::Contacts(const dht::Overlay& overlay, std::size_t reply_max,
                   Nanoseconds silence_max, Waits waits)
    : silence_max_(silence_max), waits_(std::move(waits)) {
  const auto add = [&](const dht::Member& member) {
    book_.try_emplace(member.id, member, reply_max);
  };
  add(overlay.self());
  for (const dht::Range& range : overlay.ranges()) add(*range.owner);
  for (auto& [id, contact] : book_)
    contact.position = unwatched_.insert(unwatched_.end(), &contact);
  for (Queue* queue : {&to_connect_, &to_say_, &to_give_up_})
    queue->reserve(book_.size());
}

Contact* Contacts::find(const dht::Id& id) {
  const auto found = book_.find(id);
  return found == book_.end() ? nullptr : &found->second;
}

// --- asking -----------------------------------------------------------------

void Contacts::ask(Contact& contact, const Question& question, bool& wake) {
  contact.unsaid.push_back(question);
  call(contact, wake);
}

// Makes sure that somebody looks at what is unsaid. The driver asks for those
// who are next before it sleeps, and busy() says not to sleep; anybody else has
// to wake. (After a connection that is given up, lose() calls.)
void Contacts::call(Contact& contact, bool& wake) {
  if (contact.announced || contact.given_up) return;
  if (contact.link == Contact::Link::up) {
    contact.announced = true;
    to_say_.push_back(&contact);
  } else if (contact.link == Contact::Link::down) {
    contact.link = Contact::Link::called;
    to_connect_.push_back(&contact);
  } else {
    return;
  }
  if (std::this_thread::get_id() != driver_) wake = true;
}

// Questions stand in the order of their deadlines, so those that have ended are
// first.
void Contacts::forget_ended(Contact& contact) {
  Questions& unsaid = contact.unsaid;
  while (!unsaid.empty() && !waits_(unsaid.front().asker)) unsaid.pop_front();
}

// --- whose turn it is -------------------------------------------------------

Contact* Contacts::pop(Queue& queue) {
  if (queue.empty()) return nullptr;
  Contact* const first = queue.front();
  queue.erase(queue.begin());
  return first;
}

Contact* Contacts::next_to_connect() {
  while (Contact* contact = pop(to_connect_)) {
    forget_ended(*contact);
    const bool wanted = !contact->unsaid.empty();
    contact->link = wanted ? Contact::Link::calling : Contact::Link::down;
    if (!wanted) continue;
    watch(*contact, protocol::never);
    return contact;
  }
  return nullptr;
}

Contact* Contacts::next_to_say() {
  driver_ = std::this_thread::get_id();
  while (Contact* contact = pop(to_say_)) {
    forget_ended(*contact);
    if (!contact->unsaid.empty()) return contact;
    contact->announced = false;
  }
  return nullptr;
}

// --- by the contact's holder ------------------------------------------------

// What is beyond the limits stays unsaid: then replies are owed, and when they
// have come this is asked again. So does what would be said to a peer that has
// ended: it will be said over another connection.
const Question* Contacts::next_question(Contact& contact, Nanoseconds now) {
  forget_ended(contact);
  const protocol::ClientSession& session = contact.session;
  Questions& said = contact.said;
  if (contact.unsaid.empty() || said.size() >= said_max ||
      session.unsent() >= unsent_max || session.finished() ||
      contact.given_up) {
    contact.announced = false;
    std::erase(to_say_, &contact);  // what due() was to tell has been seen to
    if (!said.empty() && !contact.watched && !contact.given_up)
      watch(contact, now);
    return nullptr;
  }
  said.splice(said.end(), contact.unsaid, contact.unsaid.begin());
  said.back().asking = said.back().command;
  return &said.back();
}

// What was not said yet is said over the next connection, and so are questions
// that this one may have been too dead to hear. It ends: what is said first
// over a new connection is never in doubt, and what is given up with one that
// is silent has its own time, which goes on.
Questions Contacts::lose(Contact& contact, bool& wake) {
  const bool refused = contact.link != Contact::Link::up && !contact.given_up;
  const bool unheard = contact.doubtful || contact.given_up;
  Questions lost;
  lost.swap(refused ? contact.unsaid : contact.said);
  const auto first_unsaid = contact.unsaid.begin();
  for (auto next = lost.begin(); unheard && next != lost.end();) {
    const auto question = next++;
    if (!question->command) contact.unsaid.splice(first_unsaid, lost, question);
  }
  unwatch(contact);
  std::erase(to_say_, &contact);
  std::erase(to_give_up_, &contact);
  contact.link = Contact::Link::down;
  contact.announced = contact.given_up = false;
  contact.stood = contact.doubtful = false;
  forget_ended(contact);
  if (!contact.unsaid.empty()) call(contact, wake);
  return lost;
}

// --- times ------------------------------------------------------------------

void Contacts::advance(Nanoseconds now) {
  for (Contact* contact : fresh_) contact->quiet_since = now;
  watched_.splice(watched_.end(), fresh_);
}

void Contacts::watch(Contact& contact, Nanoseconds since) {
  contact.watched = true;
  contact.quiet_since = since;
  auto& list = since == protocol::never ? fresh_ : watched_;
  list.splice(list.end(), unwatched_, contact.position);
}

void Contacts::unwatch(Contact& contact) {
  if (!std::exchange(contact.watched, false)) return;
  auto& list = contact.quiet_since == protocol::never ? fresh_ : watched_;
  unwatched_.splice(unwatched_.end(), list, contact.position);
}

// Whoever was silent for so long has perhaps gone without a word, and another
// stands at its address by now: that one is reached over a new connection. TCP
// alone would take a quarter of an hour to find out (tcp(7), tcp_retries2).
void Contacts::give_up_silent(Nanoseconds then) {
  while (!watched_.empty() &&
         watched_.front()->quiet_since <= then - silence_max_) {
    Contact& silent = *watched_.front();
    unwatch(silent);
    silent.given_up = true;
    to_give_up_.push_back(&silent);
  }
}

}  // namespace node
