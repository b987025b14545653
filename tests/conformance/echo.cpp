// The least that a server of this protocol does: PING and ECHO, for anybody,
// however the bytes come. The first level that a program of one's own reaches.

#include "tests/conformance/cuts.hpp"

namespace conformance {
namespace {

class Echo : public ServerTest {};

/// Several requests in all sizes of argument, and their answers.
Conversation conversation() {
  return {request({"PING"}) + request({"ECHO", "hello"}) +
              request({"ECHO", ""}) + request({"PING", "a\r\nb"}) +
              request({"echo", std::string(300, 'x')}),
          pong + bulk("hello") + bulk("") + bulk("a\r\nb") +
              bulk(std::string(300, 'x'))};
}

TEST_P(Echo, OneByteAtATime) {
  expect_the_same_byte_by_byte(start(), conversation());
}

TEST_P(Echo, CutAtEveryBoundary) {
  expect_the_same_in_two(start(), conversation());
}

// An end of line or a zero inside means nothing.
TEST_P(Echo, EveryByteComesBack) {
  Server& server = start();
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  bytes += "\r\n$3\r\n*1\r\n";
  EXPECT_EQ(server.ask({"ECHO", bytes}), bulk(bytes));
  EXPECT_EQ(server.ask({"PING", bytes}), bulk(bytes));
}

TEST_P(Echo, TextsOfEverySize) {
  Server& server = start();
  Peer peer = server.connect();
  for (const std::size_t size :
       {0u, 1u, 1023u, 1024u, 16384u, 65536u, 999999u, 1u << 20}) {
    const std::string text = numbered(size, size + 16).substr(16);
    EXPECT_EQ(peer.ask({"ECHO", text}), bulk(text)) << size;
  }
}

// The words are Redis's at the next level; here it is an error, for one
// request, and the conversation goes on.
TEST_P(Echo, WhatItDoesNotKnowIsAnError) {
  Server& server = start();
  Peer peer = server.connect();
  peer.send(request({"NOSUCH", "a", "b"}) + request({"PING"}));
  const Answer answer = peer.frame();
  EXPECT_TRUE(answer.starts_with('-')) << printable(answer);
  EXPECT_EQ(peer.frame(), pong);
}

// One says nothing, one has sent half a request, one does not read: none of
// them is a reason not to answer the next.
TEST_P(Echo, APeerWhoKeepsItWaitingHoldsUpNobody) {
  REQUIRE_CONCURRENT(4u);
  Server& server = start();
  Peer silent = server.connect(), slow = server.connect();
  Peer deaf = server.connect();
  slow.send(echo_request(1, 5000).substr(0, 2000));
  for (std::size_t i = 0; i < 4; ++i) deaf.send(echo_request(i, 10'000));
  Peer peer = server.connect();
  for (std::size_t i = 0; i < 100; ++i)
    ASSERT_EQ(peer.ask({"ECHO", numbered(i, 50)}), echo_answer(i, 50));
  slow.send(echo_request(1, 5000).substr(2000));
  EXPECT_EQ(slow.frame(), echo_answer(1, 5000));
  EXPECT_EQ(silent.ask({"PING"}), pong);
}

INSTANTIATE_TEST_SUITE_P(Servers, Echo, testing::ValuesIn(servers()), name_of);

}  // namespace
}  // namespace conformance
