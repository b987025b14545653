// What `--traits` says is a promise, and each means something that can be seen.

#include <cstdlib>
#include <iterator>
#include <set>
#include <sstream>

#include "tests/conformance/crowd.hpp"
#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

class Promises : public ServerTest {};

TEST_P(Promises, AreOfKnownWords) {
  const std::map<std::string, std::set<std::string>> words{
      {"full", {"tell", "queue", "processes"}},
      {"sleeps", {"yes", "no"}},
      {"threads", {"none", "loops", "workers"}},
      {"duplex", {"yes", "no"}},
      {"store", {"yes", "no"}},
      {"limits", {"yes", "no"}},
      {"ring", {"yes", "no"}}};
  if (!traits().printed() && !held_to(Level::limits))
    GTEST_SKIP() << "it prints no traits";
  for (const auto& [name, values] : words)
    if (held_to(Level::limits) || traits().values.contains(name)) {
      EXPECT_TRUE(values.contains(traits().values.at(name)))
          << name << "=" << traits()[name];
    }
  EXPECT_GE(traits().concurrent(), 1u);
  EXPECT_NE(traits().values.at("model"), "");
  EXPECT_NE(traits().values.at("variant"), "");
  EXPECT_EQ(run({GetParam().path, "--traits"}).code, 0);
}

/// As many as are served at once may come at all, and who comes later is told.
bool tells_who_is_too_many(Server& server, const Traits& traits) {
  if (traits["full"] == "queue") return false;
  return number_of(server.figures().at("maxclients"), "maxclients") <=
         traits.concurrent();
}

// concurrent: as many are served at once as it says, and one more only when
// one of them has gone, or not at all where who is too many is told so.
TEST_P(Promises, ConcurrentIsTheNumberServedAtOnce) {
  Server& server = start();
  const bool told = tells_who_is_too_many(server, traits());
  const bool all = traits()["concurrent"] == "all";
  const std::size_t many = all ? size_of(300, 100) : traits().concurrent();
  std::vector<Peer> peers;
  for (std::size_t i = 0; i < many; ++i) {
    peers.push_back(server.connect());
    ASSERT_EQ(peers.back().ask({"PING"}), pong) << i;
  }
  // All of them are still there, the first as well as the last.
  for (Peer& peer : peers) ASSERT_EQ(peer.ask({"PING"}), pong);
  if (all) return;
  Peer waiting = server.connect();
  if (told) {
    EXPECT_EQ(waiting.rest(), "-ERR max number of clients reached\r\n");
    return;
  }
  waiting.send(request({"PING"}));
  EXPECT_FALSE(waiting.at_end(Milliseconds(200)));
  peers.pop_back();
  EXPECT_EQ(waiting.frame(), pong);
}

// The Makefile knows whom it can run in a ring (ALONE=, the others).
TEST_P(Promises, WhoIsNoNodeIsRunAlone) {
  const char* alone = std::getenv("ALONE");
  if (!alone) GTEST_SKIP() << "only of the Makefile's servers";
  std::istringstream names(alone);
  const std::set<std::string> listed{std::istream_iterator<std::string>(names),
                                     {}};
  EXPECT_EQ(traits()["ring"] == "no", listed.contains(GetParam().name));
}

// Who is served ends by himself, or is late with the request that he has begun.
TEST_P(Promises, ALaterOneIsServedWhenAnEarlierOneIsLate) {
  if (traits()["concurrent"] == "all") GTEST_SKIP() << "all are served at once";
  Server& server = start({"--frame-time", "400"});
  if (tells_who_is_too_many(server, traits()))
    GTEST_SKIP() << "a later one is told";
  std::vector<Peer> peers;
  for (std::size_t i = 0; i < traits().concurrent(); ++i) {
    peers.push_back(server.connect());
    ASSERT_EQ(peers.back().ask({"PING"}), pong) << i;
  }
  Peer waiting = server.connect();
  waiting.send(request({"PING"}));
  peers.front().send("*1\r\n$4\r\nPI");
  EXPECT_EQ(waiting.frame(), pong);
  EXPECT_EQ(peers.front().rest(), "");
}

// sleeps: no CPU time is used while nothing happens, with idle peers or
// without; or it is, and then it is the model's lesson.
TEST_P(Promises, SleepsMeansNoCpuTimeWhileIdle) {
  if (!traits().values.contains("sleeps"))
    GTEST_SKIP() << "it does not say whether it sleeps";
  Server& server = start();
  std::vector<Peer> peers;
  const std::size_t many = std::min<std::size_t>(traits().concurrent(), 20);
  for (std::size_t i = 0; i < many; ++i) {
    peers.push_back(server.connect());
    EXPECT_EQ(peers.back().ask({"PING"}), pong);
  }
  const Milliseconds window(500), tick(10);
  if (traits()["sleeps"] == "yes") {
    EXPECT_LE(server.cpu_time_in(window), (sanitized() ? 10 : 2) * tick);
  } else {
    EXPECT_TRUE(eventually([&] { return server.cpu_time_in(window) > tick; }));
  }
}

TEST_P(Promises, ThreadsAreMultipliedWhereItSaysSo) {
  if (traits()["threads"] == "none") {
    const Finished finished =
        run({GetParam().path, "--port", "0", "--threads", "2"});
    EXPECT_EQ(finished.code, 2);
    EXPECT_NE(finished.errors.find("threads"), std::string::npos);
    return;
  }
  const auto threads_with = [&](const char* number) {
    Server& server = start({"--threads", number});
    EXPECT_EQ(server.ask({"PING"}), pong);
    return server.process().threads();
  };
  EXPECT_EQ(threads_with("4"), threads_with("1") + 3);
}

// Several loops share a port, or one listening descriptor: everybody is
// served, and what one stores the others find.
TEST_P(Promises, AllThreadsServe) {
  if (traits()["threads"] == "none") GTEST_SKIP() << "it has no --threads";
  for (const bool shared : {true, false}) {
    std::unique_ptr<Server> server =
        shared
            ? std::make_unique<Server>(GetParam(), Arguments{"--threads", "3"})
            : std::make_unique<Server>(GetParam(), Arguments{"--threads", "3"},
                                       Server::Itself{});
    server->await_ready();
    EXPECT_EQ(server->ask({"SET", "key", "value"}), ok);
    Crowd crowd;
    for (int i = 0; i < 100; ++i) {
      Member& member = crowd.join(server->address());
      for (int n = 0; n < 50; ++n) member.outgoing += request({"GET", "key"});
      member.expects = 50 * bulk("value").size();
    }
    EXPECT_TRUE(crowd.run([&] { return crowd.all_closed(); })) << crowd.state();
    EXPECT_EQ(server->stop(), 0) << server->process().errors();
    EXPECT_EQ(server->account().at("requests"), 1 + 100 * 50);
    EXPECT_EQ(server->complaint(), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, Promises, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
