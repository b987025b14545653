// What only this model promises: what is armed, and that nothing spins.

#include "tests/model/instructions.hpp"
#include "tests/model/loop.hpp"

namespace {

using tests::LaterService;
using tests::Loop;
using tests::soon;
using tests::Visitor;

const unsigned waits = net::counter("sys.", "epoll_wait");
const unsigned changes = net::counter("sys.", "epoll_ctl");
const unsigned receives = net::counter("sys.", "recv");

/// Nothing more is received, since the loop does not want it.
bool quiet() {
  const std::uint64_t before = net::total(receives);
  ::poll(nullptr, 0, 50);
  return net::total(receives) == before;
}

TEST(Epoll, ARequestChangesNothingThatIsArmed) {
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  const auto echo = [&] {
    peer.write("ECHO a\r\n");
    ASSERT_EQ(peer.read(7), "$1\r\na\r\n");
  };
  echo();
  const std::uint64_t before = net::total(changes);
  for (int i = 0; i < 100; ++i) echo();
  EXPECT_EQ(net::total(changes), before);
}

TEST(Epoll, WritableIsArmedOnlyWhileSomethingIsUnsent) {
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  const std::string value(1'000'000, 'v');
  const std::string request =
      "*2\r\n$4\r\nECHO\r\n$1000000\r\n" + value + "\r\n";
  std::thread writer([&] {
    for (int i = 0; i < 16; ++i) peer.write(request);
  });
  for (int i = 0; i < 16; ++i) {
    ASSERT_EQ(peer.read(10), "$1000000\r\n");
    ASSERT_EQ(peer.read(value.size() + 2), value + "\r\n");
  }
  writer.join();
  const std::uint64_t before = net::total(waits);
  ::poll(nullptr, 0, 50);
  EXPECT_LE(net::total(waits), before + 2);
}

// The kernel reports EPOLLERR and EPOLLHUP of a socket for which nothing is
// armed, again and again; by edges once, and never more.
TEST(Epoll, APeerThatResetsWhileNothingIsArmedIsClosed) {
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  peer.write("ECHO a\r\n");
  ASSERT_EQ(peer.read(7), "$1\r\na\r\n");
  peer.write("LATER x\r\n" + std::string(service.limits().parked_max, '\n'));
  const LaterService::Asked asked = service.take();
  ASSERT_TRUE(soon(quiet));
  const std::uint64_t before = net::total(waits);
  peer.reset();
  EXPECT_TRUE(soon([&] { return loop.clients() == 0; }));
  EXPECT_LE(net::total(waits), before + 4);
  asked.post();
}

TEST(Epoll, AnEchoTakesSoManyInstructions) {
  tests::expect_instructions({{"level", 1455}, {"edge", 1470}});
}

}  // namespace
