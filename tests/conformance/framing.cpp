// However the bytes of a conversation are cut and heaped on their way, the
// answers are the same, in order, to the byte.

#include "tests/conformance/crowd.hpp"
#include "tests/conformance/cuts.hpp"

namespace conformance {
namespace {

class Framing : public ServerTest {};

/// A conversation of every form of request, and its answers.
Conversation conversation() {
  return {request({"ECHO", "hello"}) + request({"SET", "key", "a\r\nb"}) +
              "GET key\r\n" + request({"GET", "none"}) + "\r\n*0\r\n" +
              request({"EXISTS", "key", "key"}) + "ECHO 'a b'\n" +
              request({"NOSUCH"}),
          bulk("hello") + ok + bulk("a\r\nb") + null + integer(2) +
              bulk("a b") +
              "-ERR unknown command 'NOSUCH', with args beginning with: \r\n"};
}

TEST_P(Framing, OneByteAtATime) {
  expect_the_same_byte_by_byte(start(), conversation());
}

TEST_P(Framing, CutAtEveryBoundary) {
  expect_the_same_in_two(start(), conversation());
}

TEST_P(Framing, TenThousandRequestsInOneWrite) {
  Server& server = start();
  Crowd crowd;
  Member& member = crowd.join(server.address());
  std::string answers;
  for (std::size_t i = 0; i < 10'000; ++i) {
    member.outgoing += echo_request(i, 16);
    answers += echo_answer(i, 16);
  }
  member.expects = answers.size();
  ASSERT_TRUE(crowd.run([&] { return crowd.all_closed(); })) << crowd.state();
  EXPECT_EQ(member.incoming, answers);
}

TEST_P(Framing, DeepPipelinesOnTwoHundredConnections) {
  Server& server = start();
  const std::size_t peers = size_of(200, 100), depth = 64, rounds = 4;
  Crowd crowd;
  std::vector<std::string> answers(peers);
  for (std::size_t peer = 0; peer < peers; ++peer) {
    Member& member = crowd.join(server.address());
    for (std::size_t i = 0; i < depth * rounds; ++i) {
      member.outgoing += echo_request(peer << 32 | i, 16 + i);
      answers[peer] += echo_answer(peer << 32 | i, 16 + i);
    }
    member.expects = answers[peer].size();
  }
  ASSERT_TRUE(crowd.run([&] { return crowd.all_closed(); })) << crowd.state();
  for (std::size_t peer = 0; peer < peers; ++peer)
    EXPECT_EQ(crowd.members()[peer]->incoming, answers[peer]) << peer;
}

// 64 requests, then their 64 answers, again and again: the shape in which a
// server that forgets to look at what it has already read comes to a halt.
TEST_P(Framing, RoundsOfSixtyFour) {
  Server& server = start();
  Peer peer = server.connect();
  for (std::size_t round = 0; round < 50; ++round) {
    std::string requests, answers;
    for (std::size_t i = round * 64; i < round * 64 + 64; ++i) {
      requests += echo_request(i, 100);
      answers += echo_answer(i, 100);
    }
    peer.send(requests);
    ASSERT_EQ(peer.receive_like(answers), answers) << "round " << round;
  }
}

TEST_P(Framing, ValuesOfEverySize) {
  Server& server = start();
  Peer peer = server.connect();
  for (const std::size_t size :
       {0u, 1u, 1023u, 1024u, 16384u, 65536u, 999999u, 1u << 20}) {
    const std::string value = numbered(size, size + 16).substr(16);
    ASSERT_EQ(value.size(), size);
    EXPECT_EQ(peer.ask({"SET", "key", value}), ok) << size;
    EXPECT_EQ(peer.ask({"GET", "key"}), bulk(value)) << size;
    EXPECT_EQ(peer.ask({"ECHO", value}), bulk(value)) << size;
  }
}

// The limit is on what is announced: the value itself need not come.
TEST_P(Framing, AValueOneByteAboveTheLimit) {
  Server& server = start();
  Peer peer = server.connect();
  EXPECT_EQ(peer.ask({"ECHO", std::string(1 << 20, 'x')}).size(),
            bulk(std::string(1 << 20, 'x')).size());
  peer.send("*2\r\n$4\r\nECHO\r\n$1048577\r\n");
  EXPECT_EQ(peer.rest(), "-ERR Protocol error: invalid bulk length\r\n");
}

/// A request of exactly `size` bytes: EXISTS of four keys that are not there.
std::string frame_of(std::size_t size) {
  std::vector<std::string> arguments(4, std::string(size / 4, 'k'));
  arguments.insert(arguments.begin(), "EXISTS");
  std::string frame = request(arguments);
  arguments.back().resize(size / 4 - (frame.size() - size));
  frame = request(arguments);
  EXPECT_EQ(frame.size(), size);
  return frame;
}

TEST_P(Framing, AFrameOfTwoMebibytesAndOneByteMore) {
  Server& server = start();
  Peer peer = server.connect();
  peer.send(frame_of(2 << 20));
  EXPECT_EQ(peer.frame(), integer(0));
  // The server may stop reading, so the last of it is sent as far as it goes.
  const std::string frame = frame_of((2 << 20) + 1);
  peer.send(frame);
  EXPECT_EQ(peer.rest(), "-ERR Protocol error: too big request\r\n");
}

TEST_P(Framing, LimitsAreOptions) {
  Server& server = start({"--bulk-max", "1k", "--frame-max", "2k",
                          "--arguments-max", "8", "--inline-max", "100"});
  const auto said = [&](const std::string& bytes) {
    Peer peer = server.connect();
    peer.send(bytes);
    return peer.frame();
  };
  EXPECT_EQ(said(request({"ECHO", std::string(1024, 'x')})),
            bulk(std::string(1024, 'x')));
  EXPECT_EQ(said(request({"ECHO", std::string(1025, 'x')})),
            "-ERR Protocol error: invalid bulk length\r\n");
  EXPECT_EQ(said(frame_of(2048)), integer(0));
  EXPECT_EQ(said(frame_of(2049)), "-ERR Protocol error: too big request\r\n");
  EXPECT_EQ(said(request({"EXISTS", "1", "2", "3", "4", "5", "6", "7"})),
            integer(0));
  EXPECT_EQ(said("*9\r\n"),
            "-ERR Protocol error: invalid multibulk length\r\n");
  EXPECT_EQ(said(std::string(120, 'x')),
            "-ERR Protocol error: too big inline request\r\n");
}

INSTANTIATE_TEST_SUITE_P(Servers, Framing, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
