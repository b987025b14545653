// Who keeps others waiting is closed when his time is up, and nobody else is.

#include <signal.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>

#include "tests/conformance/crowd.hpp"
#include "tests/conformance/ring.hpp"
#include "tests/conformance/scripted.hpp"
#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

class Lateness : public ServerTest {
 protected:
  /// Asks the server again and again until `over`: each is answered.
  static void keep_talking(Server& server, const std::function<bool()>& over) {
    Peer peer = server.connect();
    std::size_t i = 0;
    EXPECT_TRUE(eventually([&] {
      ++i;
      EXPECT_EQ(peer.ask({"ECHO", numbered(i, 64)}), echo_answer(i, 64));
      return HasFailure() || over();
    })) << "nobody was closed";
  }
  static double late(Server& server) {
    EXPECT_EQ(server.stop(), 0);
    return server.account().at("late");
  }
};

// Slow loris: a byte now and then, never a whole request. Each byte is
// progress for the kernel and none for us: the deadline is the frame's.
TEST_P(Lateness, AFrameThatIsNotCompletedEndsItsConversation) {
  REQUIRE_CONCURRENT(6u);
  Server& server = start({"--frame-time", "300"});
  Crowd crowd;
  for (int i = 0; i < 5; ++i)
    crowd.join(server.address()).outgoing = "*2\r\n$4\r\nECHO\r\n$100000\r\n";
  // One says nothing at all: an idle peer may stay.
  Peer idle = server.connect();
  keep_talking(server, [&] {
    for (auto& member : crowd.members())
      if (member->outgoing.empty()) member->outgoing = "x";
    crowd.run([] { return false; }, Milliseconds(10));
    return crowd.count([](const Member& m) { return m.open(); }) == 0;
  });
  EXPECT_EQ(idle.ask({"PING"}), pong);
  idle.close();
  EXPECT_EQ(late(server), 5);
}

