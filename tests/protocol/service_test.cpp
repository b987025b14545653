// What a service may ask of a conversation beside requests: other frames, who
// the peer is, a time by which it is over.

#include <gtest/gtest.h>

#include <new>

#include "protocol/session.hpp"
#include "tests/protocol/fixture.hpp"
#include "tests/tools/two_bytes.hpp"

namespace {

using fixture::as_bytes;
using fixture::as_text;
using tests::TwoBytes;

class Echo final : public protocol::Service {
 public:
  Echo() : Service(&tests::two_bytes) {}
  void greet(protocol::Client& client,
             const protocol::Origin& origin) override {
    if (without_memory) throw std::bad_alloc();
    greeted = origin.address();
    client.end_by(4'000'000'000, 711);
  }
  void answer(std::span<const std::string_view> arguments,
              protocol::Reply& reply) override {
    ASSERT_EQ(arguments.size(), 1u);
    reply.client().lift_limit();
    reply.raw(TwoBytes::framed(arguments[0]));
  }
  void protocol_error(std::string_view name) override { error = name; }
  void no_memory() override { ++lost; }
  const protocol::Limits& limits() const override { return limits_; }
  protocol::Budget& budget() override { return budget_; }

  bool without_memory = false;
  std::string greeted;
  std::string_view error;
  int lost = 0;

 private:
  protocol::Limits limits_;
  protocol::Budget budget_{limits_.buffers_max};
};

struct Somewhere final : protocol::Origin {
  std::string address() const override { return "192.0.2.1:40000"; }
};

struct Framed : testing::Test {
  Echo service;
  protocol::Pool pool{service.budget()};
  Somewhere origin;
  protocol::Session session{service, pool, {}, &origin};

  std::string hear() {
    std::string heard;
    while (session.has_output()) {
      const auto bytes = session.output();
      heard += as_text(bytes);
      session.sent(bytes.size());
    }
    return heard;
  }
};

TEST_F(Framed, RequestsAreCutAsTheServiceSays) {
  const std::string one = TwoBytes::framed("colour");
  const std::string all =
      one + TwoBytes::framed("") + TwoBytes::framed(std::string(300, 'x'));
  session.receive(as_bytes(all));
  EXPECT_EQ(hear(), all);
  std::string heard;
  for (const char& byte : all) {
    session.receive(as_bytes({&byte, 1}));
    heard += hear();
  }
  EXPECT_EQ(heard, all);
  EXPECT_FALSE(session.output_ended());
}

TEST_F(Framed, WhoBreaksTheRulesIsToldInItsOwnWords) {
  session.receive(as_bytes(TwoBytes::framed(std::string(301, 'x'))));
  EXPECT_EQ(hear(), TwoBytes::framed("too long"));
  EXPECT_EQ(service.error, "too long");
  EXPECT_TRUE(session.output_ended());
}

TEST_F(Framed, APeerIsGreetedOnce) {
  EXPECT_EQ(service.greeted, "192.0.2.1:40000");
  EXPECT_EQ(session.client().due_ms, 4711u);
  session.receive(as_bytes(TwoBytes::framed("x")));
  EXPECT_EQ(session.client().due_ms, 0u);
}

TEST_F(Framed, WithoutMemoryToGreetItAPeerIsLost) {
  service.without_memory = true;
  const protocol::Session lost{service, pool, {}, &origin};
  EXPECT_TRUE(lost.finished());
  EXPECT_EQ(service.lost, 1);
}

TEST(Client, ALimitIsNeverNone) {
  const auto due = [](std::uint64_t now_ns, std::uint32_t later_ms) {
    protocol::Client client;
    client.end_by(now_ns, later_ms);
    return client.due_ms;
  };
  EXPECT_EQ(due(5'999'999, 10), 15u);
  EXPECT_EQ(due(0, 0), 1u);
  const std::uint64_t all = (std::uint64_t{1} << 32) * 1'000'000;
  EXPECT_EQ(due(all - 1, 1), 1u);
  EXPECT_EQ(due(all + 2'000'000, 1), 3u);
}

}  // namespace
