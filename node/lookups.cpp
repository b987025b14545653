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

#include "node/contacts.hpp"
#include "protocol/value.hpp"
#include "protocol/writer.hpp"

namespace node {
namespace {

using protocol::Nanoseconds;
using protocol::Value;

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

constexpr char stopped[] = "ERR lookup: this node is shutting down";
constexpr char no_memory[] = "-ERR lookup: out of memory\r\n";

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

/// What is to be brought once the mutex is free: whoever is woken may hold a
/// lock of its own while it asks us.
struct Mail {
  LookupList letters;
  bool wake = false;

  /// Leaves in `letters` whose could not be posted, for want of memory. (Of an
  /// answer that was lost on the way the error remains.)
  void deliver(protocol::Postbox& mailbox) {
    LookupList kept;
    while (!letters.empty()) {
      const auto first = letters.begin();
      const auto [postbox, conversation] = first->to;
      try {
        std::string answer = std::exchange(first->answer, {});
        if (answer.empty()) answer = no_memory;
        postbox->post({conversation, std::move(answer)});
        letters.erase(first);
      } catch (const std::bad_alloc&) {  // GCOVR_EXCL_BR_LINE: no other
        kept.splice(kept.end(), letters, first);
      }
    }
    letters.swap(kept);
    if (wake) mailbox.wake();
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
  } catch (const std::bad_alloc&) {  // GCOVR_EXCL_BR_LINE: no other
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

}  // namespace

/// Lookups and commands on their way from node to node, above the connections
/// (node/contacts.hpp).
///
/// One mutex for all but what belongs to the holders of the peers. It is held
/// for steps only: letters are posted, commands and the answers to them copied
/// without it.
///
/// For want of memory a question is lost, with an error, and nothing else: what
/// may ask for memory comes before the first change, or is tried (attempt), and
/// what must not fail moves between lists.
///
/// A step comes first, then the loop is woken. A loop begins a lookup while the
/// client's thread falls asleep:
///
///     a loop                           the client's thread
///
///                                      next_due() says never
///     lookup()
///       step: fresh_ gets one
///                                      sleeps, with no end in sight
///       mailbox.wake() --------------> wakes, and silences the bell
///                                      next(): connects to the first node
///                                      due(now): the lookup gets its deadline
///                                      next_due() says when that is over
///                                      sleeps until then at most
///
/// Where it falls asleep does not matter: a bell that was rung before stays so
/// and lets nobody sleep. In the other order it would sleep for good, with a
/// lookup that nobody asks for and that is never late:
///
///                                      sleeps
///       mailbox.wake() --------------> wakes, and silences the bell
///                                      next() and due() find nothing
///                                      next_due() says never
///       step: fresh_ gets one
///                                      sleeps
struct Lookups::State {
  using Position = LookupList::iterator;

  State(const dht::Overlay& overlay, protocol::Postbox& mailbox,
        std::chrono::milliseconds hop_time, std::size_t value_max)
      : overlay_(overlay),
        mailbox_(mailbox),
        hop_time_(std::to_string(hop_time.count()) + " ms"),
        hop_ns_(std::chrono::nanoseconds(hop_time).count()),
        contacts_(overlay, value_max + words_max, hop_ns_,
                  [this](auto asker) { return positions_.contains(asker); }) {}

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

  // What could not be posted is brought by due(), a little later.
  void bring(Mail& mail) {
    mail.deliver(mailbox_);
    if (mail.letters.empty()) return;
    {
      const std::lock_guard lock(mutex_);
      unposted_.splice(unposted_.end(), mail.letters);
    }
    mailbox_.wake();
  }

  /// A step of this lookup; without memory for it the lookup ends.
  template <class Work>
  void attempt(Position lookup, Mail& mail, Work step) {
    try {
      step();
    } catch (const std::bad_alloc&) {  // GCOVR_EXCL_BR_LINE: no other
      take(lookup, mail);              // GCOVR_EXCL_BR_LINE: no throw
    }
  }

  // --- a lookup's way, with the mutex ----------------------------------------

  // The list holds one. If there is no memory, nothing has changed.
  void begin(LookupList list, Mail& mail) {
    const Position lookup = list.begin();
    if (const char* words = refusal(*lookup)) {
      write_error(*lookup, {words});
      ++ended_;
      return mail.letters.splice(mail.letters.end(), list);
    }
    lookup->number = begun_ + 1;
    lookup->path.push_back({contacts_.find(overlay_.self().id), "start"});
    positions_.emplace(lookup->number, lookup);
    ++begun_;
    command_bytes_ += lookup->command_bytes;
    fresh_.splice(fresh_.end(), list);
    attempt(lookup, mail, [&] { set_out(lookup, mail); });
  }

  const char* refusal(const Lookup& lookup) const {
    if (stopping_) return stopped;
    if (!lookup.command.empty() && overlay_.owns(lookup.key))
      return "ERR lookup: the key is this node's own";
    if (command_bytes_ != 0 &&
        command_bytes_ + lookup.command_bytes > commands_max)
      return "ERR lookup: too many bytes wait for other nodes";
    return nullptr;
  }

