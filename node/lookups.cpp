#include "node/lookups.hpp"

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <list>
#include <mutex>
#include <new>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/value.hpp"
#include "protocol/writer.hpp"

namespace node {
namespace {

using protocol::Nanoseconds;
using protocol::Value;

// Questions that one node owes us: a silent node costs no more than this, what
// is beyond waits with us and goes when its time is over.
constexpr std::size_t asked_max = 1024;
// Bytes not yet sent to one node; above it nothing is appended.
constexpr std::size_t unsent_max = 256 << 10;
// Commands of all clients together that wait to be proxied.
constexpr std::size_t commands_max = 64 << 20;
// What is no value is a few short words: a step, an error. (For a value, one
// line is the length before it.)
constexpr std::size_t words_max = 4 << 10;
// A rule that another node names is passed on to people: "finger 160".
constexpr std::size_t rule_max = 64;
// An error of another node, as far as it is passed on.
constexpr std::size_t error_max = 200;
// A letter that there was no memory to post is tried again after so long.
constexpr Nanoseconds retry_ns = 10'000'000;

/// Threads are told apart by where each keeps its own mark.
using Thread = const char*;
Thread this_thread() {
  thread_local const char mark = 0;
  return &mark;
}

constexpr char stopped[] = "ERR lookup: this node is shutting down";
constexpr char no_memory[] = "-ERR lookup: out of memory\r\n";

/// What a node is asked: the next step of a lookup, or its client's command.
/// Known by number, since the lookup may be over before the answer comes.
struct Question {
  std::uint64_t lookup = 0;
  bool command = false;
  bool asking = false;  // the reply to ASKING, before a command's, is owed
};

using Questions = std::list<Question>;  // go from list to list, uncopied

/// A member of the ring, and our one connection to it:
///
///            call()           next()         connected()
///     down ---------> called --------> calling ---------> up
///      ^                |                 |               |
///      |   nothing is   |                 | silent for    | the same, while
///      |<-- to be asked-+                 | a hop's time  | it owes answers
///      |     any more                     v               v
///      |                               given up: given_up() tells its holder
///      |                                  |
///      +------------- closed() <----------+---- from calling and up, too
///
/// What holds beside it, and where:
///  announced  up: its holder will look at `unsaid` anyhow, since due() is to
///             hand it out or has done so, or say() or hand_over() runs. Nobody
///             has to be told of a new question.
///  watched    calling, up: something is awaited, a connection or an answer,
///             and nothing was heard since `quiet_since`. Every sign of life
///             ends it, and what is still owed then begins it anew.
///  stood      up: say() was called before, so what it is told now it may be
///             too dead to hear (its host may have gone and come back).
///  doubtful   up: something was said when it had stood and owed nothing, and
///             nothing was heard since. If it ends now the question is asked
///             again over a new connection, which is not doubtful.
struct Contact : protocol::Peer {
  enum class Link { down, called, calling, up };

  Contact(const dht::Member& member, std::size_t reply_max)
      : Peer{member.address, protocol::ClientSession(reply_max), 0},
        id(member.id) {}

  const dht::Id id;

  // Guarded by the mutex.
  Link link = Link::down;
  bool given_up = false;
  bool announced = false;
  bool watched = false;
  std::list<Contact*>::iterator watching;     // its place among all
  Nanoseconds quiet_since = protocol::never;  // until a clock was seen
  Questions unsaid;

  // Its holder's, as the session is.
  Questions asked;  // in the order of the replies
  bool stood = false;
  bool doubtful = false;
};

struct Step {
  Contact* node;
  std::string rule;
  Nanoseconds answered = 0;
};

struct Lookup {
  std::uint64_t number = 0;
  dht::Id key;
  protocol::ReturnAddress to;
  int version = 2;
  std::vector<std::string> command{};  // empty: DHT.LOOKUP
  std::size_t command_bytes = 0;
  std::vector<Step> path{};                // ourselves first
  Nanoseconds began = protocol::never;     // until a clock was seen
  Nanoseconds deadline = protocol::never;  // of the question that is asked
  std::string answer{};  // once it has ended; empty: no_memory
};
using LookupList = std::list<Lookup>;  // they go from list to list, uncopied

/// What is to be brought once the mutex is free: whoever is rung may hold a
/// lock of its own while it asks us.
struct Mail {
  LookupList letters;
  bool ring = false;

