#include "node/lookups.hpp"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <list>
#include <mutex>
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

/// Threads are told apart by where each keeps its own mark.
using Thread = const char*;
Thread this_thread() {
  thread_local const char mark = 0;
  return &mark;
}

constexpr char stopped[] = "ERR lookup: this node is shutting down";

/// What a node is asked: the next step of a lookup, or its client's command.
/// Known by number, since the lookup may be over before the answer comes.
struct Question {
  std::uint64_t lookup = 0;
  bool command = false;
  bool asking = false;  // the reply to ASKING, before a command's, is owed
};

/// A member of the ring, and our one connection to it.
struct Contact : protocol::Peer {
  enum class Link { down, called, up };

  Contact(const dht::Member& member, std::size_t reply_max)
      : Peer{member.address, protocol::ClientSession(reply_max), 0},
        id(member.id) {}

  const dht::Id id;

  // Guarded by the mutex.
  Link link = Link::down;
  bool announced = false;  // its holder will look at `unsaid` anyhow
  std::deque<Question> unsaid;

  // Its holder's, as the session is.
  std::deque<Question> asked;  // in the order of the replies
  bool stood = false;          // something was said before, or could have been
  bool doubtful = false;       // said into a connection that had stood idle
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
};

/// What is to be brought once the mutex is free: whoever is rung may hold a
/// lock of its own while it asks us.
struct Mail {
  std::vector<std::pair<protocol::ReturnAddress, std::string>> letters;
  bool ring = false;

  void deliver(protocol::Postbox& bell) {
    for (auto& [to, answer] : letters)
      to.postbox->post({to.conversation, std::move(answer)});
    if (ring) bell.ring();
  }
};

std::string error_letter(std::string_view words, int version) {
  protocol::StringSink sink;
  protocol::Writer(sink, version).error(words);
  return std::move(sink.text);
}

std::string hops_letter(const Lookup& lookup) {
  protocol::StringSink sink;
  protocol::Writer writer(sink, lookup.version);
  writer.array(lookup.path.size());
  for (const Step& step : lookup.path) {
    writer.array(4);
    writer.bulk(dht::to_hex(step.node->id));
    writer.bulk(step.node->address);
    writer.bulk(step.rule);
    writer.integer(step.answered / 1000);
  }
  return std::move(sink.text);
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

void append(const Saying& saying, protocol::ClientSession& session) {
  if (!saying.question.command)
    return session.request({"DHT.NEXT", "ID", dht::to_hex(saying.key)});
  const std::vector<std::string_view> command(saying.command.begin(),
                                              saying.command.end());
  session.request({"ASKING"});
  session.request(command);
}

}  // namespace

/// One mutex for all but what belongs to the holders of the peers. It is held
/// for steps only: letters are posted, commands and the answers to them copied
/// without it.
struct Lookups::State {
  using Place = std::list<Lookup>::iterator;

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
    mail.deliver(bell_);
  }

  // A lookup's way, with the mutex.
  void begin(Lookup lookup, Mail& mail);
  const char* refusal(const Lookup& lookup) const;
  void ask(Place lookup, Contact& contact, bool command, Mail& mail);
  void follow(Place lookup, Contact& contact, const Value& reply, Mail& mail);
  void arrive(Place lookup, Contact& owner, Mail& mail);
  void fail(Place lookup, std::string_view words, Mail& mail);
  Lookup take(Place lookup);

  // The clock, with the mutex.
  void advance(Nanoseconds now);
  void expire(Mail& mail);
  Nanoseconds next_due() const;

  // Connections, with the mutex.
  Contact* find(const dht::Id& id);
  void call(Contact& contact, Mail& mail);
  Contact* next_to_connect();
  Contact* next_to_say();
  void forget_ended(Contact& contact);
  void lose(Contact& contact, std::string_view why, Mail& mail);

  // By the contact's holder, without the mutex.
  void speak(Contact& contact);
  std::optional<Saying> next_saying(Contact& contact);
  void hear(Contact& contact, Mail& mail);
  void hear(const Question& question, Contact& contact, const Value& reply,
            Mail& mail);

  const dht::Overlay& overlay_;
  protocol::Postbox& bell_;
  const std::chrono::milliseconds hop_time_;
  const Nanoseconds hop_ns_;
  std::vector<std::unique_ptr<Contact>> book_;  // by identifier; fixed

  std::mutex mutex_;
  // By deadline: the first is the next to be late. Those that no clock has
  // been seen for stand last.
  std::list<Lookup> running_;
  std::unordered_map<std::uint64_t, Place> places_;
  std::deque<Contact*> to_connect_;
  std::deque<Contact*> to_say_;
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
      hop_time_(hop_time),
      hop_ns_(std::chrono::nanoseconds(hop_time).count()) {
  const std::size_t reply_max = value_max + words_max;
  book_.push_back(std::make_unique<Contact>(overlay.self(), reply_max));
  for (const dht::Range& range : overlay.ranges())
    if (!find(range.owner->id)) {
      const auto place = std::ranges::lower_bound(
          book_, range.owner->id, {}, [](const auto& c) { return c->id; });
      book_.insert(place, std::make_unique<Contact>(*range.owner, reply_max));
    }
}

