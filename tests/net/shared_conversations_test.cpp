#include "net/shared_conversations.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using net::SharedConversation;
using net::SharedConversations;
using std::chrono::milliseconds;

/// Answers with what was said last, and LATER not at all. LIMIT: the
/// conversation may last for 20 ms. DEAR is a whole portion.
class Echo final : public protocol::Service {
 public:
  void answer(std::span<const std::string_view> arguments,
              protocol::Reply& reply) override {
    if (arguments[0] == "LATER") return void(reply.later());
    if (arguments[0] == "LIMIT")
      reply.client().end_by(static_cast<std::uint64_t>(net::now()), 20);
    if (arguments[0] == "DEAR") reply.spend(1 << 20);
    reply.bulk(arguments.back());
  }
  const protocol::Limits& limits() const override { return limits_; }
  protocol::Budget& budget() override { return budget_; }

  protocol::Limits limits_;

 private:
  protocol::Budget budget_{1 << 20};
};

const unsigned late = net::counter("net.", "late");
const unsigned evicted = net::counter("net.", "evicted");

class SharedConversationsTest : public testing::Test {
 protected:
  struct Peer {
    net::Fd socket;
    std::uint64_t id;
  };

  void begin() { all_.emplace(service_, mailbox_, pools_[0]); }

  /// A peer whose conversation is in nobody's hands.
  Peer join() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    Peer peer{net::Fd(ends[0]), 0};
    ++clients_.now;
    all_->begin({net::Fd(ends[1]), net::Seat(clients_)}, pools_[0],
                [&](SharedConversation& c) { return (peer.id = c.id()) != 0; });
    return peer;
  }
  void say(const Peer& peer, std::string_view text) {
    EXPECT_EQ(::send(peer.socket.get(), text.data(), text.size(), 0),
              static_cast<ssize_t>(text.size()));
  }
  SharedConversation& take(const Peer& peer, int worker = 0) {
    SharedConversation* c = all_->take(peer.id, pools_[worker]);
    EXPECT_NE(c, nullptr);
    return *c;
  }
  /// All that has come.
  static void receive(SharedConversation& c) {
    for (ssize_t n = 1; n > 0 && c.session.wants_input();) {
      const auto room = c.session.input();
      n = ::recv(c.socket(), room.data(), room.size(), MSG_DONTWAIT);
      c.session.received(n > 0 ? static_cast<std::size_t>(n) : 0);
    }
  }
  void put_back(SharedConversation& c) {
    EXPECT_TRUE(all_->put_back(c, [](SharedConversation&) { return true; }));
  }
  SharedConversations::Next next(bool looked = true) {
    return all_->next(pools_[1], looked);
  }
  /// Taken, its request received, and put back.
  void ask(const Peer& peer, std::string_view text) {
    say(peer, text);
    SharedConversation& c = take(peer);
    receive(c);
    put_back(c);
  }
  void post(const Peer& peer, const std::string& answer) {
    mailbox_.post({peer.id, answer});
    all_->collect();
  }
  /// Waits until somebody is due, and looks.
  SharedConversations::Next next_when_due() {
    ::poll(nullptr, 0, 40);
    next();
    return next();
  }

  Echo service_;
  net::Mailbox mailbox_;
  net::Clients clients_;
  std::array<protocol::Pool, 2> pools_{protocol::Pool(service_.budget()),
                                       protocol::Pool(service_.budget())};
  std::optional<SharedConversations> all_;
};

TEST_F(SharedConversationsTest, AreInOneWorkersHandsAtATime) {
  begin();
  const Peer peer = join();
  SharedConversation& c = take(peer);
  EXPECT_EQ(all_->take(peer.id, pools_[1]), nullptr);
  put_back(c);
  EXPECT_EQ(all_->take(peer.id, pools_[1]), &c);
  all_->close(c);
  EXPECT_EQ(all_->take(peer.id, pools_[0]), nullptr);
  EXPECT_EQ(clients_.now, 0u);
}

// Whoever hears of it comes to it when it is put back, and not before: by then
// its descriptor is this conversation's still.
TEST_F(SharedConversationsTest, AreArmedUnderTheLock) {
  begin();
  const Peer peer = join();
  SharedConversation& c = take(peer);
  std::future<SharedConversation*> other;
  EXPECT_TRUE(all_->put_back(c, [&](SharedConversation&) {
    other = std::async(std::launch::async,
                       [&] { return all_->take(peer.id, pools_[1]); });
    EXPECT_EQ(other.wait_for(milliseconds(50)), std::future_status::timeout);
    return true;
  }));
  EXPECT_EQ(other.get(), &c);
}

