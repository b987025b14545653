// More peers than places: --max-clients, and a real end of descriptors.

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "tests/conformance/crowd.hpp"
#include "tests/conformance/server.hpp"
#include "tests/conformance/tracer.hpp"

namespace conformance {
namespace {

const std::string too_many = "-ERR max number of clients reached\r\n";

class Full : public ServerTest {
 protected:
  /// Peers come until one is served: those who left need a moment to be gone.
  static bool served_again(const Server& server) {
    return eventually([&] {
      try {
        return server.ask({"PING"}) == pong;
      } catch (const Trouble&) {
        return false;  // told that there are too many, and reset
      }
    });
  }
  /// With a limit of its own from the beginning: a request to accept that is
  /// with the kernel keeps the one under which it was made.
  Server& start_with_descriptors(int count) {
    return start(
        {GetParam().name, "/bin/sh"},
        {"-c", "ulimit -n " + std::to_string(count) + "; exec \"$0\" \"$@\"",
         GetParam().path, "--max-clients", "1000"},
        bind_socket());
  }
  /// All system calls that the server has counted, if it has to count them.
  std::size_t calls(Peer& observer) const {
    std::size_t sum = 0;
    if (!held_to(Level::ring)) return sum;
    for (const auto& [name, value] : Server::figures(observer, "syscalls"))
      if (name.starts_with("syscall_"))
        sum += number_of(value, "INFO's " + name);
    return sum;
  }
};

TEST_P(Full, AboveMaxClientsPeersAreToldOrWait) {
  REQUIRE_CONCURRENT(10u);
  Server& server = start({"--max-clients", "10"});
  std::vector<Peer> inside;
  for (int i = 0; i < 10; ++i) {
    inside.push_back(server.connect());
    ASSERT_EQ(inside.back().ask({"PING"}), pong);
  }
  std::vector<Peer> outside;
  for (int i = 0; i < 20; ++i) outside.push_back(server.connect());
  const bool told = traits()["full"] != "queue";
  if (told) {
    for (Peer& peer : outside) EXPECT_EQ(peer.rest(), too_many);
  }
  for (Peer& peer : inside) EXPECT_EQ(peer.ask({"PING"}), pong);
  inside.clear();
  if (told) outside.clear();
  // Who was left in the queue is served now.
  for (Peer& peer : outside) {
    EXPECT_EQ(peer.ask({"PING"}), pong);
    peer.close();
  }
  EXPECT_TRUE(served_again(server));
  outside.clear();
  server.stop();
  const Account account = server.account();
  EXPECT_GE(account.at("refused"), told ? 20 : 0);
}

// However a model serves a peer: where it takes a thread or a process, and
// there can be no more of these, the peer learns it.
TEST_P(Full, WithoutAThreadForHimAPeerIsTold) {
  if (!Tracer::obstacle().empty()) GTEST_SKIP() << Tracer::obstacle();
  REQUIRE_CONCURRENT(6u);
  Server& server = start();
  Peer inside = server.connect();
  EXPECT_EQ(inside.ask({"PING"}), pong);
  Tracer tracer(server, {"-e", "trace=clone,clone3,fork", "-e",
                         "inject=clone,clone3,fork:error=EAGAIN"});
  std::size_t told = 0;
  for (int i = 0; i < 5; ++i) {
    Peer peer = server.connect();
    peer.finish();
    told += peer.rest() == too_many;
  }
  EXPECT_EQ(inside.ask({"PING"}), pong);
  EXPECT_EQ(Server::figure(inside, "no_thread_clients"), told);
  EXPECT_TRUE(told == 5 || (told == 0 && traits()["full"] != "processes"));
  tracer.finish(sleeps());
  EXPECT_EQ(server.ask({"PING"}), pong);
}

/// May this process, and those that it starts, have so many descriptors?
bool allow_descriptors(rlim_t count) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= count;
}

// As many as a model may have no room for (a set of select's has 1024 bits),
// whatever --max-clients allows.
TEST_P(Full, FifteenHundredAreServedOrTold) {
  REQUIRE_CONCURRENT(300u);
  const std::size_t peers = 1500;
  if (!allow_descriptors(peers + 100)) GTEST_SKIP() << "too few descriptors";
  Server& server = start({"--max-clients", "2000"});
  Crowd crowd;
  for (std::size_t i = 0; i < peers; ++i)
    crowd.join(server.address()).outgoing = request({"ECHO", "hello"});
  const auto served = [](const Member& m) {
    return m.incoming == bulk("hello") && m.open();
  };
  const auto refused = [](const Member& m) {
    return m.incoming == too_many && !m.open();
  };
  ASSERT_TRUE(crowd.run([&] {
    return crowd.count(served) + crowd.count(refused) == peers;
  })) << crowd.state();
  EXPECT_GE(crowd.count(served), std::min(peers, traits().concurrent()));
  const std::size_t told = crowd.count(refused);
  // At the stop, full as it is, each of those who are served gets its end.
  server.process().signal(SIGTERM);
  EXPECT_TRUE(crowd.run([&] {
    return crowd.count([](const Member& m) { return m.open(); }) == 0;
  })) << crowd.state();
  EXPECT_EQ(crowd.count([](const Member& m) { return m.reset; }), 0u);
  crowd.members().clear();
  EXPECT_EQ(server.process().wait(), 0);
  EXPECT_EQ(server.account().at("refused"), told);
}

/// Two hundred peers ask, and each learns that it is served or that it is not;
/// where the others are left in the queue, only the first learn anything.
void ask_all(Crowd& crowd, const Server& server, bool told) {
  for (int i = 0; i < 200; ++i)
    crowd.join(server.address()).outgoing = request({"PING"});
  const auto served = [](const Member& m) { return m.incoming == pong; };
  const auto refused = [](const Member& m) { return m.incoming == too_many; };
  EXPECT_TRUE(crowd.run([&] {
    return told ? crowd.count(served) + crowd.count(refused) == 200
                : crowd.count(served) >= 15;
  })) << crowd.state();
  EXPECT_GE(crowd.count(served), 10u);
}

/// Lowers the limit of a running process to what it has open and a bit more.
void limit_descriptors(Process& process, std::size_t more) {
  const rlim_t limit = process.descriptors() + more;
  const rlimit both{limit, limit};
  if (::prlimit(process.pid(), RLIMIT_NOFILE, &both, nullptr) != 0)
    throw Trouble("prlimit failed");
}

// accept takes a descriptor before it looks for a peer, so at the limit it
// fails at once and for ever: a server that asks again at once spins.
TEST_P(Full, WithoutDescriptorsItNeitherSpinsNorDies) {
  REQUIRE_CONCURRENT(30u);
  Server& server = start_with_descriptors(64);
  // What happens later has happened once: UBSan needs a descriptor when it
  // looks at a type for the first time.
  EXPECT_EQ(server.ask({"PING"}), pong);
  Peer observer = server.connect();
  calls(observer);
  limit_descriptors(server.process(), 20);
  Crowd crowd;
  ask_all(crowd, server, traits()["full"] != "queue");

  // More come: nothing is to be done for them but to tell them.
  std::vector<Peer> waiting;
  for (int i = 0; i < 20; ++i) waiting.push_back(server.connect());
  const auto calls_before = calls(observer);
  if (sleeps()) {
    EXPECT_LE(server.cpu_time_in(Milliseconds(500)),
              at_rest(Milliseconds(500)));
    EXPECT_LE(calls(observer) - calls_before, 1000u);
  }
  EXPECT_EQ(observer.ask({"PING"}), pong);

  waiting.clear();
  crowd.members().clear();
  EXPECT_TRUE(served_again(server));
  observer.close();
  EXPECT_EQ(server.stop(), 0);
  // 200 peers and some who tried again: a spinning server makes millions.
  const Account account = server.account();
  const auto accepts = account.find("calls.accept4");
  if (!sleeps()) return;
  EXPECT_LE(accepts == account.end() ? 0 : accepts->second, 5000);
}

/// Does anybody listen on the server's port? Asked of proc(5), since who tries
/// to connect may be what closes it.
bool is_listening(const Server& server) {
  char port[8];
  std::snprintf(port, sizeof port, ":%04lX",
                number_of(server.port(), "a port"));
  std::ifstream table("/proc/net/tcp");
  for (std::string line; std::getline(table, line);) {
    std::istringstream words(line);
    std::string number, here, there, state;
    words >> number >> here >> there >> state;
    if (here.ends_with(port) && state == "0A") return true;
  }
  return false;
}

// However a model waits for room, at the stop it gives up waiting.
TEST_P(Full, WithoutDescriptorsTheStopClosesTheListener) {
  REQUIRE_CONCURRENT(30u);
  Server& server = start_with_descriptors(64);
  EXPECT_EQ(server.ask({"PING"}), pong);
  Peer peer = server.connect();
  EXPECT_EQ(peer.ask({"PING"}), pong);
  Crowd crowd;
  ask_all(crowd, server, traits()["full"] != "queue");
  EXPECT_TRUE(is_listening(server));
  server.process().signal(SIGTERM);
  EXPECT_EQ(peer.rest(), "");
  EXPECT_FALSE(is_listening(server));
  peer.close();
  crowd.members().clear();
  EXPECT_EQ(server.process().wait(), 0);
}

INSTANTIATE_TEST_SUITE_P(Servers, Full, testing::ValuesIn(servers()), name_of);

}  // namespace
}  // namespace conformance
