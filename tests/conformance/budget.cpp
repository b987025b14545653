// What peers have sent is in the budget of buffers, or next to nothing: peers
// who have said the longest that a command takes, and are idle now, cost no
// memory that nobody counts.

#include <cstdlib>
#include <thread>

#include "tests/conformance/server.hpp"
#include "tests/conformance/table.hpp"

namespace conformance {
namespace {

constexpr std::size_t peers = 150;
constexpr std::size_t each = 1 << 10;
// A peer's own thread keeps what it needed of its stack: a page, or two.
constexpr std::size_t each_thread = 8 << 10;
// His own process keeps pages of a heap.
constexpr std::size_t each_process = 48 << 10;

class BudgetTest : public ServerTest {
 protected:
  /// What an allocator keeps for many threads depends on how many were in it at
  /// once, on a busy machine more: so it serves one, and gives back what lies
  /// free at its end (mallopt(3)).
  BudgetTest() {
    ::setenv("MALLOC_ARENA_MAX", "1", 1);
    ::setenv("MALLOC_TRIM_THRESHOLD_", "131072", 1);
  }
  ~BudgetTest() override {
    ::unsetenv("MALLOC_ARENA_MAX");
    ::unsetenv("MALLOC_TRIM_THRESHOLD_");
  }

  /// Memory of its own beyond what the budget knows of, when it no longer
  /// changes: who has answered may still give things back.
  static std::size_t beyond_budget(Server& server, Peer& observer) {
    std::size_t seen = 0, same = 0;
    eventually([&] {
      const std::size_t used = Server::figure(observer, "buffers_used");
      const std::size_t now = server.process().anonymous();
      const std::size_t beyond = now > used ? now - used : 0;
      same = beyond == seen ? same + 1 : 0;
      seen = beyond;
      std::this_thread::sleep_for(Milliseconds(2));
      return same == 10;
    });
    return seen;
  }

  using Requests = std::vector<std::string>;

  static std::vector<Peer> join(const Server& server) {
    std::vector<Peer> all;
    for (std::size_t i = 0; i < peers; ++i) {
      all.push_back(server.connect());
      EXPECT_EQ(all.back().ask({"PING"}), pong);
    }
    return all;
  }

  /// Each peer sends all of this and is idle then. One after the other: of many
  /// at once that send long requests, some would be closed for the budget.
  static void say(std::vector<Peer>& all, const Requests& requests) {
    for (Peer& peer : all)
      for (const std::string& one : requests) {
        peer.send(one);
        peer.frame();
      }
  }

  std::size_t allowed() const {
    if (traits()["full"] == "processes") return each_process;
    return threaded_ ? each_thread : each;
  }

  /// What each of those costs who have sent these bytes, beyond the budget. All
  /// that the process takes once and keeps (a heap that has grown, the memory
  /// of an allocator for many threads) is taken before, by others like them; or
  /// by the first of two such crowds, of which the cheaper one counts: what a
  /// peer really keeps, the second would take as the first did.
  std::size_t cost(Server& server, const Requests& requests) {
    Peer observer = server.connect();
    {
      auto others = join(server);
      say(others, requests);
    }
    std::vector<Peer> first, second;
    return std::min(cost_of(first, server, observer, requests),
                    cost_of(second, server, observer, requests));
  }

  std::size_t cost_of(std::vector<Peer>& all, Server& server, Peer& observer,
                      const Requests& requests) {
    all = join(server);
    threaded_ = server.process().threads() > peers;
    const std::size_t before = beyond_budget(server, observer);
    say(all, requests);
    const std::size_t after = beyond_budget(server, observer);
    for (Peer& peer : all) EXPECT_EQ(peer.ask({"PING"}), pong);
    return after > before ? (after - before) / peers : 0;
  }

 private:
  bool threaded_ = false;  // each peer has a thread of its own
};

// A sanitizer's own memory, and what it does not give back at once, is more
// than is looked for here.
#define NO_SANITIZER() \
  if (sanitized()) GTEST_SKIP() << "a sanitizer keeps freed memory"

TEST_P(BudgetTest, AllCommandsWithAllArgumentsLongLeaveNothingWithIdlePeers) {
  NO_SANITIZER();
  REQUIRE_CONCURRENT(3 * peers + 1);
  const Arguments options{"--buffers-max", "8m", "--bulk-max", "32k"};
  Server& server = start(options);
  Peer peer = server.connect();
  std::vector<std::string> all;
  for (const Words& words :
       requests_of(table_of(peer), std::string(32768, 'x')))
    all.push_back(request(words));
  const std::size_t kept = cost(server, all);
  EXPECT_LE(kept, allowed());
}

TEST_P(BudgetTest, ManyArgumentsLeaveNothingWithIdlePeers) {
  NO_SANITIZER();
  REQUIRE_CONCURRENT(3 * peers + 1);
  Server& server = start({"--buffers-max", "8m"});
  const std::vector<std::string> words(20'000, "k");
  std::string quoted = "EXISTS";
  for (int i = 0; i < 1000; ++i) quoted += " \"k\"";
  const std::size_t kept = cost(server, {request(words), quoted + "\r\n"});
  EXPECT_LE(kept, allowed());
}

// Each request for itself and as long as it may be by default; minutes.
TEST_P(BudgetTest, EachCommandWithEachArgumentLongLeavesNothing) {
  NO_SANITIZER();
  REQUIRE_CONCURRENT(3 * peers + 1);
  if (!everything()) GTEST_SKIP() << "only with EVERYTHING=1";
  Server& server = start({"--buffers-max", "8m"});
  Peer peer = server.connect();
  for (const Words& words :
       requests_of(table_of(peer), std::string(1 << 20, 'x'))) {
    const std::size_t kept = cost(server, {request(words)});
    EXPECT_LE(kept, allowed()) << title_of(words);
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, BudgetTest, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
