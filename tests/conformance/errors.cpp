// What breaks the protocol is answered with the reason, also to a peer who
// keeps talking and listens late; then the conversation is over.

#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

class Errors : public ServerTest {};

struct Mistake {
  const char* name;
  std::string bytes, words;
};

std::vector<Mistake> mistakes() {
  const std::string digits(65 << 10, '1');
  return {
      {"a count that is no number", "*abc\r\n", "invalid multibulk length"},
      {"a count above the limit", "*1025\r\n", "invalid multibulk length"},
      {"a count of another world", "*99999999999999999999\r\n",
       "invalid multibulk length"},
      {"a count without an end", "*" + digits, "too big mbulk count string"},
      {"no bulk", "*1\r\nfoo\r\n", "expected '$', got 'f'"},
      {"no bulk, second", "*2\r\n$4\r\nECHO\r\n:1\r\n",
       "expected '$', got ':'"},
      {"a length that is no number", "*1\r\n$abc\r\n", "invalid bulk length"},
      {"a negative length", "*1\r\n$-1\r\n", "invalid bulk length"},
      {"a length above the limit", "*1\r\n$1048577\r\n", "invalid bulk length"},
      {"a length without an end", "*1\r\n$" + digits,
       "too big bulk count string"},
      {"an inline request without an end", std::string(65 << 10, 'x'),
       "too big inline request"},
      {"an open quote", "SET \"key\r\n", "unbalanced quotes in request"},
      {"a closed quote in a word", "SET 'a'b\r\n",
       "unbalanced quotes in request"},
  };
}

std::string told(const Mistake& mistake) {
  return "-ERR Protocol error: " + mistake.words + "\r\n";
}

TEST_P(Errors, EachIsNamedAndEndsTheConversation) {
  Server& server = start({"--arguments-max", "1024"});
  for (const auto& mistake : mistakes()) {
    SCOPED_TRACE(mistake.name);
    Peer peer = server.connect();
    // What came whole before it is answered; what comes after it is not.
    const bool complete = mistake.bytes.ends_with('\n');
    peer.send(request({"PING"}) + mistake.bytes +
              (complete ? request({"PING"}) : ""));
    EXPECT_EQ(peer.rest(), pong + told(mistake));
  }
  EXPECT_EQ(server.ask({"PING"}), pong);
}

// A server that closes with unread input resets the connection, and a reset
// destroys answers on their way. Half a megabyte behind the mistake has to be
// thrown away before the close.
TEST_P(Errors, AreHeardByAPeerWhoKeepsSendingAndReadsLate) {
  Server& server = start({"--drain-time", "10000", "--arguments-max", "1024"});
  const std::string more(64 << 10, 'x');
  for (const auto& mistake : mistakes()) {
    SCOPED_TRACE(mistake.name);
    Peer peer = server.connect();
    peer.send(mistake.bytes);
    for (int i = 0; i < 8; ++i) peer.send(more);
    EXPECT_EQ(peer.receive_like(told(mistake)), told(mistake));
    for (int i = 0; i < 8; ++i) peer.send(more);
    peer.finish();
    EXPECT_EQ(peer.rest(), "");
  }
}

// The same with a frame beyond the limits that is sent as a whole.
TEST_P(Errors, AreHeardByAPeerWhoSendsALargeValueWhole) {
  Server& server = start({"--drain-time", "10000"});
  Peer above_bulk = server.connect();
  above_bulk.send(request({"SET", "key", std::string((1 << 20) + 1, 'x')}));
  EXPECT_EQ(above_bulk.rest(), "-ERR Protocol error: invalid bulk length\r\n");
  above_bulk.close();
  Peer above_frame = server.connect();
  above_frame.send(
      request({"EXISTS", std::string(1 << 20, 'x'), std::string(1 << 20, 'y'),
               std::string(1 << 20, 'z')}));
  EXPECT_EQ(above_frame.rest(), "-ERR Protocol error: too big request\r\n");
}

// Who never ends is not waited for longer than --drain-time, and what he sends
// is not taken without end: --discard-max.
TEST_P(Errors, TheDrainHasItsLimits) {
  Server& hurried = start({"--drain-time", "200"});
  Peer silent = hurried.connect();
  silent.send("*abc\r\n");
  EXPECT_EQ(silent.rest(), "-ERR Protocol error: invalid multibulk length\r\n");
  EXPECT_TRUE(eventually(
      [&] { return hurried.figures().at("connected_clients") == "1"; }));

  Server& frugal = start({"--drain-time", "600000", "--discard-max", "64k"});
  Peer talker = frugal.connect();
  talker.send("*abc\r\n");
  const std::string more(64 << 10, 'x');
  // Its end is seen as a send that fails: patience is in send() itself.
  EXPECT_THROW(for (int i = 0; i < 10'000; ++i) talker.send(more), Trouble);
}

// Redis's guard against browsers that were made to speak to it.
TEST_P(Errors, WhoSpeaksHttpIsClosed) {
  Server& server = start();
  for (const char* line : {"POST / HTTP/1.1\r\n", "Host: localhost\r\n"}) {
    Peer peer = server.connect();
    peer.send(std::string(line) + "SET key value\r\n");
    peer.await_close();
  }
  EXPECT_EQ(server.ask({"EXISTS", "key"}), integer(0));
}

// Bytes without sense: whatever is said to them, the server lives, and nobody
// else hears of it.
TEST_P(Errors, GarbageHurtsNobody) {
  Server& server = start();
  for (std::size_t i = 0; i < 100; ++i) {
    Peer peer = server.connect();
    std::string garbage = numbered(i, 3000).substr(16 + i);
    if (i % 3 == 1) garbage.insert(0, "*3\r\n");
    if (i % 3 == 2) garbage.insert(0, "*2\r\n$4\r\nECHO\r\n$999\r\n");
    peer.send(garbage);
    peer.finish();
    peer.await_close();
  }
  EXPECT_EQ(server.ask({"PING"}), pong);
}

INSTANTIATE_TEST_SUITE_P(Servers, Errors, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
