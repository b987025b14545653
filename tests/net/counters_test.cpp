#include "net/counters.hpp"

#include <gtest/gtest.h>

#include <barrier>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

TEST(Counters, HaveOneIndexForAName) {
  const unsigned first = net::counter("test.", "first");
  EXPECT_EQ(net::counter("test.", "first"), first);
  EXPECT_EQ(net::counter("test.fi", "rst"), first);
  EXPECT_NE(net::counter("test.", "second"), first);
}

TEST(Counters, AddUpOverThreads) {
  const unsigned index = net::counter("test.", "threads");
  const auto before = net::total(index);
  constexpr int threads = 8, each = 1000;
  std::barrier counted(threads + 1), looked(threads + 1);
  std::vector<std::jthread> running;
  running.reserve(threads);
  for (int i = 0; i < threads; ++i)
    running.emplace_back([&] {
      for (int n = 0; n < each; ++n) net::count(index);
      counted.arrive_and_wait();
      looked.arrive_and_wait();
    });
  counted.arrive_and_wait();
  EXPECT_EQ(net::total(index), before + threads * each);
  looked.arrive_and_wait();
  running.clear();
  EXPECT_EQ(net::total(index), before + threads * each);
}

TEST(Counters, NeverGoBackWhileThreadsEnd) {
  const unsigned index = net::counter("test.", "ending");
  const auto before = net::total(index);
  std::jthread starter([&] {
    for (int i = 0; i < 300; ++i)
      std::jthread([&] { net::count(index); }).join();
  });
  for (auto last = before; last < before + 300;) {
    const auto now = net::total(index);
    ASSERT_GE(now, last);
    last = now;
  }
}

// What a thread's own destructors do comes after its cells have been folded.
struct CountsAtItsEnd {
  unsigned index = 0;
  ~CountsAtItsEnd() { net::count(index); }
};

TEST(Counters, CountWhatAThreadDoesAtItsEnd) {
  const unsigned index = net::counter("test.", "last");
  const auto before = net::total(index);
  std::thread([index] {
    thread_local CountsAtItsEnd last;
    last.index = index;
    net::count(index);
  }).join();
  EXPECT_EQ(net::total(index), before + 2);
}

TEST(Counters, AreListedByPrefixInTheirOrder) {
  net::counter("list.", "b");
  net::count(net::counter("list.", "a"), 5);
  const auto list = net::totals("list.");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0], std::pair(std::string("b"), std::uint64_t{0}));
  EXPECT_EQ(list[1], std::pair(std::string("a"), std::uint64_t{5}));
}

TEST(CountersDeathTest, HaveALimit) {
  EXPECT_EXIT(
      {
        bool thrown = false;
        for (unsigned i = 0; i <= net::counters_max; ++i) try {
            net::counter("many.", std::to_string(i));
          } catch (const std::length_error&) {
            thrown = true;
          }
        std::_Exit(thrown ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
