// Both halves of a conversation joined in memory, and requests chopped at
// random: how bytes travel must not matter.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "protocol/client_session.hpp"
#include "tests/protocol/fixture.hpp"

namespace {

using fixture::as_bytes;
using fixture::as_text;
using fixture::below;
using fixture::Conversation;
using fixture::request;
using fixture::Service;
using protocol::ClientSession;
using protocol::Session;
using Random = std::mt19937_64;

constexpr std::string_view late = "$4\r\nlate\r\n";

// Moves some of what is on its way in either direction, as a network would.
class Joint {
 public:
  Joint(ClientSession& client, Session& server, Random& random)
      : client_(client), server_(server), random_(random) {}

  // False if nothing was left to move.
  bool move() {
    const bool forth = client_.has_output();
    const bool back = server_.has_output();
    if (forth && server_.wants_input()) {
      const auto bytes = some(client_.output());
      client_.sent(below(random_, 2) == 0 ? receive(bytes) : fill(bytes));
    }
    if (back) {
      const auto bytes = some(server_.output());
      client_.receive(bytes);
      server_.sent(bytes.size());
    }
    if (server_.pending()) server_.deliver(late);
    return forth || back;
  }

 private:
  std::span<const std::byte> some(std::span<const std::byte> bytes) {
    const std::size_t most = below(random_, 8) == 0 ? bytes.size() : 40;
    return bytes.first(below(random_, std::min(most, bytes.size()) + 1));
  }
  std::size_t receive(std::span<const std::byte> bytes) {
    server_.receive(bytes);
    return bytes.size();
  }
  std::size_t fill(std::span<const std::byte> bytes) {
    const auto room = server_.input();
    const std::size_t n = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), n);
    server_.received(n);
    return n;
  }

  ClientSession& client_;
  Session& server_;
  Random& random_;
};

// What a client has asked, and the replies that it must hear.
class Dialogue {
 public:
  explicit Dialogue(ClientSession& client) : client_(client) {}