  /// Leaves in `letters` whose could not be posted, for want of memory. (Of an
  /// answer that was lost on the way the error remains.)
  void deliver(protocol::Postbox& bell) {
    LookupList kept;
    while (!letters.empty()) {
      const auto first = letters.begin();
      const auto [postbox, conversation] = first->to;
      try {
        std::string answer = std::exchange(first->answer, {});
        if (answer.empty()) answer = no_memory;
        postbox->post({conversation, std::move(answer)});
        letters.erase(first);
      } catch (const std::bad_alloc&) {
        kept.splice(kept.end(), letters, first);
      }
    }
    letters.swap(kept);
    if (ring) bell.ring();
  }
};

// Each writes the answer of a lookup that has ended, or leaves none if there is
// no memory for it.

template <class Write>
void write_answer(Lookup& lookup, Write write) {
  try {
    protocol::StringSink sink;
    protocol::Writer writer(sink, lookup.version);
    write(writer);
    lookup.answer = std::move(sink.text);
  } catch (const std::bad_alloc&) {
    lookup.answer.clear();
  }
}

using Words = std::initializer_list<std::string_view>;
void write_error(Lookup& lookup, Words words) {
  write_answer(lookup, [&](protocol::Writer& writer) {
    std::string text;
    for (const std::string_view part : words) text += part;
    writer.error(text);
  });
}

void write_hops(Lookup& lookup) {
  write_answer(lookup, [&](protocol::Writer& writer) {
    writer.array(lookup.path.size());
    for (const Step& step : lookup.path) {
      writer.array(4);
      writer.bulk(dht::to_hex(step.node->id));
      writer.bulk(step.node->address);
      writer.bulk(step.rule);
      writer.integer(step.answered / 1000);
    }
  });
}

void write_value(Lookup& lookup, const Value& value) {
  write_answer(lookup, [&](protocol::Writer& writer) { writer.value(value); });
}

/// The answer to DHT.NEXT, as far as its form goes.
struct Answer {
  bool here = false;
  dht::Id id;
  std::string_view address, rule;
};

std::optional<Answer> read_answer(const Value& value) {
  if (value.type != Value::Type::array || value.elements.size() != 4)
    return std::nullopt;
  for (const Value& element : value.elements)
    if (element.type != Value::Type::bulk &&
        element.type != Value::Type::simple)
      return std::nullopt;
  const std::string_view kind = value.elements[0].text;
  const auto id = dht::from_hex(value.elements[1].text);
  const std::string_view rule = value.elements[3].text;
  if ((kind != "here" && kind != "forward") || !id || rule.size() > rule_max)
    return std::nullopt;
  return Answer{kind == "here", *id, value.elements[2].text, rule};
}

/// What is appended to a session next.
struct Saying {
  Question question;
  dht::Id key;
  std::vector<std::string> command;
};

/// All that needs memory of ours comes before the first request: half of it is
/// never said. (A session that has none has finished, with words.)
void append(const Saying& saying, protocol::ClientSession& session) {
  if (!saying.question.command)
    return session.request({"DHT.NEXT", "ID", dht::to_hex(saying.key)});
  const std::vector<std::string_view> command(saying.command.begin(),
                                              saying.command.end());
  session.request({"ASKING"});
  session.request(command);
}

/// Contacts that wait for something, each at most once: made as large as it can
/// become, so that it never asks for memory.
class Queue {
 public:
  explicit Queue(std::size_t contacts) { contacts_.reserve(contacts); }
  bool empty() const { return contacts_.empty(); }
  void push(Contact& contact) { contacts_.push_back(&contact); }
  Contact* pop() {
    Contact* const first = contacts_.front();
    contacts_.erase(contacts_.begin());
    return first;
  }
  void remove(const Contact& contact) { std::erase(contacts_, &contact); }

 private:
  std::vector<Contact*> contacts_;
};

std::vector<std::unique_ptr<Contact>> make_book(const dht::Overlay& overlay,
                                                std::size_t reply_max) {
  std::vector<std::unique_ptr<Contact>> book;
  const auto add = [&](const dht::Member& member) {
    const auto place = std::ranges::lower_bound(
        book, member.id, {}, [](const auto& c) { return c->id; });
    if (place == book.end() || (*place)->id != member.id)
      book.insert(place, std::make_unique<Contact>(member, reply_max));
  };
  add(overlay.self());
  for (const dht::Range& range : overlay.ranges()) add(*range.owner);
  return book;
}

}  // namespace

/// One mutex for all but what belongs to the holders of the peers. It is held
/// for steps only: letters are posted, commands and the answers to them copied
/// without it.
///
/// For want of memory a question is lost, with an error, and nothing else: what
/// may ask for memory comes before the first change, or is tried (attempt), and
/// what must not fail moves between lists.
struct Lookups::State {
  using Place = LookupList::iterator;