// --- a lookup's way, with the mutex -----------------------------------------

void Lookups::State::begin(Lookup lookup, Mail& mail) {
  if (const char* words = refusal(lookup)) {
    ++ended_;
    mail.letters.emplace_back(lookup.to, error_letter(words, lookup.version));
    return;
  }
  const dht::Hop hop = overlay_.next_hop(lookup.key, 0);
  Contact& self = *find(overlay_.self().id);
  lookup.number = ++begun_;
  lookup.path.push_back({&self, "start"});
  command_bytes_ += lookup.command_bytes;
  running_.push_back(std::move(lookup));
  const Place place = std::prev(running_.end());
  places_.emplace(place->number, place);
  if (hop.kind == dht::Hop::Kind::forward) {
    place->path.push_back({find(hop.next->id), hop.rule});
    ask(place, *find(hop.next->id), false, mail);
    mail.ring = true;  // for its deadline, whether or not it was the first
  } else {
    arrive(place, self, mail);
  }
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

void Lookups::State::ask(Place lookup, Contact& contact, bool command,
                         Mail& mail) {
  contact.unsaid.push_back({.lookup = lookup->number, .command = command});
  call(contact, mail);
  if (lookup->began == protocol::never) return;
  advance(now_);  // nobody without a deadline stands before one who has one
  lookup->deadline = now_ + hop_ns_;
  running_.splice(running_.end(), running_, lookup);
}

// The answer to DHT.NEXT. It comes from another program: nothing in it is
// believed that we cannot check.
void Lookups::State::follow(Place lookup, Contact& contact, const Value& reply,
                            Mail& mail) {
  const auto refuse = [&](std::string_view code, std::string_view words) {
    std::string text(code);
    text.append(" lookup: ").append(contact.address).append(words);
    fail(lookup, text, mail);
  };
  if (reply.type == Value::Type::error)
    return refuse("ERR", ": " + std::string(reply.text.substr(0, error_max)));
  const auto answer = read_answer(reply);
  if (!answer) return refuse("ERR", ": malformed answer");
  Contact* next = find(answer->id);
  if (!next || next->address != answer->address)
    return refuse("ERR", " named a node that is no member");
  lookup->path.back().answered = now_ - lookup->began;
  if (answer->here && next != &contact)
    return refuse("ERR", " answered as " + next->address);
  if (answer->here) return arrive(lookup, contact, mail);
  if (!overlay_.nearer(next->id, contact.id, lookup->key))
    return refuse("CLUSTERDOWN", " named " + next->address +
                                     ", which is not nearer to the key");
  lookup->path.push_back({next, std::string(answer->rule)});
  ask(lookup, *next, false, mail);
}

void Lookups::State::arrive(Place lookup, Contact& owner, Mail& mail) {
  if (!lookup->command.empty()) return ask(lookup, owner, true, mail);
  const Lookup done = take(lookup);
  mail.letters.emplace_back(done.to, hops_letter(done));
}

void Lookups::State::fail(Place lookup, std::string_view words, Mail& mail) {
  const Lookup done = take(lookup);
  mail.letters.emplace_back(done.to, error_letter(words, done.version));
}

Lookup Lookups::State::take(Place lookup) {
  Lookup taken = std::move(*lookup);
  places_.erase(taken.number);
  running_.erase(lookup);
  command_bytes_ -= taken.command_bytes;
  ++ended_;
  return taken;
}

// --- the clock, with the mutex ----------------------------------------------

// Threads read the clock before they come here, so one may bring a time that
// another has left behind: ours never goes back, which keeps running_ in order.
void Lookups::State::advance(Nanoseconds now) {
  now_ = std::max(now_, now);
  for (auto lookup = running_.rbegin();
       lookup != running_.rend() && lookup->began == protocol::never;
       ++lookup) {
    lookup->began = now_;
    lookup->deadline = now_ + hop_ns_;
  }
}

void Lookups::State::expire(Mail& mail) {
  while (!running_.empty() && running_.front().deadline <= now_) {
    Contact& silent = *running_.front().path.back().node;
    fail(running_.begin(),
         "ERR lookup: " + silent.address + " did not answer within " +
             std::to_string(hop_time_.count()) + " ms",
         mail);
    forget_ended(silent);
  }
}

Nanoseconds Lookups::State::next_due() const {
  if (running_.empty()) return protocol::never;
  const bool at_once = running_.back().began == protocol::never ||
                       !to_connect_.empty() || !to_say_.empty();
  return at_once ? now_ : running_.front().deadline;
}

// --- connections, with the mutex --------------------------------------------

Contact* Lookups::State::find(const dht::Id& id) {
  const auto found = std::ranges::lower_bound(
      book_, id, {}, [](const auto& contact) { return contact->id; });
  return found != book_.end() && (*found)->id == id ? found->get() : nullptr;
}

// Makes sure that somebody looks at what is unsaid. Who asks due() and next()
// does so before sleeping, and next_due() says not to sleep; anybody else has
// to ring.
void Lookups::State::call(Contact& contact, Mail& mail) {
  if (contact.announced || contact.link == Contact::Link::called) return;
  if (contact.link == Contact::Link::up) {
    contact.announced = true;
    to_say_.push_back(&contact);
  } else {
    contact.link = Contact::Link::called;
    to_connect_.push_back(&contact);
  }
  if (this_thread() != driver_) mail.ring = true;
}

Contact* Lookups::State::next_to_connect() {
  while (!to_connect_.empty()) {
    Contact* contact = to_connect_.front();
    to_connect_.pop_front();
    forget_ended(*contact);
    if (!contact->unsaid.empty()) return contact;
    contact->link = Contact::Link::down;
  }
  return nullptr;
}

Contact* Lookups::State::next_to_say() {
  while (!to_say_.empty()) {
    Contact* contact = to_say_.front();
    to_say_.pop_front();
    forget_ended(*contact);
    if (!contact->unsaid.empty()) return contact;
    contact->announced = false;
  }
  return nullptr;
}

// Questions stand in the order of their deadlines, so those given up are first.
void Lookups::State::forget_ended(Contact& contact) {
  std::deque<Question>& unsaid = contact.unsaid;
  while (!unsaid.empty() && !places_.contains(unsaid.front().lookup))
    unsaid.pop_front();
}

// The connection is gone, or never came. What was not said yet is said over the
// next one, and so are questions that it may have been too dead to hear. It
// ends: what is said first over a new connection is never in doubt.
void Lookups::State::lose(Contact& contact, std::string_view why, Mail& mail) {
  std::deque<Question> lost = std::exchange(contact.asked, {});
  std::deque<Question> again;
  if (contact.link != Contact::Link::up) lost.swap(contact.unsaid);
  for (const Question& question : lost) {
    const auto place = places_.find(question.lookup);
    if (place == places_.end()) continue;
    if (contact.doubtful && !question.command) {
      again.push_back(question);
    } else {
      fail(place->second,
           "ERR lookup: " + contact.address + ": " + std::string(why), mail);
    }
  }
  contact.unsaid.insert(contact.unsaid.begin(), again.begin(), again.end());
  std::erase(to_say_, &contact);
  contact.link = Contact::Link::down;
  contact.announced = contact.stood = contact.doubtful = false;
  forget_ended(contact);
  if (!contact.unsaid.empty()) call(contact, mail);
}

// --- by the contact's holder, without the mutex -----------------------------

void Lookups::State::speak(Contact& contact) {
  while (std::optional<Saying> saying = next_saying(contact)) {
    append(*saying, contact.session);
    saying->question.asking = saying->question.command;
    contact.asked.push_back(saying->question);
  }
  contact.stood = true;
}

// What is beyond the limits stays unsaid: then replies are owed, and speak()
// is called again when they have come. So does what would be said to a peer
// that has ended: it will be said over another connection.
std::optional<Saying> Lookups::State::next_saying(Contact& contact) {
  const std::lock_guard lock(mutex_);
  forget_ended(contact);
  const protocol::ClientSession& session = contact.session;
  if (contact.unsaid.empty() || contact.asked.size() >= asked_max ||
      session.unsent() >= unsent_max || session.finished()) {
    contact.announced = false;
    return std::nullopt;
  }
  const Question question = contact.unsaid.front();
  contact.unsaid.pop_front();
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
  const auto place = places_.find(question.lookup);
  if (place == places_.end()) return;  // given up: the reply comes too late
  if (!question.command) return follow(place->second, contact, reply, mail);
  const Lookup done = take(place->second);
  lock.unlock();
  protocol::StringSink sink;
  protocol::Writer(sink, done.version).value(reply);
  mail.letters.emplace_back(done.to, std::move(sink.text));
}

// --- the members ------------------------------------------------------------

Lookups::Lookups(const dht::Overlay& overlay, protocol::Postbox& bell,
                 std::chrono::milliseconds hop_time, std::size_t value_max)
    : state_(std::make_unique<State>(overlay, bell, hop_time, value_max)) {}

Lookups::~Lookups() = default;

void Lookups::lookup(const dht::Id& key, protocol::ReturnAddress to,
                     int version) {
  Lookup lookup{.key = key, .to = to, .version = version};
  state_->enter([&](Mail& mail) { state_->begin(std::move(lookup), mail); });
}

void Lookups::proxy(const dht::Id& key,
                    std::span<const std::string_view> command,
                    protocol::ReturnAddress to, int version) {
  Lookup lookup{.key = key, .to = to, .version = version};
  for (std::string_view argument : command) {
    lookup.command.emplace_back(argument);
    lookup.command_bytes += argument.size();
  }
  state_->enter([&](Mail& mail) { state_->begin(std::move(lookup), mail); });
}

void Lookups::stop() {
  state_->enter([this](Mail& mail) {
    state_->stopping_ = true;
    while (!state_->running_.empty())
      state_->fail(state_->running_.begin(), stopped, mail);
    mail.ring = true;
  });
}

std::uint64_t Lookups::running() const {
  const std::lock_guard lock(state_->mutex_);
  return state_->running_.size();
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
    state_->expire(mail);
    contact = state_->next_to_say();
  });
  return contact;
}

