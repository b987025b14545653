// What every model promises of turns: whoever has sent much is answered in
// portions, with the others between them; whoever comes has a turn among those
// who are busy.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>

#include "net/clock.hpp"
#include "tests/model/loop.hpp"

namespace {

using tests::Loop;
using tests::soon;
using tests::Visitor;

/// Keeps in mind who has been answered, in order. HOLD waits until it is let
/// go, DEAR spends more than a portion, and `dear_time`.
class Bookkeeper final : public protocol::Service {
 public:
  void answer(std::span<const std::string_view> arguments,
              protocol::Reply& reply) override {
    const std::string_view command = arguments[0];
    if (command == "HOLD") {
      held.count_down();
      let_go.wait();
    }
    if (command == "DEAR") {
      reply.spend(1 << 20);
      const auto end = net::now() + dear_time.count();
      while (net::now() < end) {
      }
    }
    {
      const std::scoped_lock lock(mutex_);
      order_.emplace_back(command);
    }
    reply.simple("OK");
  }
  const protocol::Limits& limits() const override { return limits_; }
  protocol::Budget& budget() override { return budget_; }

  std::vector<std::string> order() {
    const std::scoped_lock lock(mutex_);
    return order_;
  }

  std::latch held{1}, let_go{1};
  std::chrono::nanoseconds dear_time{0};

 private:
  protocol::Limits limits_;
  protocol::Budget budget_{256 << 20};
  std::mutex mutex_;
  std::vector<std::string> order_;
};

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

/// A loop has its conversations and lets in its peers.
bool is_loop() {
  return std::string_view(model::server.traits.threads) == "loops";
}
/// All conversations wait for one thread; else each has one of its own.
bool one_for_all() { return is_loop() || model::server.traits.one_for_all; }

// They have come in one packet, and nothing more will come that would wake the
// loop.
TEST(Turns, AreTakenBetweenThePortionsOfOnePeer) {
  REQUIRE_ONE_PROCESS();
  constexpr int dear = 50;
  REQUIRE_CONCURRENT(2u);
  Bookkeeper service;
  Loop loop(service);
  Visitor busy(loop.address), other(loop.address);
  other.write("FIRST\r\n");  // the loop knows it
  ASSERT_EQ(other.read(5), "+OK\r\n");
  ::poll(nullptr, 0, 100);  // and waits for it again
  busy.write("HOLD\r\n" + repeated("DEAR\r\n", dear));
  service.held.wait();
  other.write("OTHER\r\n");
  ::poll(nullptr, 0, 100);  // where a thread brings what has come, it has
  service.let_go.count_down();
  EXPECT_EQ(other.read(5), "+OK\r\n");
  const std::string answers = repeated("+OK\r\n", dear + 1);
  EXPECT_EQ(busy.read(answers.size()), answers);
  if (!one_for_all()) return;
  const auto order = service.order();
  const auto at = std::ranges::find(order, "OTHER") - order.begin();
  EXPECT_LE(at, 6) << "portions came before it";
}

// Of a thread that has an answer to make nobody else is kept waiting, as long
// as there is another thread: none of them has taken work that it cannot begin.
TEST(Turns, AreTakenByOtherThreadsWhileOneIsHeld) {
  REQUIRE_ONE_PROCESS();
  if (one_for_all()) GTEST_SKIP() << "one thread serves them all";
  constexpr unsigned others = 3;
  REQUIRE_CONCURRENT(others + 1);
  Bookkeeper service;
  Loop loop(service);
  std::vector<std::unique_ptr<Visitor>> peers;
  for (unsigned i = 0; i < others; ++i)
    peers.push_back(std::make_unique<Visitor>(loop.address));
  Visitor holder(loop.address);
  holder.write("HOLD\r\n");
  service.held.wait();
  for (auto& peer : peers) {
    peer->write(repeated("OTHER\r\n", 100));
    EXPECT_EQ(peer->read(500), repeated("+OK\r\n", 100));
  }
  service.let_go.count_down();
  EXPECT_EQ(holder.read(5), "+OK\r\n");
}

/// How often the loop waits until a peer is answered who has sent three
/// receives and more while the loop was held.
std::uint64_t waits_with(std::uint64_t portions) {
  constexpr int pings = 16'000;
  const unsigned waits = net::counter("sys.", model::server.ideal[0].call);
  Bookkeeper service;
  Loop loop(service, {{"portions", portions}});
  Visitor busy(loop.address);
  busy.write("HOLD\r\n");
  service.held.wait();
  busy.write(repeated("PING\r\n", pings));
  const auto before = net::total(waits);
  service.let_go.count_down();
  const std::string answers = repeated("+OK\r\n", pings + 1);
  EXPECT_EQ(busy.read(answers.size()), answers);
  return net::total(waits) - before;
}

// Between two receives the loop waits, without sleeping, for what the others
// have; or it does not.
TEST(Turns, HaveSoManyPortionsAsTheOptionSays) {
  const auto has = [](const net::Row& row) {
    return std::string_view(row.name) == "portions";
  };
  if (std::ranges::none_of(model::server.rows, has))
    GTEST_SKIP() << "it has no --portions";
  EXPECT_GE(waits_with(1), 3u);
  EXPECT_LE(waits_with(1'000'000), 2u);
}

// The requests take longer than a stop may: what has not been answered by then
// is not, and the loop ends in time.
TEST(Turns, DoNotPutOffTheStop) {
  REQUIRE_ONE_PROCESS();
  Bookkeeper service;
  service.dear_time = std::chrono::milliseconds(5);
  Loop loop(service);
  Visitor busy(loop.address);
  busy.write(repeated("DEAR\r\n", 1'000));
  ASSERT_TRUE(soon([&] { return !service.order().empty(); }));
  const auto began = net::now();
  loop.stop();
  EXPECT_LT(net::now() - began, 2'500'000'000);
  EXPECT_LT(service.order().size(), 1'000u);
}

// A listener that let in one peer in a turn would need as many turns as there
// are newcomers, and in each of them all who are busy have theirs.
TEST(Turns, AreForWhoComesAmongTheBusyToo) {
  if (!is_loop()) GTEST_SKIP() << "a thread of its own lets peers in";
  constexpr int busy = 100, newcomers = 300, turns_max = 150;
  Bookkeeper service;
  Loop loop(service);
  Visitor holder(loop.address);
  std::vector<std::unique_ptr<Visitor>> peers;
  for (int i = 0; i < busy; ++i) {
    peers.push_back(std::make_unique<Visitor>(loop.address));
    peers.back()->write("PING\r\n");
    ASSERT_EQ(peers.back()->read(5), "+OK\r\n");
  }
  holder.write("HOLD\r\n");
  service.held.wait();
  // Each has one answered in a turn, and more of them than there will be turns.
  const std::string much = repeated("DEAR\r\n", 1'000);
  for (auto& peer : peers) peer->write(much);
  for (int i = 0; i < newcomers; ++i)
    peers.push_back(std::make_unique<Visitor>(loop.address));
  service.let_go.count_down();
  ASSERT_TRUE(soon([&] { return loop.clients() == 1u + busy + newcomers; }));
  EXPECT_LE(service.order().size(), (turns_max + 1u) * busy);
}

}  // namespace