  State(const dht::Overlay& overlay, protocol::Postbox& bell,
        std::chrono::milliseconds hop_time, std::size_t value_max);

  /// Runs a step with the mutex, then brings its mail.
  template <class Work>
  void enter(Work step) {
    Mail mail;
    {
      const std::lock_guard lock(mutex_);
      step(mail);
    }
    bring(mail);
  }
  void bring(Mail& mail);
  /// A step of this lookup; without memory for it the lookup ends.
  template <class Work>
  void attempt(Place lookup, Mail& mail, Work step) {
    try {
      step();
    } catch (const std::bad_alloc&) {
      take(lookup, mail);
    }
  }

  // A lookup's way, with the mutex.
  void begin(LookupList lookup, Mail& mail);
  const char* refusal(const Lookup& lookup) const;
  void set_out(Place lookup, Mail& mail);
  void ask(Place lookup, Contact& contact, bool command, Mail& mail);
  void follow(Place lookup, Contact& contact, const Value& reply, Mail& mail);
  void arrive(Place lookup, Contact& owner, Mail& mail);
  void fail(Place lookup, Words words, Mail& mail);
  void fail(const Question& question, Words words, Mail& mail);
  Lookup& take(Place lookup, Mail& mail);
  LookupList& list_of(const Lookup& lookup);

  // The clock, with the mutex.
  void advance(Nanoseconds now);
  void expire(Nanoseconds then, Mail& mail);
  Nanoseconds first_late() const;
  Nanoseconds next_due() const;

  // Connections, with the mutex.
  Contact* find(const dht::Id& id);
  void call(Contact& contact, Mail& mail);
  Contact* next_to_connect();
  Contact* next_to_say();
  void watch(Contact& contact, Nanoseconds since);
  void unwatch(Contact& contact);
  void give_up_silent(Nanoseconds then);
  void forget_ended(Contact& contact);
  void lose(Contact& contact, std::string_view why, Mail& mail);

  // By the contact's holder, without the mutex.
  void speak(Contact& contact, Nanoseconds now, Mail& mail);
  std::optional<Saying> next_saying(Contact& contact, Nanoseconds now);
  void hear(Contact& contact, Mail& mail);
  void hear(const Question& question, Contact& contact, const Value& reply,
            Mail& mail);

  const dht::Overlay& overlay_;
  protocol::Postbox& bell_;
  const std::string hop_time_;  // "1000 ms"
  const Nanoseconds hop_ns_;
  std::vector<std::unique_ptr<Contact>> book_;  // by identifier; fixed

