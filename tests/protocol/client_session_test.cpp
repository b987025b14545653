#include "protocol/client_session.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "tests/protocol/fixture.hpp"

namespace {

using fixture::as_bytes;
using fixture::as_text;
using fixture::request;
using protocol::ClientSession;
using protocol::Value;

class ClientTest : public testing::Test {
 protected:
  void hear(std::string_view text) { client.receive(as_bytes(text)); }
  void hear_in_pieces(std::string_view text, std::size_t size) {
    while (!text.empty() && client.wants_input()) {
      const auto room = client.input();
      const std::size_t n = std::min({text.size(), size, room.size()});
      std::memcpy(room.data(), text.data(), n);
      client.received(n);
      text.remove_prefix(n);
    }
  }
  std::string say() {
    std::string said;
    while (client.has_output()) {
      const auto lent = client.output();
      said += as_text(lent);
      client.sent(lent.size());
    }
    return said;
  }

  ClientSession client;
};

// ---- requests

TEST_F(ClientTest, says_requests) {
  EXPECT_FALSE(client.has_output());
  EXPECT_TRUE(client.output().empty());
  client.sent(0);
  client.request({"PING"});
  const std::vector<std::string_view> arguments = {"SET", "", "a\r\nb"};
  client.request(arguments);
  EXPECT_EQ(client.owed(), 2u);
  const std::string expected =
      request({"PING"}) + "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$4\r\na\r\nb\r\n";
  EXPECT_EQ(client.unsent(), expected.size());
  EXPECT_EQ(say(), expected);
  EXPECT_EQ(client.unsent(), 0u);
}

TEST_F(ClientTest, what_is_lent_does_not_move) {
  client.request({"ECHO", "first"});
  const auto lent = client.output();
  const std::string before(as_text(lent));
  const std::string large(100'000, 'x');
  for (int i = 0; i < 20; ++i) client.request({"ECHO", large});
  EXPECT_EQ(client.output().data(), lent.data());
  EXPECT_EQ(client.output().size(), lent.size());
  EXPECT_EQ(as_text(lent), before);
  client.sent(3);
  client.request({"PING"});
  std::string expected = before.substr(3);
  for (int i = 0; i < 20; ++i) expected += request({"ECHO", large});
  expected += request({"PING"});
  EXPECT_EQ(client.unsent(), expected.size());
  EXPECT_EQ(say(), expected);
}

TEST_F(ClientTest, nothing_overtakes_what_waits) {
  client.request({"ECHO", "first"});
  client.output();
  client.request({"ECHO", "second"});
  client.sent(0);
  client.request({"ECHO", "third"});
  EXPECT_EQ(say(), request({"ECHO", "first"}) + request({"ECHO", "second"}) +
                       request({"ECHO", "third"}));
}

TEST_F(ClientTest, lends_at_most_64_kibibytes) {
  client.request({"ECHO", std::string(200'000, 'x')});
  EXPECT_EQ(client.output().size(), 64u << 10);
  client.sent(0);
  EXPECT_EQ(client.output().size(), 64u << 10);
}

// A pipeline that never runs dry does not grow for ever.
TEST_F(ClientTest, forgets_what_was_sent) {
  for (int i = 0; i < 100'000; ++i) {
    client.request({"ECHO", "some hundred bytes, more or less"});
    client.sent(std::min<std::size_t>(client.output().size(), 50));
    ASSERT_LE(client.unsent(), 100u + 10u * static_cast<unsigned>(i));
  }
  EXPECT_EQ(client.owed(), 100'000u);
}

// ---- replies

TEST_F(ClientTest, hands_over_replies_in_order) {
  for (int i = 0; i < 3; ++i) client.request({"GET", "k"});
  EXPECT_EQ(client.reply(), nullptr);
  hear("+one\r\n:2\r\n$5\r\nth");
  EXPECT_EQ(client.owed(), 1u);
  EXPECT_EQ(client.reply()->text, "one");
  EXPECT_EQ(client.reply()->integer, 2);
  EXPECT_EQ(client.reply(), nullptr);
  hear("ree\r\n");
  EXPECT_EQ(client.owed(), 0u);
  EXPECT_EQ(client.reply()->text, "three");
  EXPECT_EQ(client.reply(), nullptr);
  EXPECT_FALSE(client.finished());
  EXPECT_TRUE(client.wants_input());
}

TEST_F(ClientTest, a_reply_outlives_new_requests) {
  client.request({"GET", "k"});
  hear("*2\r\n$3\r\nabc\r\n$3\r\ndef\r\n");
  const Value* const reply = client.reply();
  for (int i = 0; i < 1000; ++i) client.request({"GET", "other"});
  say();
  ASSERT_EQ(reply->elements.size(), 2u);
  EXPECT_EQ(reply->elements[0].text, "abc");
  EXPECT_EQ(reply->elements[1].text, "def");
}

TEST_F(ClientTest, hears_byte_by_byte) {
  const std::string reply = "*3\r\n$3\r\nabc\r\n%1\r\n+k\r\n#t\r\n-ERR\r\n";
  for (const std::size_t size : {1, 2, 3, 7, 100}) {
    client.request({"GET", "k"});
    client.request({"GET", "k"});
    hear_in_pieces(reply + reply, size);
    for (int i = 0; i < 2; ++i) {
      const Value* const value = client.reply();
      ASSERT_NE(value, nullptr);
      ASSERT_EQ(value->elements.size(), 3u);
      EXPECT_EQ(value->elements[0].text, "abc");
      EXPECT_EQ(value->elements[1].elements.at(1).integer, 1);
      EXPECT_EQ(value->elements[2].text, "ERR");
    }
  }
}

// Each byte is looked at a bounded number of times, or this takes minutes.
TEST_F(ClientTest, hears_large_replies_byte_by_byte) {
  const std::string bytes(1 << 20, 'b');
  client.request({"GET", "bulk"});
  hear_in_pieces("$1048576\r\n" + bytes + "\r\n", 1);
  EXPECT_EQ(client.reply()->text, bytes);
  client.request({"GET", "line"});
  const std::string line(4 << 20, 'l');
  hear_in_pieces("+" + line + "\r\n", 1);
  EXPECT_EQ(client.reply()->text, line);
  std::string many = "*100000\r\n";
  for (int i = 0; i < 100'000; ++i) many += ":" + std::to_string(i) + "\r\n";
  client.request({"GET", "array"});
  hear_in_pieces(many, 1);
  const Value* const value = client.reply();
  ASSERT_EQ(value->elements.size(), 100'000u);
  EXPECT_EQ(value->elements.back().integer, 99'999);
}

TEST_F(ClientTest, replies_wait_until_they_are_taken) {
  std::string all;
  for (int i = 0; i < 10'000; ++i) {
    client.request({"GET", "k"});
    all += ":" + std::to_string(i) + "\r\n";
  }
  std::string_view rest = all;
  std::int64_t next = 0;
  while (!rest.empty()) {
    hear_in_pieces(rest.substr(0, 100), 40);
    rest.remove_prefix(std::min<std::size_t>(rest.size(), 100));
    const Value* const value = client.reply();  // fewer than come
    ASSERT_EQ(value->integer, next++);
  }
  while (const Value* value = client.reply()) ASSERT_EQ(value->integer, next++);
  EXPECT_EQ(next, 10'000);
}

TEST_F(ClientTest, room_that_was_not_used_goes_back) {
  const auto room = client.input();
  EXPECT_GE(room.size(), 8u << 10);
  EXPECT_EQ(client.input().data(), room.data());
  client.received(0);
  EXPECT_EQ(client.input().data(), room.data());
  client.received(0);
  EXPECT_FALSE(client.finished());
}

// ---- the end

TEST_F(ClientTest, ends_with_its_peer) {
  client.end_of_input();
  EXPECT_TRUE(client.finished());
  EXPECT_FALSE(client.wants_input());
  EXPECT_EQ(client.error(), "");
}

TEST_F(ClientTest, its_peer_ends_while_room_is_lent) {
  client.request({"PING"});
  const auto room = client.input();
  client.end_of_input();
  std::memcpy(room.data(), "+PONG\r\n", 7);
  client.received(7);
  EXPECT_EQ(client.reply(), nullptr);
  EXPECT_EQ(client.owed(), 1u);
}

TEST_F(ClientTest, says_what_was_owed) {
  for (int i = 0; i < 3; ++i) client.request({"PING"});
  hear("+PONG\r\n+PO");
  client.end_of_input();
  EXPECT_TRUE(client.finished());
  EXPECT_EQ(client.error(),
            "the peer closed the connection while 2 replies were owed");
  client.end_of_input();
  EXPECT_EQ(client.reply()->text, "PONG");  // what came whole can be taken
  EXPECT_EQ(client.reply(), nullptr);
  client.reset();
  client.request({"PING"});
  client.end_of_input();
  EXPECT_EQ(client.error(),
            "the peer closed the connection while 1 reply was owed");
}

TEST_F(ClientTest, notices_what_is_not_resp) {
  client.request({"PING"});
  client.request({"PING"});
  hear("+PONG\r\nHTTP/1.1 200 OK\r\n");
  EXPECT_TRUE(client.finished());
  EXPECT_EQ(client.error(), "protocol error: an unexpected type of reply");
  EXPECT_EQ(client.reply()->text, "PONG");
  EXPECT_EQ(client.reply(), nullptr);
  hear("+PONG\r\n");  // too late
  client.end_of_input();
  EXPECT_EQ(client.reply(), nullptr);
  EXPECT_EQ(client.error(), "protocol error: an unexpected type of reply");
}

TEST_F(ClientTest, notices_an_answer_to_nothing) {
  client.request({"PING"});
  hear("");
  hear("+PONG\r\n+");
  EXPECT_TRUE(client.finished());
  EXPECT_EQ(client.error(), "protocol error: an answer to nothing");
  EXPECT_EQ(client.reply()->text, "PONG");
}

TEST_F(ClientTest, refuses_pushes_and_oversized_replies) {
  for (const char* reply : {">1\r\n+x\r\n", "|1\r\n+a\r\n+b\r\n+c\r\n",
                            "$536870913\r\n", "*1048577\r\n"}) {
    client.reset();
    client.request({"PING"});
    hear_in_pieces(reply, 3);
    EXPECT_TRUE(client.finished()) << reply;
    EXPECT_TRUE(client.error().starts_with("protocol error: ")) << reply;
  }
}

// As soon as it is announced, and after reset() too.
TEST_F(ClientTest, refuses_what_is_larger_than_it_was_told) {
  ClientSession small(1000);
  const std::string largest = "$992\r\n" + std::string(992, 'x') + "\r\n";
  for (int i = 0; i < 2; ++i) {
    small.request({"GET", "key"});
    small.receive(as_bytes(largest));
    ASSERT_NE(small.reply(), nullptr) << small.error();
    small.request({"GET", "key"});
    small.receive(as_bytes("$993\r\n"));
    EXPECT_EQ(small.error(), "protocol error: too large a reply");
    small.reset();
  }
}

// A peer that has sent much once may never do so again.
TEST_F(ClientTest, keeps_little_of_a_large_reply) {
  const std::string large(200'000, 'x');
  const std::string small = "$1\r\na\r\n";
  const std::string answer = "$200000\r\n" + large + "\r\n";
  for (int i = 0; i < 3; ++i) client.request({"GET", "a"});
  say();
  hear(answer);
  ASSERT_NE(client.reply(), nullptr);
  EXPECT_EQ(client.reply(), nullptr);
  hear(small);
  const Value* reply = client.reply();
  ASSERT_NE(reply, nullptr);
  EXPECT_EQ(reply->text, "a");
  EXPECT_LE(client.input().size(), std::size_t{64} << 10);
  client.received(0);
  hear_in_pieces(answer, 10'000);
  EXPECT_EQ(client.reply()->text, large);
}

TEST_F(ClientTest, keeps_its_room_while_much_comes) {
  const std::string large(200'000, 'x');
  const std::string answer = "$200000\r\n" + large + "\r\n";
  for (int i = 0; i < 2; ++i) client.request({"GET", "a"});
  say();
  hear(answer);
  ASSERT_NE(client.reply(), nullptr);
  hear(answer);
  EXPECT_EQ(client.reply()->text, large);
}

TEST_F(ClientTest, keeps_little_when_it_begins_anew) {
  const std::string large(200'000, 'x');
  client.request({"SET", "a", large});
  client.request({"GET", "a"});
  hear("+OK\r\n$200000\r\n" + large + "\r\n");
  client.reply();
  ASSERT_NE(client.reply(), nullptr);
  client.reset();
  client.request({"PING"});
  EXPECT_EQ(say(), request({"PING"}));
  hear("+PONG\r\n");
  EXPECT_EQ(client.reply()->text, "PONG");
  client.reset();
  client.request({"PING"});
  EXPECT_EQ(say(), request({"PING"}));
}

TEST_F(ClientTest, begins_anew) {
  client.request({"PING"});
  client.request({"PING"});
  client.output();
  client.request({"PING"});
  hear("+PONG\r\n*2\r\n+x\r\n");
  client.input();
  client.reset();
  EXPECT_EQ(client.owed(), 0u);
  EXPECT_FALSE(client.has_output());
  EXPECT_FALSE(client.finished());
  EXPECT_EQ(client.reply(), nullptr);
  client.request({"PING"});
  EXPECT_EQ(say(), request({"PING"}));
  hear("*1\r\n+y\r\n");
  EXPECT_EQ(client.reply()->elements.at(0).text, "y");
}

}  // namespace