TEST_F(SharedConversationsTest, StayInTheHandsIfTheyCannotBeArmed) {
  begin();
  const Peer peer = join();
  SharedConversation& c = take(peer);
  EXPECT_FALSE(all_->put_back(c, [](SharedConversation&) { return false; }));
  EXPECT_EQ(all_->take(peer.id, pools_[1]), nullptr);
  all_->close(c);
  EXPECT_EQ(clients_.now, 0u);
}

TEST_F(SharedConversationsTest, WhoCannotBeArmedAtFirstHasToGo) {
  begin();
  const unsigned lost = net::counter("lost.", "memory");
  const auto before = net::total(lost);
  ++clients_.now;
  all_->begin({net::Fd(::dup(0)), net::Seat(clients_)}, pools_[0],
              [](SharedConversation&) { return false; });
  EXPECT_EQ(clients_.now, 0u);
  EXPECT_EQ(net::total(lost), before + 1);
}

TEST_F(SharedConversationsTest, ALetterIsLaidReady) {
  begin();
  const Peer peer = join();
  ask(peer, "LATER\r\n");
  post(peer, "+yes\r\n");
  // An event has nothing to say that whoever has the letter does not see.
  EXPECT_EQ(all_->take(peer.id, pools_[0]), nullptr);
  const auto found = next();
  ASSERT_NE(found.conversation, nullptr);
  EXPECT_EQ(found.answer, "+yes\r\n");
  EXPECT_EQ(found.left_ms, 0);
  put_back(*found.conversation);
  EXPECT_EQ(next().conversation, nullptr);
}

TEST_F(SharedConversationsTest,
       ALetterForWhoIsInHandsIsLaidBesideAndComesOnce) {
  begin();
  const Peer peer = join();
  say(peer, "LATER\r\n");
  SharedConversation& c = take(peer);
  receive(c);
  post(peer, "+yes\r\n");
  post(peer, "+twice\r\n");
  EXPECT_EQ(next().conversation, nullptr);
  put_back(c);
  const auto found = next();
  ASSERT_EQ(found.conversation, &c);
  EXPECT_EQ(found.answer, "+yes\r\n");
  put_back(c);
  EXPECT_EQ(next().conversation, nullptr);
}

// Whoever takes the first may be long about it: another one is woken for the
// second.
TEST_F(SharedConversationsTest, WhoTakesOneOfTwoLearnsThatThereIsMore) {
  begin();
  const Peer one = join(), other = join();
  ask(one, "LATER\r\n");
  ask(other, "LATER\r\n");
  mailbox_.post({one.id, "+a\r\n"});
  post(other, "+b\r\n");
  const auto first = next();
  EXPECT_TRUE(first.more);
  const auto second = next();
  EXPECT_NE(second.conversation, nullptr);
  EXPECT_NE(second.conversation, first.conversation);
  EXPECT_FALSE(second.more);
}

TEST_F(SharedConversationsTest, ALetterForWhoHasGoneIsDropped) {
  begin();
  const Peer peer = join();
  all_->close(take(peer));
  post(peer, "+yes\r\n");
  EXPECT_EQ(next().conversation, nullptr);
}

TEST_F(SharedConversationsTest, TheBellIsReadOnceForTwoWhoWereTold) {
  begin();
  mailbox_.wake();
  all_->collect();
  all_->collect();  // would sleep
}

TEST_F(SharedConversationsTest, WhoWantsATurnIsLaidReady) {
  begin();
  const Peer peer = join();
  ask(peer, "DEAR a\r\nDEAR b\r\n");
  const auto found = next();
  ASSERT_NE(found.conversation, nullptr);
  EXPECT_EQ(found.answer, "");
  found.conversation->session.take_turn();
  put_back(*found.conversation);
  EXPECT_EQ(next().conversation, nullptr);
}

// The blocks that a session holds go to the pool of the worker that has it.
TEST_F(SharedConversationsTest, UseThePoolOfTheirWorker) {
  begin();
  const Peer peer = join();
  say(peer, "ECHO");
  SharedConversation& c = take(peer, 0);
  receive(c);
  put_back(c);
  say(peer, " a\r\n");
  const auto had = pools_[1].allocations();
  ASSERT_EQ(&take(peer, 1), &c);
  receive(c);
  EXPECT_GT(pools_[1].allocations(), had);
  const auto asked = pools_[0].allocations();
  pools_[0].give_back(pools_[0].borrow(16 << 10));
  EXPECT_EQ(pools_[0].allocations(), asked);  // the room of its first receive
  put_back(c);
}

