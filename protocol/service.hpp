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
  /// Delivered once, in the loop's thread; dropped if the conversation is gone.
  virtual void post(Letter letter) = 0;
  /// Wakes the loop; rings before it wakes coalesce.
  virtual void ring() = 0;

 protected:
  ~Postbox() = default;
};

struct ReturnAddress {
  Postbox* postbox = nullptr;
  std::uint64_t conversation = 0;
};

/// What a conversation has chosen for itself. Belongs to its session.
struct Client {
  std::uint64_t id = 0;               // given by the Service when asked for
  std::unique_ptr<std::string> name;  // CLIENT SETNAME; null: none
  std::int8_t version = 2;            // HELLO
  bool asking = false;                // ASKING: holds for one request
  bool proxy = false;                 // DHT.MODE proxy
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

/// What the programs are about. Used by many threads at once.
class Service {
 public:
  virtual ~Service() = default;
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
};

}  // namespace protocol