  std::mutex mutex_;
  // Each lookup that runs is in one of them. By deadline: the first is the next
  // to be late. And those that have asked since a clock was seen: the next one
  // that is told gives them their times.
  LookupList timed_, fresh_;
  std::unordered_map<std::uint64_t, Place> places_;
  // Each contact is in one of them: in the order of quiet_since, or in none.
  std::list<Contact*> watched_, unwatched_;
  Queue to_connect_, to_say_, to_give_up_;
  LookupList unposted_;  // ended
  Nanoseconds now_ = 0;  // the latest that we were told
  std::uint64_t begun_ = 0, ended_ = 0;
  std::size_t command_bytes_ = 0;
  Thread driver_ = nullptr;  // who asks due(), and need not be rung
  bool stopping_ = false;
};

Lookups::State::State(const dht::Overlay& overlay, protocol::Postbox& bell,
                      std::chrono::milliseconds hop_time, std::size_t value_max)
    : overlay_(overlay),
      bell_(bell),
      hop_time_(std::to_string(hop_time.count()) + " ms"),
      hop_ns_(std::chrono::nanoseconds(hop_time).count()),
      book_(make_book(overlay, value_max + words_max)),
      to_connect_(book_.size()),
      to_say_(book_.size()),
      to_give_up_(book_.size()) {
  for (const auto& contact : book_) {
    unwatched_.push_back(contact.get());
    contact->watching = std::prev(unwatched_.end());
  }
}

// What could not be posted is brought by due(), a little later.
void Lookups::State::bring(Mail& mail) {
  mail.deliver(bell_);
  if (mail.letters.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    unposted_.splice(unposted_.end(), mail.letters);
  }
  bell_.ring();
}

// --- a lookup's way, with the mutex -----------------------------------------

// The list holds one. If there is no memory, nothing has changed.
void Lookups::State::begin(LookupList list, Mail& mail) {
  const Place lookup = list.begin();
  if (const char* words = refusal(*lookup)) {
    write_error(*lookup, {words});
    ++ended_;
    return mail.letters.splice(mail.letters.end(), list);
  }
  lookup->number = begun_ + 1;
  lookup->path.push_back({find(overlay_.self().id), "start"});
  places_.emplace(lookup->number, lookup);
  ++begun_;
  command_bytes_ += lookup->command_bytes;
  fresh_.splice(fresh_.end(), list);
  attempt(lookup, mail, [&] { set_out(lookup, mail); });
}

const char* Lookups::State::refusal(const Lookup& lookup) const {
  if (stopping_) return stopped;
  if (!lookup.command.empty() && overlay_.owns(lookup.key))
    return "ERR lookup: the key is this node's own";
  if (command_bytes_ != 0 &&
      command_bytes_ + lookup.command_bytes > commands_max)
    return "ERR lookup: too many bytes wait for other nodes";
  return nullptr;
}

void Lookups::State::set_out(Place lookup, Mail& mail) {
  const dht::Hop hop = overlay_.next_hop(lookup->key, 0);
  if (hop.kind == dht::Hop::Kind::here)
    return arrive(lookup, *find(overlay_.self().id), mail);
  Contact& next = *find(hop.next->id);
  lookup->path.push_back({&next, hop.rule});
  ask(lookup, next, false, mail);
  mail.ring = true;  // for its deadline, whether or not it was the first
}

// closed() is told no time, and the latest that we know may be as old as the
// last sleep was long: the question gets its time from the next clock. (In
// hand_over() that comes before anything is said.)
void Lookups::State::ask(Place lookup, Contact& contact, bool command,
                         Mail& mail) {
  contact.unsaid.push_back({.lookup = lookup->number, .command = command});
  call(contact, mail);
  fresh_.splice(fresh_.end(), list_of(*lookup), lookup);
  lookup->deadline = protocol::never;
}

// The answer to DHT.NEXT. It comes from another program: nothing in it is
// believed that we cannot check.
void Lookups::State::follow(Place lookup, Contact& contact, const Value& reply,
                            Mail& mail) {
  const auto refuse = [&](std::string_view code, std::string_view words,
                          std::string_view more = "",
                          std::string_view end = "") {
    fail(lookup, {code, " lookup: ", contact.address, words, more, end}, mail);
  };
  if (reply.type == Value::Type::error)
    return refuse("ERR", ": ", reply.text.substr(0, error_max));
  const auto answer = read_answer(reply);
  if (!answer) return refuse("ERR", ": malformed answer");
  Contact* next = find(answer->id);
  if (!next || next->address != answer->address)
    return refuse("ERR", " named a node that is no member");
  lookup->path.back().answered = now_ - lookup->began;
  if (answer->here && next != &contact)
    return refuse("ERR", " answered as ", next->address);
  if (answer->here) return arrive(lookup, contact, mail);
  if (!overlay_.nearer(next->id, contact.id, lookup->key))
    return refuse("CLUSTERDOWN", " named ", next->address,
                  ", which is not nearer to the key");
  lookup->path.push_back({next, std::string(answer->rule)});
  ask(lookup, *next, false, mail);
}

void Lookups::State::arrive(Place lookup, Contact& owner, Mail& mail) {
  if (!lookup->command.empty()) return ask(lookup, owner, true, mail);
  write_hops(take(lookup, mail));
}

void Lookups::State::fail(Place lookup, Words words, Mail& mail) {
  write_error(take(lookup, mail), words);
}

// If it still runs: its time may be over, or it is stopped.
void Lookups::State::fail(const Question& question, Words words, Mail& mail) {
  const auto place = places_.find(question.lookup);
  if (place != places_.end()) fail(place->second, words, mail);
}

// It has ended, with "out of memory" if nobody writes another answer.
Lookup& Lookups::State::take(Place lookup, Mail& mail) {
  places_.erase(lookup->number);
  command_bytes_ -= lookup->command_bytes;
  ++ended_;
  mail.letters.splice(mail.letters.end(), list_of(*lookup), lookup);
  return *lookup;
}

LookupList& Lookups::State::list_of(const Lookup& lookup) {
  return lookup.deadline == protocol::never ? fresh_ : timed_;
}

// --- the clock, with the mutex ----------------------------------------------

// Threads read the clock before they come here, so one may bring a time that
// another has left behind: ours never goes back, which keeps timed_ and
// watched_ in order.
void Lookups::State::advance(Nanoseconds now) {
  now_ = std::max(now_, now);
  for (Lookup& lookup : fresh_) {
    lookup.began = std::min(lookup.began, now_);
    lookup.deadline = now_ + hop_ns_;
  }
  timed_.splice(timed_.end(), fresh_);
  for (auto contact = watched_.rbegin();
       contact != watched_.rend() && (*contact)->quiet_since == protocol::never;
       ++contact)
    (*contact)->quiet_since = now_;
}

void Lookups::State::expire(Nanoseconds then, Mail& mail) {
  while (!timed_.empty() && timed_.front().deadline <= then) {
    Contact& silent = *timed_.front().path.back().node;
    fail(timed_.begin(),
         {"ERR lookup: ", silent.address, " did not answer within ", hop_time_},
         mail);
    forget_ended(silent);
  }
}

// After advance(): all have their times.
Nanoseconds Lookups::State::first_late() const {
  Nanoseconds first = protocol::never;
  if (!timed_.empty()) first = timed_.front().deadline;
  if (!watched_.empty())
    first = std::min(first, watched_.front()->quiet_since + hop_ns_);
  return first;
}

Nanoseconds Lookups::State::next_due() const {
  const bool timeless =
      !fresh_.empty() ||
      (!watched_.empty() && watched_.back()->quiet_since == protocol::never);
  if (timeless || !to_connect_.empty() || !to_say_.empty() ||
      !to_give_up_.empty())
    return now_;
  return unposted_.empty() ? first_late()
                           : std::min(first_late(), now_ + retry_ns);
}

// --- connections, with the mutex --------------------------------------------

Contact* Lookups::State::find(const dht::Id& id) {
  const auto found = std::ranges::lower_bound(
      book_, id, {}, [](const auto& contact) { return contact->id; });
  return found != book_.end() && (*found)->id == id ? found->get() : nullptr;
}

// Makes sure that somebody looks at what is unsaid. Who asks due() and next()
// does so before sleeping, and next_due() says not to sleep; anybody else has
// to ring. (After a connection that is given up, closed() calls.)
void Lookups::State::call(Contact& contact, Mail& mail) {
  if (contact.announced || contact.given_up) return;
  if (contact.link == Contact::Link::up) {
    contact.announced = true;
    to_say_.push(contact);
  } else if (contact.link == Contact::Link::down) {
    contact.link = Contact::Link::called;
    to_connect_.push(contact);
  } else {
    return;
  }
  if (this_thread() != driver_) mail.ring = true;
}

Contact* Lookups::State::next_to_connect() {
  while (!to_connect_.empty()) {
    Contact& contact = *to_connect_.pop();
    forget_ended(contact);
    const bool wanted = !contact.unsaid.empty();
    contact.link = wanted ? Contact::Link::calling : Contact::Link::down;
    if (!wanted) continue;
    watch(contact, protocol::never);  // the clock comes with due()
    return &contact;
  }
  return nullptr;
}

Contact* Lookups::State::next_to_say() {
  while (!to_say_.empty()) {
    Contact& contact = *to_say_.pop();
    forget_ended(contact);
    if (!contact.unsaid.empty()) return &contact;
    contact.announced = false;
  }
  return nullptr;
}

void Lookups::State::watch(Contact& contact, Nanoseconds since) {
  if (since != protocol::never) advance(now_);  // who has none stands last
  contact.watched = true;
  contact.quiet_since = since;
  watched_.splice(watched_.end(), unwatched_, contact.watching);
}

void Lookups::State::unwatch(Contact& contact) {
  if (!std::exchange(contact.watched, false)) return;
  unwatched_.splice(unwatched_.end(), watched_, contact.watching);
}

// Whoever was silent for so long has perhaps gone without a word, and another
// stands at its address by now: that one is reached over a new connection. TCP
// alone would take a quarter of an hour to find out (tcp(7), tcp_retries2).
void Lookups::State::give_up_silent(Nanoseconds then) {
  while (!watched_.empty() && watched_.front()->quiet_since <= then - hop_ns_) {
    Contact& silent = *watched_.front();
    unwatch(silent);
    silent.given_up = true;
    to_give_up_.push(silent);
  }
}

// Questions stand in the order of their deadlines, so those given up are first.
void Lookups::State::forget_ended(Contact& contact) {
  Questions& unsaid = contact.unsaid;
  while (!unsaid.empty() && !places_.contains(unsaid.front().lookup))
    unsaid.pop_front();
}

// The connection is gone, or never came. What was not said yet is said over the
// next one, and so are questions that it may have been too dead to hear. It
// ends: what is said first over a new connection is never in doubt, and what is
// given up with one that is silent has its own time, which goes on.
void Lookups::State::lose(Contact& contact, std::string_view why, Mail& mail) {
  const bool refused = contact.link != Contact::Link::up && !contact.given_up;
  const bool unheard = contact.doubtful || contact.given_up;
  Questions lost, again;
  lost.swap(refused ? contact.unsaid : contact.asked);
  while (!lost.empty()) {
    const Question& question = lost.front();
    if (unheard && !question.command) {
      again.splice(again.end(), lost, lost.begin());
      continue;
    }
    fail(question, {"ERR lookup: ", contact.address, ": ", why}, mail);
    lost.pop_front();
  }
  contact.unsaid.splice(contact.unsaid.begin(), again);
  unwatch(contact);
  to_say_.remove(contact);
  to_give_up_.remove(contact);
  contact.link = Contact::Link::down;
  contact.given_up = contact.announced = false;
  contact.stood = contact.doubtful = false;
  forget_ended(contact);
  if (!contact.unsaid.empty()) call(contact, mail);
}

// --- by the contact's holder, without the mutex -----------------------------

void Lookups::State::speak(Contact& contact, Nanoseconds now, Mail& mail) {
  while (std::optional<Saying> saying = next_saying(contact, now)) {
    try {
      append(*saying, contact.session);
    } catch (const std::bad_alloc&) {
      contact.asked.pop_back();
      const std::lock_guard lock(mutex_);
      fail(saying->question, {"ERR lookup: out of memory"}, mail);
    }
  }
  contact.stood = true;
}

// What is beyond the limits stays unsaid: then replies are owed, and speak()
// is called again when they have come. So does what would be said to a peer
// that has ended: it will be said over another connection.
std::optional<Saying> Lookups::State::next_saying(Contact& contact,
                                                  Nanoseconds now) {
  const std::lock_guard lock(mutex_);
  advance(now);
  forget_ended(contact);
  const protocol::ClientSession& session = contact.session;
  Questions& asked = contact.asked;
  if (contact.unsaid.empty() || asked.size() >= asked_max ||
      session.unsent() >= unsent_max || session.finished() ||
      contact.given_up) {
    contact.announced = false;
    to_say_.remove(contact);  // what due() was to tell has been seen to
    if (!asked.empty() && !contact.watched && !contact.given_up)
      watch(contact, now_);
    return std::nullopt;
  }
  asked.splice(asked.end(), contact.unsaid, contact.unsaid.begin());
  Question& question = asked.back();
  question.asking = question.command;
  Lookup& lookup = *places_.at(question.lookup);
  Saying saying{question, lookup.key, {}};
  if (question.command) saying.command = std::move(lookup.command);
  return saying;
}

void Lookups::State::hear(Contact& contact, Mail& mail) {
  while (const Value* reply = contact.session.reply()) {
    contact.doubtful = false;
    Question& first = contact.asked.front();
    if (std::exchange(first.asking, false)) continue;
    const Question question = first;
    contact.asked.pop_front();
    hear(question, contact, *reply, mail);
  }
}

void Lookups::State::hear(const Question& question, Contact& contact,
                          const Value& reply, Mail& mail) {
  std::unique_lock lock(mutex_);
  const auto found = places_.find(question.lookup);
  if (found == places_.end()) return;  // given up: the reply comes too late
  const Place lookup = found->second;
  if (!question.command)
    return attempt(lookup, mail, [&] { follow(lookup, contact, reply, mail); });
  Lookup& done = take(lookup, mail);
  lock.unlock();
  write_value(done, reply);
}

// --- the members ------------------------------------------------------------

Lookups::Lookups(const dht::Overlay& overlay, protocol::Postbox& bell,
                 std::chrono::milliseconds hop_time, std::size_t value_max)
    : state_(std::make_unique<State>(overlay, bell, hop_time, value_max)) {}

Lookups::~Lookups() = default;

void Lookups::lookup(const dht::Id& key, protocol::ReturnAddress to,
                     int version) {
  LookupList lookup;
  lookup.push_back({.key = key, .to = to, .version = version});
  state_->enter([&](Mail& mail) { state_->begin(std::move(lookup), mail); });
}

void Lookups::proxy(const dht::Id& key,
                    std::span<const std::string_view> command,
                    protocol::ReturnAddress to, int version) {
  LookupList lookup;
  lookup.push_back({.key = key, .to = to, .version = version});
  for (std::string_view argument : command) {
    lookup.front().command.emplace_back(argument);
    lookup.front().command_bytes += argument.size();
  }
  state_->enter([&](Mail& mail) { state_->begin(std::move(lookup), mail); });
}

void Lookups::stop() {
  state_->enter([this](Mail& mail) {
    state_->stopping_ = true;
    for (LookupList* list : {&state_->timed_, &state_->fresh_})
      while (!list->empty()) state_->fail(list->begin(), {stopped}, mail);
    mail.ring = true;
  });
}

std::uint64_t Lookups::running() const {
  const std::lock_guard lock(state_->mutex_);
  return state_->places_.size();
}

std::uint64_t Lookups::ended() const {
  const std::lock_guard lock(state_->mutex_);
  return state_->ended_;
}

protocol::Peer* Lookups::next() {
  const std::lock_guard lock(state_->mutex_);
  return state_->next_to_connect();
}

protocol::Peer* Lookups::due(Nanoseconds now) {
  Contact* contact = nullptr;
  state_->enter([&](Mail& mail) {
    state_->driver_ = this_thread();
    state_->advance(now);
    mail.letters.swap(state_->unposted_);
    contact = state_->next_to_say();
  });
  return contact;
}

Nanoseconds Lookups::next_due() {
  const std::lock_guard lock(state_->mutex_);
  return state_->next_due();
}

protocol::Peer* Lookups::given_up() {
  const std::lock_guard lock(state_->mutex_);
  return state_->to_give_up_.empty() ? nullptr : state_->to_give_up_.pop();
}

// Not a clock for those who have seen none: `then` is when a wait began that
// may have lasted for hours, and who came at its end would be late at once.
void Lookups::looked(Nanoseconds then) {
  state_->enter([&](Mail& mail) {
    state_->expire(then, mail);
    state_->give_up_silent(then);
  });
}

bool Lookups::overdue(Nanoseconds now) {
  const std::lock_guard lock(state_->mutex_);
  state_->advance(now);
  return state_->first_late() <= now;
}

bool Lookups::over() {
  const std::lock_guard lock(state_->mutex_);
  return state_->stopping_;
}

void Lookups::connected(protocol::Peer& peer) {
  Contact& contact = static_cast<Contact&>(peer);
  const std::lock_guard lock(state_->mutex_);
  contact.link = Contact::Link::up;
  contact.announced = true;  // say() follows
  state_->unwatch(contact);
}

void Lookups::say(protocol::Peer& peer, Nanoseconds now) {
  Contact& contact = static_cast<Contact&>(peer);
  Mail mail;
  if (contact.asked.empty()) contact.doubtful = contact.stood;
  state_->speak(contact, now, mail);
  state_->bring(mail);
}

void Lookups::hand_over(protocol::Peer& peer, Nanoseconds now) {
  Contact& contact = static_cast<Contact&>(peer);
  state_->enter([&](Mail&) {
    state_->advance(now);
    state_->unwatch(contact);
    contact.announced = true;  // what is to be said to it is said below
  });
  Mail mail;
  state_->hear(contact, mail);
  state_->speak(contact, now, mail);
  state_->bring(mail);
}

// Whole replies that came before the end still count.
void Lookups::closed(protocol::Peer& peer, std::string_view why) {
  Contact& contact = static_cast<Contact&>(peer);
  if (why.empty()) why = "the connection was closed";
  Mail mail;
  state_->hear(contact, mail);
  contact.session.reset();
  {
    const std::lock_guard lock(state_->mutex_);
    state_->lose(contact, why, mail);
  }
  state_->bring(mail);
}

}  // namespace node
