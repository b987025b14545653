// Want of memory and of places: what cannot be served is lost and counted, and
// the others are served on.

#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <fstream>

#include "tests/conformance/crowd.hpp"
#include "tests/conformance/ring.hpp"
#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

/// A process gets no more addresses than it has and so many bytes.
void limit_addresses(pid_t pid, std::size_t more) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  std::string name;
  rlim_t kib = 0;
  while (name != "VmSize:" && status >> name) {
  }
  status >> kib;
  const rlimit limit{kib * 1024 + more, RLIM_INFINITY};
  if (::prlimit(pid, RLIMIT_AS, &limit, nullptr) != 0)
    throw Trouble("prlimit failed");
}

class Starved : public ServerTest {
 protected:
  /// With one heap for all threads, which has no addresses that it does not
  /// use: each of the others begins with 64 MiB of them. A thread that ends
  /// gives back its stack, which had 8 MiB of addresses.
  Server& start_with_one_heap() {
    return start({GetParam().name, "/bin/sh"},
                 {"-c", "ulimit -s 256; MALLOC_ARENA_MAX=1 exec \"$0\" \"$@\"",
                  GetParam().path, "--buffers-max", "1g"},
                 bind_socket());
  }
  static std::size_t lost(Peer& observer) {
    return Server::figure(observer, "lost_for_memory") +
           Server::figure(observer, "no_thread_clients");
  }
  /// What was lost is counted, and whoever comes then is served.
  static void expect_alive(Server& server) {
    EXPECT_TRUE(eventually([&] {
      try {
        return server.ask({"PING"}) == pong;
      } catch (const Trouble&) {
        return false;  // there was no memory for this one either
      }
    }));
    EXPECT_TRUE(eventually(
        [&] { return server.figures().at("connected_clients") == "1"; }));
    Peer observer = server.connect();
    EXPECT_GT(lost(observer), 0u);
  }
};

TEST_P(Starved, LargeFramesForWhichThereIsNoMemoryAreLost) {
  if (sanitized()) GTEST_SKIP() << "a sanitizer needs addresses";
  const std::size_t count = 60;
  REQUIRE_CONCURRENT(count);
  Server& server = start_with_one_heap();
  {
    Crowd crowd;
    for (std::size_t i = 0; i < count; ++i)
      crowd.join(server.address()).outgoing = request({"PING"});
    ASSERT_TRUE(crowd.run([&] {
      return crowd.count([](const Member& m) { return m.incoming == pong; }) ==
             count;
    }));
    // Where each has a process, one frame is too much for any.
    for (const pid_t child : server.process().children())
      limit_addresses(child, 256 << 10);
    limit_addresses(server.process().pid(), 4 << 20);
    for (auto& member : crowd.members())
      member->outgoing =
          "*2\r\n$4\r\nECHO\r\n$1000000\r\n" + std::string(600'000, 'x');
    // All have been taken, or their conversations are over.
    EXPECT_TRUE(crowd.run([&] {
      return crowd.count([](const Member& m) {
        return m.outgoing.empty() || !m.open();
      }) == count &&
             crowd.count([](const Member& m) { return !m.open(); }) > 0;
    })) << crowd.state();
  }
  expect_alive(server);
}

TEST_P(Starved, PeersForWhomThereIsNoMemoryAreLost) {
  if (sanitized()) GTEST_SKIP() << "a sanitizer needs addresses";
  REQUIRE_CONCURRENT(4000u);
  Server& server = start_with_one_heap();
  EXPECT_EQ(server.ask({"PING"}), pong);
  limit_addresses(server.process().pid(), 64 << 10);
  {
    Crowd crowd;
    for (std::size_t i = 0; i < 4000; ++i) crowd.join(server.address());
    EXPECT_TRUE(crowd.run([&] {
      return crowd.count([](const Member& m) { return !m.open(); }) > 0;
    }));
  }
  // A little is needed to be asked at all.
  limit_addresses(server.process().pid(), 64 << 20);
  expect_alive(server);
}

// An idle peer holds what its model's README says, whatever it has asked.
TEST_P(Starved, IdlePeersKeepNothingOfWhatTheyAsked) {
  const std::size_t count = 150;
  REQUIRE_CONCURRENT(count);
  Server& server = start({"--buffers-max", "4m"});
  std::vector<Peer> peers;
  for (std::size_t i = 0; i < count; ++i) {
    peers.push_back(server.connect());
    ASSERT_EQ(peers.back().ask({"ECHO", std::string(31'000, 'x')}),
              bulk(std::string(31'000, 'x')));
  }
  for (Peer& peer : peers) ASSERT_EQ(peer.ask({"PING"}), pong);
  peers.clear();
  EXPECT_EQ(server.stop(), 0);
  EXPECT_EQ(server.account().at("evicted"), 0);
}

INSTANTIATE_TEST_SUITE_P(Servers, Starved, testing::ValuesIn(servers()),
                         name_of);

class Places : public RingTest {
 protected:
  /// A node with so many descriptors, in a ring with others that take
  /// connections and never answer.
  Server& start_among(std::size_t others, std::size_t descriptors) {
    Descriptor own = bind_socket();
    std::string ring = address_of(own);
    for (std::size_t i = 0; i < others; ++i) {
      silent_.push_back(bind_socket());
      EXPECT_EQ(::listen(silent_.back().get(), 16), 0);
      ring += "," + address_of(silent_.back());
    }
    const std::string threads = traits()["threads"] == "loops" ? "8" : "1";
    return start(
        {GetParam().name, "/bin/sh"},
        {"-c",
         "ulimit -n " + std::to_string(descriptors) + "; exec \"$0\" \"$@\"",
         GetParam().path, "--threads", threads, "--lookup-time", "200",
         "--ring", ring},
        std::move(own));
  }

 private:
  std::vector<Descriptor> silent_;
};

// What the node itself needs, for each loop and each other node, is not given
// to peers. Whoever is asked does not answer; but every one of them can be
// asked.
TEST_P(Places, AreLeftForTheOtherNodes) {
  Server& node = start_among(39, 256);
  // One has just been used, and may not be free yet.
  const std::size_t most = std::stoul(node.figures().at("maxclients")) - 1;
  REQUIRE_CONCURRENT(most);
  Crowd crowd;
  for (std::size_t i = 0; i < most; ++i)
    crowd.join(node.address()).outgoing = request({"PING"});
  ASSERT_TRUE(crowd.run([&] {
    return crowd.count([](const Member& m) { return m.incoming == pong; }) ==
           most;
  })) << crowd.state();
  for (std::size_t i = 0; i < most; ++i)
    crowd.members()[i]->outgoing = request({"DHT.LOOKUP", std::to_string(i)});
  ASSERT_TRUE(crowd.run([&] {
    return crowd.count([](const Member& m) {
      return m.incoming.size() > pong.size();
    }) == most;
  })) << crowd.state();
  for (const auto& member : crowd.members())
    EXPECT_EQ(member->incoming.find("open files"), std::string::npos)
        << member->incoming;
}

INSTANTIATE_TEST_SUITE_P(Servers, Places, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