  void set_out(Position lookup, Mail& mail) {
    const dht::Hop hop = overlay_.next_hop(lookup->key, 0);
    if (hop.kind == dht::Hop::Kind::here)
      return arrive(lookup, *contacts_.find(overlay_.self().id), mail);
    Contact& next = *contacts_.find(hop.next->id);
    lookup->path.push_back({&next, hop.rule});
    ask(lookup, next, false, mail);
    mail.wake = true;  // for its deadline, whether or not it was the first
  }

  // closed() is told no time, and the latest that we know may be as old as the
  // last sleep was long: the question gets its time from the next clock. (In
  // hand_over() that comes before anything is said.)
  void ask(Position lookup, Contact& contact, bool command, Mail& mail) {
    contacts_.ask(contact, {.asker = lookup->number, .command = command},
                  mail.wake);
    fresh_.splice(fresh_.end(), list_of(*lookup), lookup);
    lookup->deadline = protocol::never;
  }

  // The answer to DHT.NEXT. It comes from another program: nothing in it is
  // believed that we cannot check.
  void follow(Position lookup, Contact& contact, const Value& reply,
              Mail& mail) {
    const auto refuse = [&](std::string_view code, std::string_view words,
                            std::string_view more = "",
                            std::string_view end = "") {
      fail(lookup, {code, " lookup: ", contact.address, words, more, end},
           mail);
    };
    if (reply.type == Value::Type::error)
      return refuse("ERR", ": ", reply.text.substr(0, error_max));
    const auto answer = read_answer(reply);
    if (!answer) return refuse("ERR", ": malformed answer");
    Contact* next = contacts_.find(answer->id);
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

  void arrive(Position lookup, Contact& owner, Mail& mail) {
    if (!lookup->command.empty()) return ask(lookup, owner, true, mail);
    write_hops(take(lookup, mail));
  }

  void fail(Position lookup, Words words, Mail& mail) {
    write_error(take(lookup, mail), words);
  }

  // If it still runs: its time may be over, or it is stopped.
  void fail(const Question& question, Words words, Mail& mail) {
    const auto found = positions_.find(question.asker);
    if (found != positions_.end()) fail(found->second, words, mail);
  }

  // It has ended, with "out of memory" if nobody writes another answer.
  Lookup& take(Position lookup, Mail& mail) {
    positions_.erase(lookup->number);
    command_bytes_ -= lookup->command_bytes;
    ++ended_;
    mail.letters.splice(mail.letters.end(), list_of(*lookup), lookup);
    return *lookup;
  }

  LookupList& list_of(const Lookup& lookup) {
    return lookup.deadline == protocol::never ? fresh_ : timed_;
  }

  // --- the clock, with the mutex ---------------------------------------------

  // Threads read the clock before they come here, so one may bring a time that
  // another has left behind: ours never goes back, which keeps timed_ in order,
  // and the contacts that are watched.
  void advance(Nanoseconds now) {
    now_ = std::max(now_, now);
    for (Lookup& lookup : fresh_) {
      lookup.began = std::min(lookup.began, now_);
      lookup.deadline = now_ + hop_ns_;
    }
    timed_.splice(timed_.end(), fresh_);
    contacts_.advance(now_);
  }

  void expire(Nanoseconds then, Mail& mail) {
    while (!timed_.empty() && timed_.front().deadline <= then) {
      Contact& silent = *timed_.front().path.back().node;
      fail(timed_.begin(),
           {"ERR lookup: ", silent.address, " did not answer within ",
            hop_time_},
           mail);
      contacts_.forget_ended(silent);
    }
  }

  // After advance(): all have their times.
  Nanoseconds first_late() const {
    const Nanoseconds first = contacts_.first_silent();
    return timed_.empty() ? first : std::min(first, timed_.front().deadline);
  }

  Nanoseconds next_due() const {
    if (!fresh_.empty() || contacts_.busy()) return now_;
    return unposted_.empty() ? first_late()
                             : std::min(first_late(), now_ + retry_ns);
  }

  // --- by the contact's holder, without the mutex ----------------------------

  void speak(Contact& contact, Nanoseconds now, Mail& mail) {
    while (std::optional<Saying> saying = next_saying(contact, now)) {
      try {
        append(*saying, contact.session);
      } catch (const std::bad_alloc&) {  // GCOVR_EXCL_BR_LINE: no other
        contact.said.pop_back();
        const std::lock_guard lock(mutex_);
        fail(saying->question, {"ERR lookup: out of memory"}, mail);
      }
    }
  }

  std::optional<Saying> next_saying(Contact& contact, Nanoseconds now) {
    const std::lock_guard lock(mutex_);
    advance(now);
    const Question* question = contacts_.next_question(contact, now_);
    if (!question) return std::nullopt;
    Lookup& lookup = *positions_.at(question->asker);
    Saying saying{*question, lookup.key, {}};
    if (question->command) saying.command = std::move(lookup.command);
    return saying;
  }

  void hear(Contact& contact, Mail& mail) {
    Question question;
    while (const Value* reply = contact.hear(question)) {
      std::unique_lock lock(mutex_);
      const auto found = positions_.find(question.asker);
      if (found == positions_.end()) continue;  // given up: it comes too late
      const Position lookup = found->second;
      if (question.command) {
        Lookup& done = take(lookup, mail);
        lock.unlock();
        write_value(done, *reply);
      } else {
        attempt(lookup, mail, [&] { follow(lookup, contact, *reply, mail); });
      }
    }
  }

  void lose(Contact& contact, std::string_view why, Mail& mail) {
    const std::lock_guard lock(mutex_);
    for (const Question& question : contacts_.lose(contact, mail.wake))
      fail(question, {"ERR lookup: ", contact.address, ": ", why}, mail);
  }

  const dht::Overlay& overlay_;
  protocol::Postbox& mailbox_;
  const std::string hop_time_;  // "1000 ms"
  const Nanoseconds hop_ns_;

  std::mutex mutex_;
  Contacts contacts_;
  // Each lookup that runs is in one of them. By deadline: the first is the next
  // to be late. And those that have asked since a clock was seen: the next one
  // that is told gives them their times.
  LookupList timed_, fresh_;
  std::unordered_map<std::uint64_t, Position> positions_;  // by number
  LookupList unposted_;                                    // ended
  Nanoseconds now_ = 0;  // the latest that we were told
  std::uint64_t begun_ = 0, ended_ = 0;
  std::size_t command_bytes_ = 0;
  bool stopping_ = false;
};

// --- the members ------------------------------------------------------------

Lookups::Lookups(const dht::Overlay& overlay, protocol::Postbox& mailbox,
                 std::chrono::milliseconds hop_time, std::size_t value_max)
    : state_(std::make_unique<State>(overlay, mailbox, hop_time, value_max)) {}

Lookups::~Lookups() = default;

void Lookups::lookup(const dht::Id& key, protocol::ReturnAddress to,
                     int version) {
  proxy(key, {}, to, version);
}

void Lookups::proxy(const dht::Id& key,
                    std::span<const std::string_view> command,
                    protocol::ReturnAddress to, int version) {
  LookupList lookup;
  lookup.push_back({.key = key, .to = to, .version = version});
  for (std::string_view argument : command) {
    lookup.front().command.emplace_back(argument);
    // An empty one takes memory, too: a peer may send a million of them.
    lookup.front().command_bytes += sizeof(std::string) + argument.size();
  }
  state_->enter([&](Mail& mail) { state_->begin(std::move(lookup), mail); });
}

void Lookups::stop() {
  state_->enter([this](Mail& mail) {
    state_->stopping_ = true;
    for (LookupList* list : {&state_->timed_, &state_->fresh_})
      while (!list->empty()) state_->fail(list->begin(), {stopped}, mail);
    mail.wake = true;
  });
}

std::uint64_t Lookups::running() const {
  const std::lock_guard lock(state_->mutex_);
  return state_->positions_.size();
}

std::uint64_t Lookups::ended() const {
  const std::lock_guard lock(state_->mutex_);
  return state_->ended_;
}

protocol::Peer* Lookups::next() {
  const std::lock_guard lock(state_->mutex_);
  return state_->contacts_.next_to_connect();
}

protocol::Peer* Lookups::due(Nanoseconds now) {
  Contact* contact = nullptr;
  state_->enter([&](Mail& mail) {
    state_->advance(now);
    mail.letters.swap(state_->unposted_);
    contact = state_->contacts_.next_to_say();
  });
  return contact;
}

Nanoseconds Lookups::next_due() {
  const std::lock_guard lock(state_->mutex_);
  return state_->next_due();
}

protocol::Peer* Lookups::given_up() {
  const std::lock_guard lock(state_->mutex_);
  return state_->contacts_.next_to_give_up();
}

// Not a clock for those who have seen none: `then` is when a wait began that
// may have lasted for hours, and who came at its end would be late at once.
void Lookups::looked(Nanoseconds then) {
  state_->enter([&](Mail& mail) {
    state_->expire(then, mail);
    state_->contacts_.give_up_silent(then);
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
  const std::lock_guard lock(state_->mutex_);
  state_->contacts_.connected(static_cast<Contact&>(peer));
}

void Lookups::say(protocol::Peer& peer, Nanoseconds now) {
  Contact& contact = static_cast<Contact&>(peer);
  Mail mail;
  contact.begin_saying();
  state_->speak(contact, now, mail);
  state_->bring(mail);
}

void Lookups::hand_over(protocol::Peer& peer, Nanoseconds now) {
  Contact& contact = static_cast<Contact&>(peer);
  state_->enter([&](Mail&) {
    state_->advance(now);
    state_->contacts_.heard(contact);
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
  state_->lose(contact, why, mail);
  state_->bring(mail);
}

}  // namespace node