  void ask(Random& random) {
    const std::size_t size =
        below(random, below(random, 20) == 0 ? 30'000 : 20);
    std::string text(size, static_cast<char>(below(random, 256)));
    if (below(random, 10) == 0) {
      client_.request({"LATER", text});
      expected_.emplace_back("late");
    } else {
      client_.request({"ECHO", text});
      expected_.push_back(std::move(text));
    }
  }
  void hear() {
    while (const protocol::Value* reply = client_.reply()) {
      ASSERT_LT(heard_, expected_.size());
      ASSERT_EQ(reply->text, expected_[heard_++]);
    }
  }
  bool complete() const { return heard_ == expected_.size(); }

 private:
  ClientSession& client_;
  std::vector<std::string> expected_;
  std::size_t heard_ = 0;
};

TEST(Joined, a_client_and_a_server_understand_each_other) {
  Random random(4711);
  Service service;
  service.limits_of_all().output_max = 10'000;
  Conversation peer(service);
  ClientSession client;
  Joint joint(client, peer.session, random);
  Dialogue dialogue(client);
  for (int i = 0; i < 3000; ++i) {
    dialogue.ask(random);
    for (std::size_t n = below(random, 5); n != 0; --n) joint.move();
    dialogue.hear();
  }
  while (joint.move()) dialogue.hear();
  EXPECT_TRUE(dialogue.complete());
  EXPECT_EQ(client.owed(), 0u);
  EXPECT_EQ(peer.session.held(), 0u);
  peer.session.end_of_input();
  EXPECT_TRUE(peer.session.finished());
}

TEST(Joined, a_megabyte_goes_there_and_back) {
  Random random(4711);
  Service service;
  Conversation peer(service);
  ClientSession client;
  Joint joint(client, peer.session, random);
  std::string text(1 << 20, ' ');
  for (char& byte : text) byte = static_cast<char>(random());
  client.request({"ECHO", text});
  while (joint.move()) continue;
  EXPECT_EQ(client.reply()->text, text);
}

// ---- fragments

// A stream of frames, of which most are well formed.
std::string stream(Random& random) {
  static const std::vector<std::string> frames = {
      request({"PING"}),
      request({"ECHO", "hello"}),
      request({"ECHO", ""}),
      request({"ECHO", std::string(70, 'x')}),
      request({"BIG", "90"}),
      request({"a", "b", "c", "d"}),
      request({"LATER"}),
      request({"HELLO", "3"}),
      "PING\r\n",
      "ECHO \"a\\x41 b\"\n",
      "ECHO 'c d'\r\n",
      "\r\n",
      "*0\r\n",
      "*-1\r\n",
      "*2\rx$1\ryazz$1\r\nb\n\r"};
  // DROP is not among them: what it takes with it depends on the pieces.
  static const std::vector<std::string> ends = {
      request({"QUIT"}), "*x\r\n",    "*1\r\n$-1\r\n",
      "*1\r\n:1\r\n",    "ECHO \"\n", "*1\r\n$4\r\nPI"};
  std::string text;
  for (std::size_t n = below(random, 12); n != 0; --n) {
    text += frames[below(random, frames.size())];
  }
  if (below(random, 4) == 0) text += ends[below(random, ends.size())];
  if (below(random, 4) == 0 && !text.empty()) {
    text[below(random, text.size())] = static_cast<char>(random());
  }
  return text;
}

void deliver_all(Session& session) {
  while (session.pending()) session.deliver(late);
}

std::string answers_to_the_whole(Service& service, protocol::Pool& pool,
                                 std::string_view text, bool& finished) {
  Session session(service, pool, {});
  session.receive(as_bytes(text));
  std::string heard;
  while (session.has_output() || session.pending()) {
    deliver_all(session);
    heard += as_text(session.output());
    session.sent(session.output().size());
  }
  session.end_of_input();
  finished = session.finished();
  return heard;
}

// One step of a conversation in pieces: something is said, taken or delivered.
void step(Session& session, Random& random, std::string_view& rest,
          std::string& heard) {
  const std::size_t n = std::min(rest.size(), 1 + below(random, 30));
  switch (below(random, 4)) {
    case 0:
      session.receive(as_bytes(rest.substr(0, n)));
      rest.remove_prefix(n);
      break;
    case 1:
      if (session.wants_input()) {
        const auto room = session.input();
        const std::size_t filled = std::min(n, room.size());
        if (below(random, 4) == 0) session.sent(0);
        std::memcpy(room.data(), rest.data(), filled);
        session.received(filled);
        rest.remove_prefix(filled);
      }
      break;
    case 2: {
      const auto lent = session.output();
      const std::size_t taken = below(random, lent.size() + 1);
      heard += as_text(lent.first(taken));
      session.sent(taken);
      break;
    }
    default:
      session.deliver(late);
      break;
  }
}

TEST(Fragments, give_the_same_answers_as_the_whole) {
  Random random(4711);
  Service service;
  service.limits_of_all().output_max = 200;
  service.limits_of_all().parked_max = 100;
  service.limits_of_all().discard_max = 50;
  protocol::Pool pool(service.budget());
  const int cases = std::getenv("SAMPLED") != nullptr ? 20'000 : 100'000;
  for (int i = 0; i < cases; ++i) {
    const std::string text = stream(random);
    bool finished = false;
    const std::string whole =
        answers_to_the_whole(service, pool, text, finished);
    service.awaited.clear();
    service.errors.clear();
    Session session(service, pool, {});
    std::string heard;
    std::string_view rest = text;
    while (!rest.empty()) step(session, random, rest, heard);
    session.end_of_input();
    while (session.has_output() || session.pending()) {
      deliver_all(session);
      heard += as_text(session.output());
      session.sent(session.output().size());
    }
    ASSERT_EQ(heard, whole) << i << ": " << text;
    ASSERT_EQ(session.finished(), finished) << text;
    ASSERT_EQ(session.held(), 0u) << text;
  }
}

}  // namespace
