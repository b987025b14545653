#pragma once
// The seam between a conversation and what it is about: a session takes
// requests apart and hands them to a Service; the Service writes the answer at
// once, or takes a return address and has it brought later.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "protocol/limits.hpp"
#include "protocol/parser.hpp"
#include "protocol/pool.hpp"
#include "protocol/writer.hpp"

namespace protocol {

/// An answer on its way to a conversation that waits for it, complete in RESP.
struct Letter {
  std::uint64_t conversation = 0;
  std::string answer;
};

/// How any thread reaches a loop that sleeps in its model's way. Thread-safe.
class Postbox {
 public:
  /// Delivered at most once, by the loop, or by whoever posts where each peer
  /// has a thread; dropped if the conversation is gone. One that finds no
  /// memory costs all their conversations who wait for one of this loop.
  virtual void post(Letter letter) = 0;
  /// Wakes the loop; calls before it is awake coalesce.
  virtual void wake() = 0;

 protected:
  ~Postbox() = default;
};

struct ReturnAddress {
  Postbox* postbox = nullptr;
  std::uint64_t conversation = 0;
};

/// What a service keeps of a conversation, in words of its own: a session only
/// owns it. It ends with the conversation, so its destructor is the notice that
/// the peer has gone: called once, by the thread that serves the conversation.
class State {
 public:
  virtual ~State() = default;
};

/// The peer of a conversation, as its service knows it. Belongs to the session.
struct Client {
  std::unique_ptr<State> state;  // made by the service when it needs one
  std::int8_t version = 2;       // of RESP
  bool limited = false;          // end_by() was called: all others are spared
  /// The low 32 bits of the milliseconds of the monotonic clock; 0: no limit.
  std::uint32_t due_ms = 0;

  /// This conversation has to be over so long after now (a login within ten
  /// seconds; a day at most), whatever its peer does, or it is closed as late.
  void end_by(std::uint64_t now_ns, std::uint32_t later_ms) {
    limited = true;
    due_ms = static_cast<std::uint32_t>(now_ns / 1'000'000) + later_ms;
    if (due_ms == 0) due_ms = 1;
  }
  /// It may go on for as long as it likes.
  void lift_limit() { due_ms = 0; }
};

/// Where a peer comes from.
class Origin {
 public:
  /// "127.0.0.1:40000"; empty for a peer without an address (a Unix socket).
  /// One system call.
  virtual std::string address() const = 0;

 protected:
  ~Origin() = default;
};

/// The answer to one request.
class Reply final : public Writer {
 public:
  Reply(Sink& sink, Client& client, ReturnAddress address)
      : Writer(sink, client.version), client_(client), address_(address) {}

  Client& client() { return client_; }
  /// From here on the conversation speaks RESP 2 or 3, this answer included.
  void speak(int version) {
    client_.version = static_cast<std::int8_t>(version);
    Writer::speak(version);
  }
  /// After this answer the conversation ends.
  void close() { closing_ = true; }
  /// The conversation ends at once, without an answer, and takes the answers
  /// with it that the kernel has not been lent yet: for a peer that must not
  /// get a word.
  void drop() { dropping_ = true; }
  /// Nothing is written now: exactly one Letter with the whole answer will
  /// come to this address. Until then nothing behind the request is answered.
  ReturnAddress later() {
    pending_ = true;
    return address_;
  }

  /// The answer takes so many steps, beside those that its bytes count for: for
  /// a command whose work its bytes do not show. A session answers so many
  /// steps in a row and then lets others have their turn.
  void spend(std::size_t steps) { steps_ += steps; }

  std::size_t steps() const { return steps_; }
  bool closing() const { return closing_; }
  bool dropping() const { return dropping_; }
  bool pending() const { return pending_; }

 private:
  Client& client_;
  const ReturnAddress address_;
  std::size_t steps_ = 0;
  bool closing_ = false;
  bool dropping_ = false;
  bool pending_ = false;
};

/// How requests stand in the bytes of a conversation, and what a peer is told
/// that breaks these rules. Without state: each conversation has its Progress.
class Framing {
 public:
  /// As parse_request() (parser.hpp), which is RESP's.
  virtual Parsed parse(std::span<const std::byte> bytes, const Limits& limits,
                       Scratch& scratch, Progress& progress) const = 0;
  /// The last words of the conversation, perhaps none.
  virtual void refuse(const Parsed& parsed, Writer& writer) const = 0;

 protected:
  ~Framing() = default;
};

/// What the programs are about. Used by many threads at once.
class Service {
 public:
  /// Of another framing than RESP's, which outlives the service. Answers in it
  /// are written by Writer::raw().
  explicit Service(const Framing* framing = nullptr) : framing_(framing) {}
  virtual ~Service() = default;

  /// Null: RESP. A session asks for each request, which is why this is no
  /// virtual function.
  const Framing* framing() const { return framing_; }

  /// A conversation begins. A service that wants to know of whom asks `origin`,
  /// now or never. Throws nothing but std::bad_alloc.
  virtual void greet(Client& client, const Origin& origin) {
    (void)client, (void)origin;
  }
  /// Answers one request (at least one argument). The arguments are borrowed
  /// for the call. Throws nothing but std::bad_alloc.
  virtual void answer(std::span<const std::string_view> arguments,
                      Reply& reply) = 0;
  /// A conversation has broken the protocol. `name` is one of the few words
  /// that parser.hpp lists, for the statistics: "invalid bulk length" ...
  virtual void protocol_error(std::string_view name) { (void)name; }

  /// A conversation is given up because there was no memory for it. Throws
  /// nothing.
  virtual void no_memory() {}

  /// The same object, unchanged, as long as the service lives.
  virtual const Limits& limits() const = 0;
  virtual Budget& budget() = 0;

 private:
  const Framing* const framing_;
};

}  // namespace protocol