Nanoseconds Lookups::next_due() {
  const std::lock_guard lock(state_->mutex_);
  return state_->next_due();
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
}

void Lookups::say(protocol::Peer& peer, Nanoseconds now) {
  Contact& contact = static_cast<Contact&>(peer);
  state_->enter([&](Mail&) { state_->advance(now); });
  if (contact.asked.empty()) contact.doubtful = contact.stood;
  state_->speak(contact);
}

void Lookups::hand_over(protocol::Peer& peer, Nanoseconds now) {
  Contact& contact = static_cast<Contact&>(peer);
  state_->enter([&](Mail&) {
    state_->advance(now);
    contact.announced = true;  // what is to be said to it is said below
  });
  Mail mail;
  state_->hear(contact, mail);
  state_->speak(contact);
  mail.deliver(state_->bell_);
}

// Whole replies that came before the end still count.
void Lookups::closed(protocol::Peer& peer, std::string_view why) {
  Contact& contact = static_cast<Contact&>(peer);
  const std::string words(why.empty() ? "the connection was closed" : why);
  Mail mail;
  state_->hear(contact, mail);
  contact.session.reset();
  {
    const std::lock_guard lock(state_->mutex_);
    state_->lose(contact, words, mail);
  }
  mail.deliver(state_->bell_);
}

}  // namespace node
