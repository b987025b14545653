// Where each peer has a process of its own: all of them together are the
// server, and none takes anything along when it dies.

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <ranges>

#include "tests/conformance/crowd.hpp"
#include "tests/conformance/tracer.hpp"

namespace conformance {
namespace {

class Children : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    if (traits()["full"] != "processes") GTEST_SKIP() << "it does not fork";
  }

  /// A peer, and the process that serves it.
  struct Pair {
    Peer peer;
    pid_t child;
  };
  static Pair pair(Server& server) {
    const auto before = server.process().children();
    Peer peer = server.connect();
    EXPECT_EQ(peer.ask({"PING"}), pong);
    auto now = server.process().children();
    std::erase_if(now, [&](pid_t pid) {
      return std::ranges::find(before, pid) != before.end();
    });
    if (now.size() != 1) throw Trouble("it has not made a process for a peer");
    return {std::move(peer), now[0]};
  }
  static std::vector<Pair> pairs(Server& server, int count) {
    std::vector<Pair> all;
    for (int i = 0; i < count; ++i) all.push_back(pair(server));
    return all;
  }

  /// Gone, or not yet taken leave of by whoever is its parent now.
  static bool has_ended(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(file, line);
    const auto name_end = line.rfind(')');
    return name_end == line.npos || line[name_end + 2] == 'Z';
  }

  /// All who have died have been taken leave of, with all that was theirs.
  static void expect_alone(Server& server) {
    EXPECT_TRUE(eventually([&] { return server.process().children().empty(); }))
        << server.process().children().size() << " are left";
    Peer observer = server.connect();
    EXPECT_EQ(Server::figure(observer, "connected_clients"), 1u);
    // What the observer's own process has borrowed.
    EXPECT_LE(Server::figure(observer, "buffers_used"), 256u << 10);
  }
  /// Kills whatever children there are, `times`, with pauses for new ones.
  static std::size_t kill_all(Server& server, int times) {
    std::size_t killed = 0;
    for (int i = 0; i < times; ++i) {
      for (const pid_t child : server.process().children())
        killed += ::kill(child, SIGKILL) == 0;
      ::usleep(2000);
    }
    return killed;
  }
};

TEST_P(Children, AreOneForEachPeerAndGoWithHim) {
  Server& server = start();
  const auto descriptors = server.process().descriptors();
  auto all = pairs(server, 10);
  EXPECT_EQ(server.process().children().size(), 10u);
  const auto more = pairs(server, 10);
  EXPECT_TRUE(eventually([&] {
    return server.process().descriptors() == descriptors;
  })) << "the parent keeps some of its peers";
  all.clear();
  EXPECT_TRUE(
      eventually([&] { return server.process().children().size() == 10; }));
}

// INFO and the last line tell of all, asked in whichever process, and nothing
// that a killed one has counted is lost.
TEST_P(Children, AreCountedTogetherThoughTheyAreKilled) {
  Server& server = start();
  std::size_t asked = 0;
  for (int round = 0; round < 5; ++round) {
    auto all = pairs(server, 6);
    for (int i = 0; i < 20; ++i)
      for (Pair& one : all) ASSERT_EQ(one.peer.ask({"PING"}), pong);
    asked += 6 * 21;
    for (const Pair& one : all) ::kill(one.child, SIGKILL);
    for (Pair& one : all) EXPECT_TRUE(one.peer.at_end(patience()));
  }
  expect_alone(server);
  Peer observer = server.connect();
  const auto figures = Server::figures(observer);
  EXPECT_EQ(figures.at("cmdstat_ping").substr(0, 10),
            "calls=" + std::to_string(asked) + ",");
  EXPECT_EQ(figures.at("process_id"), std::to_string(server.process().pid()));
  EXPECT_EQ(figures.at("killed_children"), "30");
  observer.close();
  EXPECT_EQ(server.stop(), 0);
  EXPECT_GE(server.account().at("requests"), static_cast<double>(asked));
}

TEST_P(Children, ClientsAreNumberedTogether) {
  Server& server = start();
  std::vector<Answer> numbers;
  for (Pair& one : pairs(server, 5))
    numbers.push_back(one.peer.ask({"CLIENT", "ID"}));
  std::ranges::sort(numbers);
  EXPECT_EQ(std::ranges::unique(numbers).size(), 0u);
}

// Of what the last one wrote, a key has all or nothing.
TEST_P(Children, MayBeKilledWhileTheyStore) {
  Server& server = start();
  Crowd crowd;
  const auto value = [](std::size_t peer) {
    return std::string(2000, static_cast<char>('a' + peer));
  };
  for (std::size_t peer = 0; peer < 12; ++peer)
    for (int i = 0; i < 2000; ++i)
      (i ? crowd.members().back().get() : &crowd.join(server.address()))
          ->outgoing +=
          request({"SET", "key" + std::to_string(i % 50), value(peer)});
  std::size_t killed = 0;
  EXPECT_TRUE(crowd.run([&] {
    killed += kill_all(server, 1);
    return crowd.count([](const Member& m) { return m.open(); }) == 0;
  }));
  EXPECT_GE(killed, 12u);
  expect_alone(server);
  Peer reader = server.connect();
  for (int i = 0; i < 50; ++i) {
    const Answer got = reader.ask({"GET", "key" + std::to_string(i)});
    const auto whole = [&](std::size_t n) { return got == bulk(value(n)); };
    EXPECT_TRUE(got == null ||
                std::ranges::any_of(std::views::iota(0u, 12u), whole))
        << i << ": " << got.substr(0, 40);
  }
  EXPECT_EQ(reader.ask({"SET", "key0", "after"}), ok);
  EXPECT_EQ(reader.ask({"GET", "key0"}), bulk("after"));
}

