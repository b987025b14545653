// What only this model promises: calls per request, and threads that end.

#include <sys/resource.h>

#include <filesystem>

#include "tests/model/instructions.hpp"
#include "tests/model/loop.hpp"

namespace {

using tests::LaterService;
using tests::Loop;
using tests::soon;
using tests::Visitor;

const unsigned options_set = net::counter("sys.", "setsockopt");

std::ptrdiff_t threads() {
  using namespace std::filesystem;
  return std::distance(directory_iterator("/proc/self/task"),
                       directory_iterator());
}

TEST(Blocking, TheTimeToReceiveIsLimitedOnlyInsideAFrame) {
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  const auto echo = [&] {
    peer.write("ECHO a\r\n");
    ASSERT_EQ(peer.read(7), "$1\r\na\r\n");
  };
  echo();
  const std::uint64_t before = net::total(options_set);
  for (int i = 0; i < 100; ++i) echo();
  EXPECT_EQ(net::total(options_set), before);
  peer.write("EC");
  EXPECT_TRUE(soon([&] { return net::total(options_set) == before + 1; }));
  peer.write("HO a\r\n");
  EXPECT_EQ(peer.read(7), "$1\r\na\r\n");
  EXPECT_TRUE(soon([&] { return net::total(options_set) == before + 2; }));
}

TEST(Blocking, AThreadEndsWithItsPeer) {
  constexpr std::ptrdiff_t count = 40;
  if (model::server.variant != std::string_view("thread"))
    GTEST_SKIP() << "its threads stay";
  LaterService service;
  Loop loop(service);
  for (int round = 0; round < 5; ++round) {
    std::vector<std::unique_ptr<Visitor>> peers;
    for (int i = 0; i < count; ++i) {
      peers.push_back(std::make_unique<Visitor>(loop.address));
      peers.back()->write("ECHO a\r\n");
      EXPECT_EQ(peers.back()->read(7), "$1\r\na\r\n");
    }
    // Threads that have been joined may still be listed, here as well as in a
    // count before: so what is counted is how many fewer there are afterwards.
    const std::ptrdiff_t most = threads();
    EXPECT_GT(most, count);
    peers.clear();
    EXPECT_TRUE(soon([&] { return loop.clients() == 0; }));
    EXPECT_TRUE(soon([&] { return threads() <= most - count; }));
  }
}

/// How often threads of this process have gone to sleep by themselves.
long sleeps() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nvcsw;
}

// Each of them goes to sleep again after its answer; the others sleep on.
TEST(Blocking, AnAnswerWakesTheThreadThatWaitsForItAndNoOther) {
  REQUIRE_ONE_PROCESS();
  constexpr int count = 60;
  REQUIRE_CONCURRENT(60u);
  LaterService service;
  Loop loop(service);
  std::vector<std::unique_ptr<Visitor>> peers;
  std::vector<LaterService::Asked> asked;
  for (int i = 0; i < count; ++i) {
    peers.push_back(std::make_unique<Visitor>(loop.address));
    peers.back()->write("LATER x\r\n");
    asked.push_back(service.take());
  }
  const long before = sleeps();
  for (int i = 0; i < count; ++i) {
    asked[static_cast<std::size_t>(i)].post();
    EXPECT_EQ(peers[static_cast<std::size_t>(i)]->read(4), "+x\r\n");
  }
  // Its own, this one's, and a few for locks.
  EXPECT_LE(sleeps() - before, 8 * count);
}

TEST(Blocking, ThreadsInEveryKindOfSleepAreCalledBack) {
  REQUIRE_ONE_PROCESS();
  REQUIRE_CONCURRENT(3u);
  LaterService service;
  Loop loop(service);
  Visitor idle(loop.address), waiting(loop.address), deaf(loop.address);
  idle.write("ECHO a\r\n");
  ASSERT_EQ(idle.read(7), "$1\r\na\r\n");
  waiting.write("LATER x\r\n");
  const LaterService::Asked asked = service.take();
  // It reads nothing: its thread sleeps in send(2), we in ours.
  const std::string value(1'000'000, 'v');
  const std::string request =
      "*2\r\n$4\r\nECHO\r\n$1000000\r\n" + value + "\r\n";
  std::size_t sent = 0;
  const timeval limit{.tv_sec = 0, .tv_usec = 300'000};
  ::setsockopt(deaf.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  for (ssize_t n = 1; n > 0; sent += n > 0 ? static_cast<std::size_t>(n) : 0)
    n = ::send(deaf.fd(), request.data() + sent % request.size(),
               request.size() - sent % request.size(), MSG_NOSIGNAL);
  std::thread stopper([&] { loop.stop(); });
  EXPECT_EQ(idle.read(1), "");
  asked.post();
  EXPECT_EQ(waiting.read(5), "+x\r\n");
  idle.leave();
  waiting.leave();
  stopper.join();  // the deaf one is reset when its time is up
}

TEST(Blocking, AnEchoTakesSoManyInstructions) {
  REQUIRE_ONE_PROCESS();  // callgrind's numbers are those of one
  tests::expect_instructions(
      {{"thread", 1346}, {"iterative", 1346}, {"pool", 1346}});
}

}  // namespace
