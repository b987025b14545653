#pragma once
// A service of a few words, and a peer without a network: what the tests of
// sessions need to hold a conversation.

#include <cstddef>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/session.hpp"

namespace fixture {

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// A request as an array of bulk strings.
std::string request(std::initializer_list<std::string_view> arguments);

inline const std::string ping = "*1\r\n$4\r\nPING\r\n";
inline const std::string pong = "+PONG\r\n";
inline const std::string later = "*1\r\n$5\r\nLATER\r\n";
inline const std::string half = "*1\r\n$4\r\nPI";  // of a PING

/// What NAME text gives a conversation; `parted` counts those that have ended.
struct Name final : protocol::State {
  Name(std::string_view its_text, int& its_parted)
      : text(its_text), parted(its_parted) {}
  ~Name() override { ++parted; }
  const std::string text;
  int& parted;
};

/// PING, ECHO bytes, BIG n (a bulk of so many bytes), DEAR n (PONG, for so many
/// steps), LATER (the answer is pending), PARTING (pending, and then the end),
/// QUIT, DROP, HELLO 3. Everything else is answered with the arguments.
class Service final : public protocol::Service {
 public:
  protocol::Limits& limits_of_all() { return limits_; }
  void answer(std::span<const std::string_view> arguments,
              protocol::Reply& reply) override;
  void protocol_error(std::string_view name) override {
    errors.emplace_back(name);
  }
  void no_memory() override { ++lost; }
  const protocol::Limits& limits() const override { return limits_; }
  protocol::Budget& budget() override { return budget_; }

  int parted = 0;  // conversations with a name
  std::vector<std::string> errors;
  std::vector<protocol::ReturnAddress> awaited;
  std::size_t answered = 0;
  std::size_t lost = 0;       // for want of memory
  std::size_t most_used = 0;  // of the budget, while a request was answered

 private:
  // Those that take one argument; false: it is none of them.
  bool answer(std::string_view name, std::string_view argument,
              protocol::Reply& reply);

  protocol::Limits limits_;
  protocol::Budget budget_{limits_.buffers_max};
};

/// A session, and the peer at its other end.
class Conversation {
 public:
  explicit Conversation(Service& service)
      : pool(service.budget()), session(service, pool, {nullptr, 4711}) {}

  /// Everything at once, from a buffer that lies elsewhere.
  void say(std::string_view text) { session.receive(as_bytes(text)); }
  /// In pieces of at most `size` bytes, through the session's own room, as
  /// long as it wants some. Returns what it did not want.
  std::string_view say_in_pieces(std::string_view text, std::size_t size);
  /// Reads until there is nothing more to read, and gives it the turns that it
  /// wants for that.
  std::string hear(std::size_t size = protocol::Output::lent_max);
  /// Says it and reads until nothing more is answered.
  std::string ask(std::string_view text) {
    say(text);
    return hear();
  }

  protocol::Pool pool;
  protocol::Session session;
};

/// A number below `limit`; the same on every machine, as std's distributions
/// are not.
inline std::size_t below(std::mt19937_64& random, std::size_t limit) {
  return random() % limit;
}

}  // namespace fixture
