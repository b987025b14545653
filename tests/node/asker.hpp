#pragma once
// A client and its node, joined in memory: what one says, the other gets, with
// the real sessions between them.

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "node/node.hpp"
#include "protocol/client_session.hpp"
#include "protocol/session.hpp"
#include "tests/node/surroundings.hpp"
#include "tests/node/thread_lock.hpp"

namespace node {

/// Keeps the letters that come.
class TestPostbox final : public protocol::Postbox {
 public:
  void post(protocol::Letter letter) override {
    letters.push_back(std::move(letter));
  }
  void wake() override {}
  std::vector<protocol::Letter> letters;
};

/// One conversation with a node.
class Asker {
 public:
  explicit Asker(Node& node)
      : pool_(node.budget()), session_(node, pool_, {&postbox, 7}) {}

  /// The answer's bytes; empty if it is pending, or never comes.
  std::string ask(std::initializer_list<std::string_view> arguments) {
    return ask(std::span(arguments.begin(), arguments.size()));
  }
  std::string ask(std::span<const std::string_view> arguments) {
    std::string request = "*" + std::to_string(arguments.size()) + "\r\n";
    for (const auto argument : arguments)
      request.append("$" + std::to_string(argument.size()) + "\r\n")
          .append(argument)
          .append("\r\n");
    return say(request);
  }
  /// The same for bytes as they are.
  std::string say(std::string_view bytes) {
    session_.receive(std::as_bytes(std::span(bytes)));
    return collect();
  }
  std::string deliver(std::string_view answer) {
    session_.deliver(answer);
    return collect();
  }
  protocol::Session& session() { return session_; }

  TestPostbox postbox;

 private:
  std::string collect() {
    std::string all;
    while (session_.has_output()) {
      const auto bytes = session_.output();
      all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      session_.sent(bytes.size());
    }
    return all;
  }

  protocol::Pool pool_;
  protocol::Session session_;
};

/// An answer taken to pieces as a client does it.
class Decoded {
 public:
  explicit Decoded(std::string_view answer) {
    session_.request({"?"});
    session_.receive(std::as_bytes(std::span(answer)));
    value_ = session_.reply();
  }
  /// Null if the answer was not whole or not RESP.
  const protocol::Value* operator->() const { return value_; }
  const protocol::Value& operator*() const { return *value_; }
  explicit operator bool() const { return value_ != nullptr; }
  bool all() const { return value_ && session_.error().empty(); }

 private:
  protocol::ClientSession session_;
  const protocol::Value* value_;
};

inline std::string bulk(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) +
         "\r\n";
}

/// Places names on the circle as SHA-1 does, evenly and always alike: FNV-1a,
/// stretched to 160 bits.
inline dht::Id test_hash(std::string_view bytes) {
  std::uint64_t state = 14695981039346656037u;
  for (const char byte : bytes)
    state = (state ^ static_cast<unsigned char>(byte)) * 1099511628211u;
  dht::Id id;
  for (auto& byte : id.bytes) {
    state ^= state >> 29;
    state *= 0xbf58476d1ce4e5b9u;
    byte = static_cast<std::uint8_t>(state >> 56);
  }
  return id;
}

/// A node with all that it stands on; by default without a ring.
struct Host {
  static Setup setup() {
    Setup setup;
    setup.hash = test_hash;
    setup.self = {test_hash("127.0.0.1:7000"), "127.0.0.1:7000"};
    return setup;
  }

  explicit Host(Setup with = setup(), std::size_t bytes_max = 1 << 20)
      : store(*std::pmr::new_delete_resource(), lock, bytes_max, {},
              [this](std::string_view key) { return node.slot(key); }),
        node(std::move(with), store, surroundings) {}

  ThreadLock lock;
  Store store;
  TestSurroundings surroundings;
  Node node;
};

/// Without a ring, one conversation.
struct Conversation : Host {
  using Host::Host;
  std::string ask(std::initializer_list<std::string_view> arguments) {
    return asker.ask(arguments);
  }
  Asker asker{node};
};

}  // namespace node
