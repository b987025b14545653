// What one peer has sent is answered in portions, with the other peers between
// them: counted, not timed.

#include <signal.h>

#include "tests/conformance/crowd.hpp"
#include "tests/conformance/server.hpp"
#include "tests/conformance/table.hpp"

namespace conformance {
namespace {

constexpr std::size_t requests = 600;
constexpr std::size_t nodes = 60;
const std::string mark = "this was the last";

std::string times(std::size_t count, const std::string& text) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += text;
  return all;
}

std::string repeated(std::size_t count, const Words& words, std::size_t last) {
  std::vector<std::string> all = words;
  for (std::size_t i = 0; i < count; ++i)
    all.insert(all.end(), words.end() - static_cast<long>(last), words.end());
  return request(all);
}

class Portions : public ServerTest {
 protected:
  /// One node of a ring of many, of whom none is there but this one.
  Server& start_in_ring() {
    Descriptor socket = bind_socket();
    std::string list = address_of(socket);
    for (std::size_t i = 1; i < nodes; ++i)
      list += ",127.0.0.2:" + std::to_string(i);
    Server& server = launch(GetParam(), {"--ring", list}, std::move(socket));
    server.await_ready();
    return server;
  }

  static void fill_store(Server& server, std::size_t keys) {
    Peer peer = server.connect();
    std::string sets;
    for (std::size_t i = 0; i < keys; ++i)
      sets += request({"SET", std::to_string(i), "v"});
    Crowd crowd;
    Member& member = crowd.join(server.address());
    member.outgoing = std::move(sets);
    member.expects = keys * ok.size();
    ASSERT_TRUE(crowd.run([&] { return member.closed; })) << crowd.state();
  }

  /// What came to pass while one peer's requests were answered.
  struct Beside {
    std::size_t pings = 0;  // another peer's: asked in the middle, and answered
    Milliseconds cpu_time{0};
  };
  static Beside ask_beside(Server& server, const std::string& one) {
    Crowd crowd;
    Member& dear = crowd.join(server.address());
    Member& other = crowd.join(server.address());
    other.outgoing = request({"PING"});
    EXPECT_TRUE(crowd.run([&] { return other.incoming == pong; }));
    const Milliseconds before = server.process().cpu_time();
    dear.outgoing = times(requests, one) + request({"ECHO", mark});
    const std::string last = bulk(mark);
    Beside beside;
    std::size_t asked = 0;
    EXPECT_TRUE(crowd.run([&] {
      if (dear.incoming.ends_with(last) || !dear.open()) return true;
      if (dear.incoming.empty()) return false;  // not in the middle yet
      if (dear.incoming.size() > (1 << 20))
        dear.incoming.erase(0, dear.incoming.size() - last.size());
      if (asked != 0 && other.incoming.size() == (1 + asked) * pong.size())
        beside.pings = asked;
      if (beside.pings == asked) {
        ++asked;
        other.outgoing += request({"PING"});
      }
      return false;
    })) << crowd.state();
    EXPECT_TRUE(dear.open()) << crowd.state();
    beside.cpu_time = server.process().cpu_time() - before;
    return beside;
  }

  /// Not one answer to the other peer would mean that all were answered in one
  /// go. Who takes no time keeps nobody waiting; and this process may itself
  /// have been kept from asking.
  static void expect_others_between(Server& server, const std::string& one,
                                    const std::string& title) {
    constexpr std::size_t least = 3;
    Beside beside;
    for (int attempt = 0; attempt < 3 && beside.pings < least; ++attempt) {
      beside = ask_beside(server, one);
      if (beside.cpu_time < Milliseconds(100)) return;
    }
    EXPECT_GE(beside.pings, least)
        << title << ": " << beside.cpu_time.count() << " ms for itself";
  }
};

TEST_P(Portions, SixHundredOfAnyCommandLetOthersBetween) {
  REQUIRE_CONCURRENT(2u);
  Server& server = start_in_ring();
  Peer peer = server.connect();
  const auto table = table_of(peer);
  for (const Words& words : requests_of(table, "0"))
    expect_others_between(server, request(words), title_of(words));
}

// Long patterns, many keys, a full store, INFO with all there is.
TEST_P(Portions, SixHundredOfTheDearestLetOthersBetween) {
  REQUIRE_CONCURRENT(2u);
  Server& server = start();
  fill_store(server, size_of(100'000, 10'000));
  const std::string pattern = times(50, "*[");
  for (const Words& words :
       std::vector<Words>{{"CLUSTER", "COUNTKEYSINSLOT", "0"},
                          {"CONFIG", "GET", pattern},
                          {"CONFIG", "GET", "*"},
                          {"INFO", "everything"},
                          {"COMMAND", "DOCS"},
                          {"COMMAND", "INFO"}})
    expect_others_between(server, request(words), title_of(words));
  for (const Words& words : std::vector<Words>{{"EXISTS", "1"},
                                               {"DEL", "no"},
                                               {"COMMAND", "INFO", "get"},
                                               {"COMMAND", "DOCS", "get"},
                                               {"INFO", "stats"},
                                               {"CONFIG", "GET", "*max*"}})
    expect_others_between(server, repeated(2000, words, 1), title_of(words));
}

TEST_P(Portions, AStopInTheMiddleIsHeard) {
  REQUIRE_CONCURRENT(20u);
  for (const Words& words :
       std::vector<Words>{{"COMMAND", "DOCS"},
                          {"CLUSTER", "COUNTKEYSINSLOT", "0"},
                          {"INFO", "everything"}}) {
    Server& server = start();
    fill_store(server, size_of(100'000, 10'000));
    Crowd crowd;
    for (std::size_t i = 0; i < size_of(20, 4); ++i)
      crowd.join(server.address()).outgoing = times(requests, request(words));
    EXPECT_TRUE(crowd.run([&] {
      return crowd.count([](const Member& m) { return !m.incoming.empty(); });
    }));
    server.process().signal(SIGTERM);
    EXPECT_EQ(server.process().wait(stop_bound()), 0) << title_of(words);
    EXPECT_GE(server.account().at("requests"), 1) << title_of(words);
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, Portions, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
