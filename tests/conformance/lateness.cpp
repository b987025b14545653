// Nobody is late whose bytes the kernel has already: whatever it was that has
// stopped the program meanwhile.

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <thread>

#include "tests/conformance/crowd.hpp"
#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

constexpr Milliseconds deadline(300);

class Stopped : public ServerTest {
 protected:
  /// Has taken what came: who never sleeps has had time for a pass.
  void settle(Server& server) {
    if (sleeps())
      EXPECT_TRUE(eventually([&] { return server.process().asleep(); }));
    else
      std::this_thread::sleep_for(deadline / 10);
  }
  /// The program stands still while `meanwhile` is done, and until every
  /// deadline of so long has passed.
  template <class Meanwhile>
  void stop_for(Server& server, Milliseconds deadline, Meanwhile meanwhile) {
    const Process& process = server.process();
    settle(server);
    process.signal(SIGSTOP);
    siginfo_t state{};
    EXPECT_EQ(
        ::waitid(P_PID, static_cast<id_t>(process.pid()), &state, WSTOPPED), 0);
    meanwhile();
    std::this_thread::sleep_for(deadline + deadline / 4);
    process.signal(SIGCONT);
  }
  bool finds_the_rest(std::size_t count, Milliseconds time);
  static Account account(Server& server) {
    EXPECT_EQ(server.stop(), 0);
    return server.account();
  }
};

bool all_sent(const Crowd& crowd) {
  return crowd.count([](const Member& m) { return !m.outgoing.empty(); }) == 0;
}

/// So many frames are begun, and have so long to come. False, and nothing is
/// said of the rest, if they are begun so slowly that the first may be late.
bool Stopped::finds_the_rest(std::size_t count, Milliseconds time) {
  Server& server = start({"--frame-time", std::to_string(time.count())});
  Crowd crowd;
  for (std::size_t i = 0; i < count; ++i) crowd.join(server.address());
  for (auto& member : crowd.members()) member->outgoing = "*1\r\n$4\r\nPI";
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_TRUE(crowd.run([&] { return all_sent(crowd); }));
  settle(server);
  if (std::chrono::steady_clock::now() - begun > time / 2) {
    EXPECT_EQ(server.stop(), 0);
    return false;
  }
  stop_for(server, time, [&] {
    for (auto& member : crowd.members()) {
      member->outgoing = "NG\r\n";
      member->expects = pong.size();
    }
    EXPECT_TRUE(crowd.run([&] { return all_sent(crowd); }));
  });
  EXPECT_TRUE(crowd.run([&] { return crowd.all_closed(); })) << crowd.state();
  EXPECT_EQ(crowd.count([](const Member& m) { return m.incoming == pong; }),
            count);
  EXPECT_EQ(account(server).at("late"), 0) << count;
  return true;
}

// The rest of each frame comes in time. There are more of them than one wait
// brings events (256) or works off completions (20). A program that begins them
// slowly, as one does that forks, is given more time: the first of them would
// be late before it stands still.
TEST_P(Stopped, ItFindsTheRestOfAFrame) {
  for (const std::size_t count : {std::size_t{1}, std::size_t{300}}) {
    REQUIRE_CONCURRENT(count);
    Milliseconds time(count == 1 ? 300 : 1500);
    while (!finds_the_rest(count, time)) {
      ASSERT_LT(time, Milliseconds(20'000)) << "it has not begun them";
      time *= 2;
    }
  }
}

// It does not come in one turn.
TEST_P(Stopped, ItFindsTheRestOfALargeFrame) {
  Server& server = start({"--frame-time", std::to_string(deadline.count())});
  Peer peer = server.connect();
  const std::size_t size = 150'000;
  const std::string request = echo_request(0, size);
  peer.send(request.substr(0, 1'000));
  stop_for(server, deadline, [&] { peer.send(request.substr(1'000)); });
  EXPECT_TRUE(peer.frame() == echo_answer(0, size));
  peer.close();
  EXPECT_EQ(account(server).at("late"), 0);
}

// Too little for the server to send more: only the kernel knows of it.
TEST_P(Stopped, ItFindsThatAReaderHasRead) {
  Server& server = start({"--reader-time", std::to_string(deadline.count()),
                          "--send-buffer", "16384"});
  const std::string value = numbered(1, 1 << 20);
  EXPECT_EQ(server.ask({"SET", "key", value}), ok);
  Peer peer = server.connect({.receive = 4096});
  EXPECT_EQ(peer.ask({"PING"}), pong);
  peer.send(request({"GET", "key"}));
  std::string answer = peer.receive(1);  // the server has sent what it can
  stop_for(server, deadline, [&] { answer += peer.receive(8191); });
  // It would be reset now.
  std::this_thread::sleep_for(deadline / 4);
  answer += peer.receive(bulk(value).size() - answer.size());
  EXPECT_TRUE(answer == bulk(value));
  peer.close();
  EXPECT_EQ(account(server).at("late"), 0);
}

TEST_P(Stopped, ItFindsThatAPeerHasEnded) {
  Server& server = start({"--drain-time", std::to_string(deadline.count())});
  std::vector<Peer> peers;
  for (std::size_t i = 0; i < std::min<std::size_t>(traits().concurrent(), 40);
       ++i) {
    peers.push_back(server.connect());
    EXPECT_EQ(peers.back().ask({"PING"}), pong);
  }
  server.process().signal(SIGTERM);
  for (Peer& peer : peers) EXPECT_EQ(peer.rest(), "");
  stop_for(server, 3 * deadline, [&] { peers.clear(); });
  EXPECT_EQ(server.process().wait(), 0) << server.process().errors();
  EXPECT_EQ(server.account().at("late"), 0);
  EXPECT_EQ(server.account().at("reset"), 0);
}

// A reader who takes so little at a time that it never makes room for what the
// server has to send next, but goes on taking: he acknowledges.
TEST_P(Stopped, AReaderOfFewBytesIsNotLate) {
  const Milliseconds time(size_of(800, 1600));
  Server& server = start({"--reader-time", std::to_string(time.count()),
                          "--send-buffer", "65536"});
  EXPECT_EQ(server.ask({"SET", "key", std::string(1 << 20, 'x')}), ok);
  Peer peer = server.connect({.receive = 4096});
  peer.send(request({"GET", "key"}));
  const auto end = std::chrono::steady_clock::now() + 3 * time;
  while (std::chrono::steady_clock::now() < end) {
    peer.receive(2048);
    std::this_thread::sleep_for(time / 3);
  }
  peer.close();
  EXPECT_EQ(account(server).at("late"), 0);
}

INSTANTIATE_TEST_SUITE_P(Servers, Stopped, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
