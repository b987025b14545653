// A service that is no node, over this model's loop: frames of its own, who the
// peer is, a time by which it has to have said something, its end.

#include <arpa/inet.h>

#include <atomic>

#include "net/clock.hpp"
#include "tests/model/loop.hpp"
#include "tests/tools/two_bytes.hpp"

namespace {

using tests::Loop;
using tests::soon;
using tests::TwoBytes;
using tests::Visitor;

/// Answers with the peer's address and what it has said. Who has not said
/// anything within `patience_ms` is closed.
class Door final : public protocol::Service {
 public:
  Door() : Service(&tests::two_bytes) {}

  void greet(protocol::Client& client,
             const protocol::Origin& origin) override {
    client.state = std::make_unique<Visit>(*this, origin.address());
    client.end_by(static_cast<std::uint64_t>(net::now()), patience_ms);
  }
  void answer(std::span<const std::string_view> arguments,
              protocol::Reply& reply) override {
    reply.client().lift_limit();
    const auto& visit = static_cast<Visit&>(*reply.client().state);
    reply.raw(TwoBytes::framed(visit.address + " " +
                               std::string(arguments[0].substr(0, 40))));
  }
  const protocol::Limits& limits() const override { return limits_; }
  protocol::Budget& budget() override { return budget_; }

  std::atomic<unsigned> patience_ms = 60'000;
  std::atomic<int> here = 0;

 private:
  struct Visit final : protocol::State {
    Visit(Door& its_door, std::string its_address)
        : door(its_door), address(std::move(its_address)) {
      ++door.here;
    }
    ~Visit() override { --door.here; }
    Door& door;
    const std::string address;
  };

  const protocol::Limits limits_;
  protocol::Budget budget_{256 << 20};
};

std::string address_of(const Visitor& peer) {
  sockaddr_in name{};
  socklen_t size = sizeof name;
  ::getsockname(peer.fd(), reinterpret_cast<sockaddr*>(&name), &size);
  return "127.0.0.1:" + std::to_string(ntohs(name.sin_port));
}

using Service = tests::ModelTest;

TEST_F(Service, HasFramesOfItsOwnAndKnowsItsPeers) {
  REQUIRE_ONE_PROCESS();
  Door door;
  Loop loop(door);
  for (int i = 0; i < 3; ++i) {
    Visitor peer(loop.address);
    const std::string answer =
        TwoBytes::framed(address_of(peer) + " hello") +
        TwoBytes::framed(address_of(peer) + " " + std::string(40, 'x'));
    const std::string asked =
        TwoBytes::framed("hello") + TwoBytes::framed(std::string(300, 'x'));
    peer.write(asked.substr(0, 3));
    peer.write(asked.substr(3, 40));
    peer.write(asked.substr(43));
    EXPECT_EQ(peer.read(answer.size()), answer);
    EXPECT_EQ(door.here, 1);
    peer.leave();
    EXPECT_TRUE(soon([&] { return door.here == 0; }));
  }
}

TEST_F(Service, TellsInItsOwnWordsWhoBreaksItsRules) {
  Door door;
  Loop loop(door);
  Visitor peer(loop.address);
  peer.write(TwoBytes::framed(std::string(301, 'x')));
  EXPECT_EQ(peer.read(100), TwoBytes::framed("too long"));
}

// Bytes that are no whole frame do not save him.
TEST_F(Service, ClosesWhoHasNotSaidWhatItWaitsFor) {
  REQUIRE_ONE_PROCESS();
  REQUIRE_CONCURRENT(3u);
  Door door;
  door.patience_ms = 200;
  Loop loop(door);
  Visitor speaks(loop.address), silent(loop.address), drips(loop.address);
  speaks.write(TwoBytes::framed("me"));
  const std::string answer = TwoBytes::framed(address_of(speaks) + " me");
  EXPECT_EQ(speaks.read(answer.size()), answer);
  drips.write(std::string(1, '\0'));
  EXPECT_EQ(silent.read(1), "");
  EXPECT_EQ(drips.read(1), "");
  EXPECT_TRUE(soon([&] { return door.here == 1; }));
  speaks.write(TwoBytes::framed("me"));
  EXPECT_EQ(speaks.read(answer.size()), answer);
}

}  // namespace