// In INFO, which sums up what all have counted, while the parent takes leave of
// others.
TEST_P(Children, MayBeKilledWhileTheyTellAndOthersCome) {
  Server& server = start();
  std::size_t killed = 0;
  for (int round = 0; round < 8; ++round) {
    Crowd crowd;
    for (int peer = 0; peer < 10; ++peer)
      crowd.join(server.address()).outgoing =
          request({"INFO"}) + request({"INFO"}) + request({"INFO"});
    EXPECT_TRUE(crowd.run([&] {
      killed += kill_all(server, 1);
      return crowd.count([](const Member& m) { return m.open(); }) == 0;
    }));
  }
  EXPECT_GE(killed, 20u);
  expect_alone(server);
}

// No more processes may be made (RLIMIT_NPROC, a limit of the cgroup).
TEST_P(Children, OfWhomThereCanBeNoMoreAreRefusedInWords) {
  if (!Tracer::obstacle().empty()) GTEST_SKIP() << Tracer::obstacle();
  Server& server = start();
  auto inside = pairs(server, 3);
  {
    Tracer tracer(server, {"-e", "trace=clone,fork", "-e",
                           "inject=clone,fork:error=EAGAIN"});
    for (int i = 0; i < 5; ++i)
      EXPECT_EQ(server.connect().rest(),
                "-ERR max number of clients reached\r\n");
    for (Pair& one : inside) EXPECT_EQ(one.peer.ask({"PING"}), pong);
    tracer.finish(true);
  }
  Peer observer = server.connect();
  const auto figures = Server::figures(observer);
  EXPECT_EQ(figures.at("no_thread_clients"), "5");
  EXPECT_EQ(figures.at("rejected_connections"), "5");
  EXPECT_EQ(figures.at("total_connections_received"), "9");
  EXPECT_EQ(figures.at("connected_clients"), "4");
}

// One that has been stopped cannot end in time: it is ended, and its peer
// counted as reset.
TEST_P(Children, ThatAreStoppedDoNotHoldUpTheEnd) {
  Server& server = start();
  auto all = pairs(server, 4);
  ::kill(all[1].child, SIGSTOP);
  all[0].peer.close();
  all[2].peer.close();
  all[3].peer.close();
  EXPECT_EQ(server.stop(), 0);
  EXPECT_EQ(server.account().at("reset"), 1);
  EXPECT_TRUE(all[1].peer.at_end(patience()));
}

TEST_P(Children, DoNotOutliveTheirParent) {
  Server server(GetParam(), {}, bind_socket());
  server.await_ready();
  auto all = pairs(server, 5);
  server.process().signal(SIGKILL);
  for (Pair& one : all) EXPECT_TRUE(one.peer.at_end(patience()));
  for (const Pair& one : all)
    EXPECT_TRUE(eventually([&] { return has_ended(one.child); }));
  EXPECT_EQ(server.process().wait(), 128 + SIGKILL);
}

// Ctrl-C reaches a whole group of processes: the parent alone decides, and
// whatever has come whole is answered.
TEST_P(Children, HeedNoSignalButTheirParents) {
  Server& server = start();
  auto all = pairs(server, 5);
  for (const Pair& one : all)
    for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD})
      ::kill(one.child, signal);
  for (Pair& one : all) EXPECT_EQ(one.peer.ask({"PING"}), pong);
  EXPECT_LE(server.cpu_time_in(Milliseconds(300)), at_rest(Milliseconds(300)));
  for (Pair& one : all) one.peer.send(request({"ECHO", "the last"}));
  server.process().signal(SIGTERM);
  for (const Pair& one : all) ::kill(one.child, SIGTERM);
  for (Pair& one : all) EXPECT_EQ(one.peer.rest(), bulk("the last"));
  all.clear();
  EXPECT_EQ(server.process().wait(), 0);
  EXPECT_EQ(server.account().at("reset"), 0);
}

// Children that end are noticed though others come without end: while somebody
// waits in the queue, no call of the parent's is interrupted. Each has a seat
// of one who has gone (and half a second to go: to let one in takes 10 ms).
TEST_P(Children, ThatHaveEndedGiveTheirSeatsToThoseWhoCome) {
  if (!Tracer::obstacle().empty()) GTEST_SKIP() << Tracer::obstacle();
  constexpr std::size_t seats = 50, visits = 200;
  Server& server = start({"--max-clients", std::to_string(seats)});
  EXPECT_EQ(server.ask({"PING"}), pong);
  const std::string delay = "inject=accept4:delay_exit=10000";
  Tracer tracer(server, {"-o", "/dev/null", "-e", delay});
  server.process().signal(SIGSTOP);
  for (std::size_t i = 0; i < visits; ++i) server.connect().close();
  server.process().signal(SIGCONT);
  EXPECT_TRUE(eventually([&] {
    try {
      return std::stoul(server.figures().at("total_connections_received")) >
             visits;
    } catch (const Trouble&) {
      return false;  // told that there are too many
    }
  }));
  tracer.finish(true);
  EXPECT_EQ(server.figures().at("rejected_connections"), "0");
}

// Children that end are noticed though nobody comes.
TEST_P(Children, ThatHaveEndedAreNotLeftAsTheyAre) {
  Server& server = start();
  for (int round = 0; round < 20; ++round) {
    auto all = pairs(server, 5);
    all.clear();
    EXPECT_TRUE(
        eventually([&] { return server.process().children().empty(); }));
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, Children, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