TEST_F(SharedConversationsTest, NobodyIsLateInAWorkersHands) {
  service_.limits_.frame_time = milliseconds(20);
  begin();
  const Peer peer = join();
  ask(peer, "ECHO");
  SharedConversation& c = take(peer);
  const auto before = net::total(late);
  // The others may sleep, though it is due.
  EXPECT_GT(next_when_due().left_ms, 1'000);
  EXPECT_EQ(net::total(late), before);
  put_back(c);  // it is heard of, and has its time once more
  EXPECT_EQ(net::total(late), before);
  next_when_due();
  EXPECT_EQ(net::total(late), before + 1);
  EXPECT_EQ(all_->take(peer.id, pools_[0]), nullptr);
}

TEST_F(SharedConversationsTest, WhoTricklesIsLateWhenHeIsPutBack) {
  service_.limits_.frame_time = milliseconds(20);
  begin();
  const Peer peer = join();
  const auto before = net::total(late);
  ask(peer, "ECHO");
  for (int i = 0; i < 2; ++i) {
    SharedConversation* c = all_->take(peer.id, pools_[0]);
    ASSERT_NE(c, nullptr) << i;
    next_when_due();
    say(peer, "x");
    receive(*c);
    put_back(*c);
  }
  next();
  next();  // has looked
  EXPECT_EQ(net::total(late), before + 1);
}

// A worker may have been told of these bytes, and not yet have come to them.
TEST_F(SharedConversationsTest, NobodyIsLateWhoseBytesHaveCome) {
  service_.limits_.frame_time = milliseconds(20);
  begin();
  const Peer peer = join();
  const auto before = net::total(late);
  ask(peer, "ECHO");
  say(peer, " a\r\n");
  const auto found = next_when_due();
  ASSERT_NE(found.conversation, nullptr);
  EXPECT_TRUE(found.readable);
  receive(*found.conversation);
  put_back(*found.conversation);
  next_when_due();
  EXPECT_EQ(net::total(late), before);
}

TEST_F(SharedConversationsTest, BytesThatDoNotHelpPutOffALimitOnce) {
  begin();
  const Peer peer = join();
  const auto before = net::total(late);
  ask(peer, "LIMIT\r\n");
  for (int i = 0; i < 2; ++i) {
    say(peer, "x");
    const auto found = next_when_due();
    if (!found.conversation) break;
    ASSERT_EQ(i, 0);
    receive(*found.conversation);
    put_back(*found.conversation);
  }
  EXPECT_EQ(net::total(late), before + 1);
}

TEST_F(SharedConversationsTest, TheLargestIsNotEvictedFromAWorkersHands) {
  begin();
  const Peer large = join(), small = join();
  ask(small, "ECHO " + std::string(20'000, 's'));
  ask(large, "ECHO " + std::string(40'000, 'l'));
  const auto held = service_.budget().used();
  const auto before = net::total(evicted);
  SharedConversation& c = take(large);
  service_.budget().take((1 << 20) - held + 1);
  next();
  EXPECT_EQ(net::total(evicted), before);  // nor the small one in its stead
  put_back(c);
  next();
  EXPECT_EQ(net::total(evicted), before + 1);
  EXPECT_EQ(all_->take(large.id, pools_[0]), nullptr);
  EXPECT_NE(all_->take(small.id, pools_[0]), nullptr);
  service_.budget().give((1 << 20) - held + 1);
}

TEST_F(SharedConversationsTest, EachIsToldOfTheStopOnceAlsoFromTheHands) {
  begin();
  const Peer idle = join(), held = join();
  SharedConversation& c = take(held);
  EXPECT_FALSE(next().over);
  EXPECT_TRUE(all_->stop());
  EXPECT_FALSE(all_->stop());
  EXPECT_TRUE(all_->deadlines().lets_in());
  EXPECT_FALSE(next().over);  // peers are still let in
  all_->drain();
  const auto told = next();
  ASSERT_NE(told.conversation, nullptr);
  EXPECT_EQ(told.conversation->id(), idle.id);
  EXPECT_TRUE(told.stopped);
  EXPECT_EQ(next().conversation, nullptr);
  put_back(c);
  EXPECT_TRUE(next().stopped);
  put_back(c);
  EXPECT_EQ(next().conversation, nullptr);
  EXPECT_FALSE(next().over);
  all_->close(c);
  EXPECT_FALSE(next().over);
  all_->close(*told.conversation);
  EXPECT_TRUE(next().over);
  all_->end();
}

TEST_F(SharedConversationsTest, TheFirstFailureEndsAllAndIsThrownAtTheEnd) {
  begin();
  const Peer peer = join();
  all_->fail(std::make_exception_ptr(std::runtime_error("first")));
  all_->fail(std::make_exception_ptr(std::runtime_error("second")));
  EXPECT_TRUE(next().over);
  try {
    all_->end();
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "first");
  }
}

}  // namespace