// An urgent byte is one of the stream's: here the second end of a line.
TEST_P(Lateness, AFrameBehindAnUrgentByteIsLateToo) {
  const Milliseconds time(size_of(500, 2'000));
  Server& server = start({"--frame-time", std::to_string(time.count())});
  Peer peer = server.connect();
  peer.send("PING\r\n");
  EXPECT_EQ(::send(peer.descriptor(), "\n", 1, MSG_OOB), 1);
  peer.send("PING\r\n*1\r\n$4\r\nPI");
  EXPECT_EQ(peer.rest(), std::string(pong) + pong);
  EXPECT_EQ(late(server), 1);
}

// It has asked for more than a portion answers. To answer more would be no sign
// of life of his.
TEST_P(Lateness, AReaderIsLateThoughMoreOfHisRequestsCouldBeAnswered) {
  const Milliseconds time(size_of(800, 2'000));
  Server& server = start({"--reader-time", std::to_string(time.count()),
                          "--send-buffer", "16384"});
  EXPECT_EQ(server.ask({"SET", "key", std::string(500'000, 'x')}), ok);
  Peer peer = server.connect({.receive = 4096});
  std::string asked = request({"GET", "key"});
  for (int i = 0; i < 1600; ++i) asked += "INFO cpu\r\n";
  const auto began = std::chrono::steady_clock::now();
  peer.send(asked);
  EXPECT_TRUE(eventually(
      [&] { return server.figures().at("connected_clients") == "1"; }));
  // It took twelve times as long in a thread of its own.
  EXPECT_LT(std::chrono::steady_clock::now() - began, 8 * time);
  EXPECT_EQ(late(server), 1);
}

// Frame upon frame, each begun before the last is answered: the conversation
// is in the middle of a frame for three times the deadline, but never of the
// same one.
TEST_P(Lateness, ABusyPipelineOfLargeFramesIsNotLate) {
  const Milliseconds deadline(size_of(800, 1200));
  Server& server = start({"--frame-time", std::to_string(deadline.count())});
  Peer peer = server.connect();
  const std::size_t size = 200'000;
  const auto end = std::chrono::steady_clock::now() + 3 * deadline;
  peer.send(echo_request(0, size).substr(0, 1000));
  std::size_t i = 0;
  for (; std::chrono::steady_clock::now() < end; ++i) {
    peer.send(echo_request(i, size).substr(1000) +
              echo_request(i + 1, size).substr(0, 1000));
    ASSERT_EQ(peer.frame(), echo_answer(i, size)) << i;
  }
  peer.send(echo_request(i, size).substr(1000));
  ASSERT_EQ(peer.frame(), echo_answer(i, size));
  peer.close();
  EXPECT_EQ(late(server), 0);
}

TEST_P(Lateness, AnswersThatNobodyReadsEndTheirConversation) {
  REQUIRE_CONCURRENT(4u);
  Server& server = start({"--reader-time", "300", "--send-buffer", "16384"});
  EXPECT_EQ(server.ask({"SET", "key", std::string(1 << 20, 'x')}), ok);
  Crowd crowd;
  for (int i = 0; i < 3; ++i) {
    Member& member = crowd.join(server.address(), {.receive = 4096});
    member.outgoing = request({"GET", "key"}) + request({"GET", "key"});
    member.reads = false;
  }
  keep_talking(server, [&] {
    crowd.run([] { return false; }, Milliseconds(10));
    return server.figures().at("connected_clients") == "2";
  });
  EXPECT_EQ(late(server), 3);
}

// The time is counted from his last byte on, not from the end of a call that
// has sent half of what it should.
TEST_P(Lateness, AnswersThatNobodyReadsAreNotGivenTheTimeTwice) {
  REQUIRE_CONCURRENT(2u);
  const Milliseconds deadline(2000);
  Server& server = start({"--reader-time", std::to_string(deadline.count()),
                          "--send-buffer", "16384"});
  Peer observer = server.connect(), deaf = server.connect({.receive = 4096});
  EXPECT_EQ(observer.ask({"SET", "key", std::string(1 << 20, 'x')}), ok);
  EXPECT_EQ(deaf.ask({"PING"}), pong);
  deaf.send(request({"GET", "key"}) + request({"GET", "key"}));
  EXPECT_TRUE(eventually(
      [&] { return Server::figure(observer, "connected_clients") == 1; },
      2 * deadline + Milliseconds(1000)));
  observer.close();
  EXPECT_EQ(late(server), 1);
}

// A slow reader makes progress with every byte: he may take as long as he
// likes.
TEST_P(Lateness, AReaderWhoIsSlowIsNotLate) {
  const Milliseconds deadline(size_of(500, 1000));
  Server& server = start({"--reader-time", std::to_string(deadline.count()),
                          "--send-buffer", "16384"});
  Peer peer = server.connect({.receive = 4096});
  const std::string value = numbered(1, 1 << 20);
  EXPECT_EQ(peer.ask({"SET", "key", value}), ok);
  peer.send(request({"GET", "key"}));
  std::string answer;
  const auto end = std::chrono::steady_clock::now() + 3 * deadline;
  while (std::chrono::steady_clock::now() < end) {
    // Enough at a time that the kernel has room for the server's next bytes.
    answer += peer.receive(8192);
    std::this_thread::sleep_for(deadline / 40);
  }
  answer += peer.receive(bulk(value).size() - answer.size());
  EXPECT_TRUE(answer == bulk(value));
  peer.close();
  EXPECT_EQ(late(server), 0);
}

// So little at a time that the kernel's queue is full whenever it is looked at:
// what the server is rid of is progress too.
TEST_P(Lateness, AReaderWhoTakesLittleAtATimeIsNotLate) {
  const Milliseconds deadline(800);
  Server& server = start({"--reader-time", std::to_string(deadline.count()),
                          "--send-buffer", "16384"});
  Peer peer = server.connect({.receive = 4096});
  EXPECT_EQ(peer.ask({"SET", "key", std::string(1 << 20, 'x')}), ok);
  peer.send(request({"GET", "key"}));
  const auto end = std::chrono::steady_clock::now() + 6 * deadline;
  while (std::chrono::steady_clock::now() < end) {
    ASSERT_EQ(peer.receive(4096).size(), 4096u);
    std::this_thread::sleep_for(deadline / 4);
  }
  peer.reset();
  EXPECT_EQ(late(server), 0);
}

INSTANTIATE_TEST_SUITE_P(Servers, Lateness, testing::ValuesIn(servers()),
                         name_of);

class Unanswered : public RingTest {};

// A question stays unanswered, and the next one does not wait behind it for
// ever: where the model cannot put it meanwhile (duplex=no), it does so over
// another connection when --reader-time is over.
TEST_P(Unanswered, ANodeIsAskedTheNextQuestionAllTheSame) {
  std::atomic<int> questions = 0;
  Scripted silent([&](Peer& peer) {
    for (;; ++questions) peer.frame();
  });
  Server& node =
      *start_ring(1, {"--lookup-time", "600000", "--reader-time", "300"},
                  {silent.address()})[0];
  Peer first = node.connect(), second = node.connect();
  const auto keys = keys_of(first, silent.address(), 2);
  first.send(request({"DHT.LOOKUP", keys[0]}));
  EXPECT_TRUE(eventually([&] { return questions >= 1; }));
  second.send(request({"DHT.LOOKUP", keys[1]}));
  EXPECT_TRUE(eventually([&] { return questions >= 2; }));
  node.process().signal(SIGTERM);  // or the other node waits for its client
  EXPECT_EQ(node.process().wait(), 0);
}

INSTANTIATE_TEST_SUITE_P(Servers, Unanswered, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
