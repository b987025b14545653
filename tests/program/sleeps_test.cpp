#include "program/sleeps.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <unistd.h>

#include <chrono>
#include <latch>
#include <limits>
#include <thread>

namespace {

TEST(Sleepers, AreCountedByThread) {
  constexpr int naps = 20;
  int number = 0;
  std::latch napped(1), looked(1);
  std::thread sleeper([&] {
    ::pthread_setname_np(::pthread_self(), "a sleeper");
    number = ::gettid();
    for (int i = 0; i < naps; ++i)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    napped.count_down();
    looked.wait();
  });
  napped.wait();
  const auto found = program::sleepers_of(::getpid());
  looked.count_down();
  sleeper.join();
  EXPECT_TRUE(found.contains(::getpid()));
  ASSERT_TRUE(found.contains(number));
  EXPECT_EQ(found.at(number).name, "a sleeper");
  EXPECT_GE(found.at(number).sleeps, naps);
}

TEST(Sleepers, OfNoProcessAreNone) {
  EXPECT_TRUE(program::sleepers_of(std::numeric_limits<int>::max()).empty());
}

}  // namespace
