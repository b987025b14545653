#include "program/child.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>

#include <csignal>

#include "net/clock.hpp"

namespace {

using program::Child;
using program::Signals;

constexpr protocol::Nanoseconds minute = 60'000'000'000;

program::Arguments shell(const char* line) { return {"/bin/sh", "-c", line}; }

TEST(Child, EndsWithItsCodeOrItsSignal) {
  Signals signals;
  Child leaving(shell("exit 3"), {});
  EXPECT_EQ(leaving.wait(signals, net::now() + minute, true), 3);
  EXPECT_TRUE(leaving.ended());
  Child killed(shell("kill -KILL $$"), {});
  EXPECT_EQ(killed.wait(signals, net::now() + minute, true), 128 + SIGKILL);
}

TEST(Child, IsWaitedForUntilItIsDue) {
  Signals signals;
  Child staying(shell("exec sleep 600"), {});
  EXPECT_EQ(staying.wait(signals, net::now() + 1'000'000, true), std::nullopt);
  EXPECT_FALSE(staying.ended());
}

// If somebody else has taken its end away, we do not wait for ever.
TEST(Child, HasEndedThoughNobodyCanSayHow) {
  Signals signals;
  Child child(shell("exit 0"), {});
  ASSERT_GT(::wait(nullptr), 0);
  EXPECT_EQ(child.wait(signals, net::now() + minute, true), 128 + SIGKILL);
}

// Who looks at one child after the other must not take away the word that one
// of them, looked at before, has ended meanwhile.
TEST(Child, IsLookedAtWithoutTakingAWordAway) {
  Signals signals;
  Child leaving(shell("exec sleep 600"), {});
  Child staying(shell("exec sleep 600"), {});
  EXPECT_FALSE(leaving.ended());
  leaving.signal(SIGKILL);
  // Pending for us, and not taken away: SIGCHLD is blocked while they live.
  sigset_t pending;
  for (const auto due = net::now() + minute; net::now() < due;) {
    ::sigpending(&pending);
    if (::sigismember(&pending, SIGCHLD)) break;
    ::poll(nullptr, 0, 1);
  }
  EXPECT_FALSE(staying.ended());
  EXPECT_TRUE(signals.wait(-1, net::now() + 1'000'000));
  EXPECT_TRUE(leaving.ended());
  EXPECT_EQ(leaving.wait(signals, net::now(), true), 128 + SIGKILL);
}

}  // namespace
