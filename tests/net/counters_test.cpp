#include "net/counters.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barrier>
#include <cstdint>
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

// What a thread's own destructors do comes after it has given its cells back.
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

// As the parent does for a child: what a killed one has counted stays, and so
// does what is counted in the same cells afterwards.
TEST(Counters, OfAKilledChildAreNotLost) {
  const unsigned index = net::counter("test.", "child");
  const auto before = net::total(index);
  for (std::uint64_t n = 1; n <= 3; ++n) {
    net::Cells* const cells = net::take_cells();
    ASSERT_NE(cells, nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      net::own_cells = cells;
      net::count(index, 5);
      ::kill(::getpid(), SIGKILL);
    }
    EXPECT_EQ(::waitpid(child, nullptr, 0), child);
    net::give_back_cells(cells);
    EXPECT_EQ(net::total(index), before + 5 * n);
  }
}

// A child sees what its parent and those who were forked later have counted.
TEST(Counters, AreSummedUpByAChildToo) {
  const unsigned index = net::counter("test.", "seen");
  const auto expected = net::total(index) + 20;
  std::vector<net::Cells*> cells;
  const pid_t child = ::fork();
  if (child == 0) {
    while (net::total(index) != expected) ::usleep(1000);
    ::_exit(0);
  }
  for (int i = 0; i < 20; ++i) {
    cells.push_back(net::take_cells());
    cells.back()->add(index);
  }
  EXPECT_EQ(::waitpid(child, nullptr, 0), child);
  for (net::Cells* const one : cells) net::give_back_cells(one);
}

TEST(Counters, AreGivenBackToTheNext) {
  net::Cells* const cells = net::take_cells();
  net::give_back_cells(cells);
  const auto threads = net::counting_threads();
  EXPECT_EQ(net::take_cells(), cells);
  EXPECT_EQ(net::counting_threads(), threads);
  net::give_back_cells(cells);
}

TEST(Counters, AreListedByPrefixInTheirOrder) {
  net::counter("list.", "b");
  net::count(net::counter("list.", "a"), 5);
  const auto list = net::totals("list.");
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0], std::pair(std::string("b"), std::uint64_t{0}));
  EXPECT_EQ(list[1], std::pair(std::string("a"), std::uint64_t{5}));
}

// Who gets no cells counts in those that are everybody's. In a process of its
// own, with cells of its own: those of a child that is forked are its parent's.
TEST(CountersDeathTest, MayBeFewerThanThoseWhoCount) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const unsigned index = net::counter("test.", "many");
        while (net::take_cells()) {
        }
        std::thread([index] { net::count(index, 7); }).join();
        std::_Exit(net::total(index) == 7 ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
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
