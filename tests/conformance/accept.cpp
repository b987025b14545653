// Who accepts, where there are several loops and the server can be told so by
// --accept: everybody is served, and it can be seen by which loop.

#include <numeric>

#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

constexpr unsigned loops = 3;
const Arguments ways{"reuseport", "exclusive", "handoff"};

class Accept : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    const Finished help = run({GetParam().path, "--help"});
    if (help.output.find("--accept") == std::string::npos)
      GTEST_SKIP() << "it has no --accept";
  }
  Server& start_with(const std::string& way) {
    return start({"--threads", std::to_string(loops), "--accept", way});
  }
  /// How many conversations each loop has had.
  static std::vector<std::size_t> distribution(Peer& observer) {
    std::vector<std::size_t> counts;
    const auto found = Server::figures(observer, "model");
    for (unsigned i = 0; i < loops; ++i)
      counts.push_back(number_of(found.at("accepted_loop_" + std::to_string(i)),
                                 "accepted_loop"));
    return counts;
  }
};

TEST_P(Accept, InEachWayAllAreServedAndItIsSeenByWhom) {
  for (const std::string& way : ways) {
    Server& server = start_with(way);
    std::vector<Peer> peers;
    for (int i = 0; i < 90; ++i) {
      peers.push_back(server.connect());
      ASSERT_EQ(peers.back().ask({"PING"}), pong) << way << " " << i;
    }
    for (Peer& peer : peers) ASSERT_EQ(peer.ask({"PING"}), pong) << way;
    const auto counts = distribution(peers.front());
    EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0u), 90u) << way;
    if (way == "handoff") {
      EXPECT_EQ(counts, std::vector<std::size_t>(loops, 30));
    }
  }
}

// They have come while nobody could look: at the stop each is let in by some
// loop, also where the loop that it was meant for has gone already.
TEST_P(Accept, InEachWayNobodyIsLostWhoHasComeBeforeTheStop) {
  for (const std::string& way : ways) {
    Server& server = start_with(way);
    ASSERT_EQ(server.ask({"PING"}), pong);
    server.process().signal(SIGSTOP);
    std::vector<Peer> peers;
    for (int i = 0; i < 60; ++i) {
      peers.push_back(server.connect());
      peers.back().send(request({"PING"}));
    }
    server.process().signal(SIGTERM);
    server.process().signal(SIGCONT);
    for (Peer& peer : peers) EXPECT_EQ(peer.rest(), pong) << way;
    peers.clear();
    EXPECT_EQ(server.process().wait(stop_bound()), 0);
    EXPECT_EQ(server.account().at("reset"), 0) << way;
  }
}

TEST_P(Accept, RefusesAnotherWordAndSaysWhatIsAllowed) {
  const Finished finished = run({GetParam().path, "--accept", "nonsense"});
  EXPECT_EQ(finished.code, 2);
  EXPECT_EQ(finished.errors.substr(0, finished.errors.find('\n')),
            "--accept: 'nonsense' is not allowed, but "
            "reuseport|exclusive|handoff");
}

INSTANTIATE_TEST_SUITE_P(Servers, Accept, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
