// What only this model promises: what is armed, and that nothing spins.

#include "tests/model/instructions.hpp"
#include "tests/model/loop.hpp"

namespace {

using tests::HoldingService;
using tests::LaterService;
using tests::Loop;
using tests::soon;
using tests::Visitor;

const unsigned waits = net::counter("sys.", "epoll_wait");
const unsigned changes = net::counter("sys.", "epoll_ctl");
const unsigned receives = net::counter("sys.", "recv");

/// All threads have gone to sleep, and nothing more is received, since the loop
/// does not want it.
bool quiet() {
  const std::uint64_t before = net::total(receives) + net::total(waits);
  ::poll(nullptr, 0, 50);
  return net::total(receives) + net::total(waits) == before;
}

/// How often a request arms something anew.
double changes_per_request() {
  for (const net::Ideal& ideal : model::server.ideal)
    if (std::string_view(ideal.call) == "epoll_ctl") return ideal.per_request;
  return 0;
}

TEST(Epoll, ARequestChangesNothingThatIsArmedOrArmsAgainOnce) {
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
  // The last one may be armed when its answer has been read already.
  EXPECT_NEAR(static_cast<double>(net::total(changes) - before),
              100 * changes_per_request(), changes_per_request());
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
  EXPECT_TRUE(soon(quiet));
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

/// LATER text, of which the letter is posted before the request is over: the
/// conversation is in the hands of whoever answers it.
class AtOnceService final : public protocol::Service {
 public:
  void answer(std::span<const std::string_view> arguments,
              protocol::Reply& reply) override {
    const std::string text(arguments.back());
    if (arguments[0] != "LATER") return reply.bulk(text);
    const protocol::ReturnAddress to = reply.later();
    to.postbox->post({to.conversation, "+" + text + "\r\n"});
  }
  const protocol::Limits& limits() const override { return limits_; }
  protocol::Budget& budget() override { return budget_; }

 private:
  const protocol::Limits limits_;
  protocol::Budget budget_{256 << 20};
};

// What a peer sends who is being served is nobody else's: no other thread
// wakes, which it would again and again.
TEST(Epoll, BytesOfAPeerWhoIsBeingServedWakeNobody) {
  HoldingService service;
  Loop loop(service);
  Visitor peer(loop.address);
  peer.write("HOLD\r\n");
  service.held.wait();
  ASSERT_TRUE(soon(quiet));
  const std::uint64_t before = net::total(waits);
  peer.write("HOLD\r\n");
  ::poll(nullptr, 0, 50);
  EXPECT_LE(net::total(waits), before + 1);
  service.let_go.count_down();
  EXPECT_EQ(peer.read(10), "+OK\r\n+OK\r\n");
}

// And while events of the same peer come: what it sends next, and room.
TEST(Epoll, ALetterForWhoIsBeingServedComesOnceAndInOrder) {
  constexpr int peers = 4;
  const int letters = tests::sized(10'000, 100'000) / peers;
  AtOnceService service;
  Loop loop(service);
  const auto talk = [&](const std::string& name) {
    Visitor peer(loop.address);
    for (int i = 0; i < letters; ++i) {
      const std::string text = name + std::to_string(i);
      peer.write("LATER " + text + "\r\n");
      peer.write("ECHO a\r\n");
      const std::string answers = "+" + text + "\r\n$1\r\na\r\n";
      ASSERT_EQ(peer.read(answers.size()), answers);
    }
  };
  std::vector<std::thread> talkers;
  for (int i = 0; i < peers; ++i)
    talkers.emplace_back(talk, std::string(1, static_cast<char>('a' + i)));
  for (std::thread& talker : talkers) talker.join();
}

TEST(Epoll, AnEchoTakesSoManyInstructions) {
  tests::expect_instructions(
      {{"level", 1455}, {"edge", 1470}, {"oneshot", 1775}});
}

}  // namespace
