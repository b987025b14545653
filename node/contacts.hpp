#pragma once
// A node's connections to other nodes: what is still to be said to whom, what
// answers are owed, and who was silent for so long that the connection is given
// up. What a question is about, and what an answer means, is known above this,
// in node/lookups.cpp.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <thread>
#include <utility>
#include <vector>

#include "dht/overlay.hpp"
#include "protocol/agenda.hpp"
#include "protocol/value.hpp"

namespace node {

/// Its asker, a lookup, is known by number, and may be over before the answer
/// comes.
struct Question {
  std::uint64_t asker = 0;
  bool command = false;  // behind ASKING; never said twice
  bool asking = false;   // said, and the reply to ASKING is owed too
};

using Questions = std::list<Question>;  // go from list to list, uncopied

/// A member of the ring, and our one connection to it. Its link:
///
///         ask()          next_to_connect()         connected()
///    down -----> called ------------------> calling ----------> up
///     ^             |                          |                |
///     |   nobody    |                          | refused        | ended
///     |<-- waits ---+                          | or given up    | or given up
///     |  any more                              |                |
///     +------------------ lose() <-------------+----------------+
///
/// A question's way. (Said once is enough for a command: it never goes back.)
///
///    ask() ---> unsaid ----------------> said ---> hear(): its answer
///               |    ^                   |  |
///               |    +-- lose(), perhaps +  |
///               |        nobody heard it    |
///               +------- lose() ------------+----> an error
///
/// What holds beside the link:
///
///    flag      | links       | means
///    ----------+-------------+-----------------------------------------------
///    announced | up          | Its holder will look at `unsaid` anyhow: due()
///              |             | is to hand it out or has done so, or say() or
///              |             | hand_over() runs. Nobody has to be told of a
///              |             | new question. Until next_question() is null.
///    watched   | calling, up | A connection or an answer is awaited, and since
///              |             | `quiet_since` nothing was heard. Until a sign
///              |             | of life; what is owed then begins it anew.
///    given_up  | calling, up | It was watched for `silence_max`. Its holder is
///              |             | told to close it, nothing more is said over
///              |             | it, and what it owes is asked again.
///    stood     | up          | say() was called before: what it is told now it
///              |             | may be too dead to hear (its host may have gone
///              |             | and come back).
///    doubtful  | up          | It was told something when it had stood and
///              |             | owed nothing, and nothing was heard since. If
///              |             | it ends now, what it owes is asked again, over
///              |             | a new connection, which is not doubtful.
///
/// Each of them ends with lose() at the latest.
struct Contact : protocol::Peer {
  enum class Link { down, called, calling, up };

  Contact(const dht::Member& member, std::size_t reply_max)
      : Peer{member.address, protocol::ClientSession(reply_max), 0},
        id(member.id) {}

  // By its holder, who needs no mutex for this.

  /// Before say() says something.
  void begin_saying() {
    if (said.empty()) doubtful = std::exchange(stood, true);
  }
  /// The next whole answer and its question, or null. Valid as reply() is.
  const protocol::Value* hear(Question& question);

  const dht::Id id;

  // Guarded by the mutex.
  Link link = Link::down;
  bool announced = false;
  bool watched = false;
  bool given_up = false;
  std::list<Contact*>::iterator position;  // in one of Contacts' lists
  protocol::Nanoseconds quiet_since = protocol::never;  // or no clock was seen
  Questions unsaid;  // in the order of their deadlines

  // Its holder's, as the session is.
  Questions said;  // in the order of the replies
  bool stood = false;
  bool doubtful = false;
};

/// All that a node has. They have no mutex of their own: whoever uses them
/// holds one in every call, always the same. The times that they are told never
/// go back.
///
/// Memory is asked for in ask() alone, before anything is changed.
class Contacts {
 public:
  /// Whether this asker still waits for its answer.
  using Waits = std::function<bool(std::uint64_t asker)>;

  /// One contact for each of the overlay's members. A reply of more than
  /// `reply_max` bytes ends its connection, and so does a silence of
  /// `silence_max`.
  Contacts(const dht::Overlay& overlay, std::size_t reply_max,
           protocol::Nanoseconds silence_max, Waits waits);

  /// Null if there is no such member.
  Contact* find(const dht::Id& id);

  /// Lays a question ready. Sets `wake` if the thread that asks for those who
  /// are next has to be woken (it need not wake itself).
  void ask(Contact& contact, const Question& question, bool& wake);
  /// Of what is unsaid, drops the first whose askers do not wait any more.
  void forget_ended(Contact& contact);

  // Whose turn it is, or null. One thread asks for them before it sleeps.
  Contact* next_to_give_up() { return pop(to_give_up_); }
  Contact* next_to_connect();
  Contact* next_to_say();
  /// Somebody is next, or has no time yet: do not sleep.
  bool busy() const {
    return !to_connect_.empty() || !to_say_.empty() || !to_give_up_.empty() ||
           !fresh_.empty();
  }

  // By the contact's holder.

  void connected(Contact& contact) {
    contact.link = Contact::Link::up;
    heard(contact);  // say() follows
  }
  /// A sign of life. All that is to be said is said before the holder sleeps.
  void heard(Contact& contact) {
    contact.announced = true;
    unwatch(contact);
  }
  /// The question to be said next, which is then owed; null if there is none
  /// or what is owed has reached a limit.
  const Question* next_question(Contact& contact, protocol::Nanoseconds now);
  /// Its connection is gone, or never came. Returns those of its questions that
  /// have failed; for `wake` see ask().
  Questions lose(Contact& contact, bool& wake);

  // Times. Who is watched without having seen a clock gets its time from the
  // next one.

  void advance(protocol::Nanoseconds now);
  /// Gives up who was silent for too long at `then`.
  void give_up_silent(protocol::Nanoseconds then);
  /// When that comes to the first; after advance() for all.
  protocol::Nanoseconds first_silent() const {
    return watched_.empty() ? protocol::never
                            : watched_.front()->quiet_since + silence_max_;
  }

 private:
  // Those who wait for something, each at most once: made as large as they can
  // become, so that they never ask for memory.
  using Queue = std::vector<Contact*>;
  static Contact* pop(Queue& queue);

  void call(Contact& contact, bool& wake);
  void watch(Contact& contact, protocol::Nanoseconds since);
  void unwatch(Contact& contact);

  const protocol::Nanoseconds silence_max_;
  const Waits waits_;
  std::map<dht::Id, Contact> book_;  // does not change
  Queue to_connect_, to_say_, to_give_up_;
  // Each contact is in one of them: watched, in the order of quiet_since;
  // watched, but no clock was seen; not watched.
  std::list<Contact*> watched_, fresh_, unwatched_;
  std::thread::id driver_;  // who asks, and need not be woken
};

}  // namespace node
