#include "net/handoff.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

namespace {

class HandoffTest : public testing::Test {
 protected:
  net::Guest guest() {
    ++clients_.now;
    return {net::Fd(::dup(0)), net::Seat(clients_)};
  }
  /// Loop 0 gives so many guests; how many each loop has then.
  std::vector<int> give(int count) {
    std::vector<int> got(loops);
    for (int i = 0; i < count; ++i)
      if (const net::Guest kept = handoff_.give(0, guest())) ++got[0];
    for (unsigned loop = 0; loop < loops; ++loop)
      while (const net::Guest taken = handoff_.take(loop)) ++got[loop];
    return got;
  }

  static constexpr unsigned loops = 3;
  net::Clients clients_;
  std::vector<net::Mailbox> mailboxes_{loops};
  net::Handoff handoff_{loops};
};

TEST_F(HandoffTest, GivesToEachInTurnItselfAmongThem) {
  EXPECT_EQ(give(30), (std::vector{10, 10, 10}));
  EXPECT_EQ(give(31), (std::vector{11, 10, 10}));
}

TEST_F(HandoffTest, TheSeatGoesWithTheGuest) {
  handoff_.give(1, guest());
  EXPECT_EQ(clients_.now, 1u);
  {
    const net::Guest taken = handoff_.take(0);
  }
  EXPECT_EQ(clients_.now, 0u);
  handoff_.give(1, guest());  // stays, and goes
  EXPECT_EQ(clients_.now, 0u);
}

TEST_F(HandoffTest, RingsWhoGetsSomebody) {
  for (unsigned i = 0; i < loops; ++i) handoff_.join(i, mailboxes_[i]);
  handoff_.give(1, guest());
  EXPECT_TRUE(mailboxes_[0].rung());
  EXPECT_FALSE(mailboxes_[1].rung());
}

TEST_F(HandoffTest, RingsWhoRunsOnlyWhenSomebodyHasComeForIt) {
  handoff_.give(1, guest());
  handoff_.join(0, mailboxes_[0]);
  handoff_.join(2, mailboxes_[2]);
  EXPECT_TRUE(mailboxes_[0].rung());
  EXPECT_FALSE(mailboxes_[2].rung());
}

TEST_F(HandoffTest, PassesByWhoHasLeft) {
  handoff_.leave(1);
  EXPECT_EQ(give(20), (std::vector{10, 0, 10}));
  handoff_.leave(2);
  EXPECT_EQ(give(20), (std::vector{20, 0, 0}));
}

TEST_F(HandoffTest, WhoLeavesTakesThoseWhoWereOnTheirWay) {
  handoff_.give(1, guest());
  handoff_.leave(0);
  EXPECT_TRUE(handoff_.take(0));
  EXPECT_FALSE(handoff_.take(0));
}

// Whatever the moment at which a loop leaves: whoever was given is taken by it,
// or stays.
TEST_F(HandoffTest, LosesNobodyWhileLoopsLeave) {
  constexpr int rounds = 200, guests = 30;
  for (int round = 0; round < rounds; ++round) {
    net::Handoff handoff(loops);
    std::atomic<int> served = 0, given = 0;
    std::vector<std::thread> others;
    for (unsigned loop = 1; loop < loops; ++loop)
      others.emplace_back([&, loop] {
        while (given < guests / 2) std::this_thread::yield();
        handoff.leave(loop);
        while (handoff.take(loop)) ++served;
      });
    for (; given < guests; ++given)
      if (handoff.give(0, guest())) ++served;
    for (std::thread& other : others) other.join();
    ASSERT_EQ(served, guests) << round;
  }
}

}  // namespace
