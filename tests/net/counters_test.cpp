#include "net/counters.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "net/sys.hpp"

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

TEST(CountedCall, CountsItselfAndKeepsItsResult) {
  const unsigned reads = net::counter("sys.", "read");
  const auto before = net::total(reads);
  char byte;
  errno = 0;
  EXPECT_EQ(sys::read(-1, &byte, 1), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(net::total(reads), before + 1);
}

std::string contents(const std::string& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::size_t times(const std::string& text, const std::string& word) {
  std::size_t count = 0;
  for (auto at = text.find(word); at != text.npos; at = text.find(word, at + 1))
    ++count;
  return count;
}

/// In a process of its own: a trace is never switched off.
class TraceDeathTest : public testing::Test {
 protected:
  void SetUp() override {
    const int fd = ::mkstemp(file_.data());
    ASSERT_GE(fd, 0);
    ::close(fd);
  }
  void TearDown() override { ::unlink(file_.c_str()); }
  std::string file_ = "/tmp/trace_XXXXXX";
};

TEST_F(TraceDeathTest, HasEveryThreadsCalls) {
  EXPECT_EXIT(
      {
        net::trace::to(file_);
        char byte;
        for (int i = 0; i < 3; ++i) sys::read(-1, &byte, 1);
        std::thread([&] { sys::write(-1, &byte, 1); }).join();
        const bool kept = errno == EBADF;
        std::_Exit(net::trace::write() && kept ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  const std::string text = contents(file_);
  EXPECT_EQ(times(text, "{\"name\":\"read\",\"ph\":\"X\""), 3u);
  EXPECT_EQ(times(text, "{\"name\":\"write\",\"ph\":\"X\""), 1u);
  EXPECT_EQ(times(text, "\"args\":{\"result\":-1}"), 4u);
  EXPECT_EQ(times(text, "\"thread_name\""), 2u);
  EXPECT_EQ(times(text, "{"), times(text, "}"));
  EXPECT_EQ(text.substr(text.size() - 4), "\n]}\n");
}

TEST_F(TraceDeathTest, KeepsTheLastEventsOfEachThread) {
  EXPECT_EXIT(
      {
        net::trace::to(file_);
        const unsigned early = net::counter("sys.", "early");
        const unsigned late = net::counter("sys.", "late");
        for (int i = 0; i < 100; ++i) net::trace::record(early, 1, 0);
        for (std::size_t i = 0; i < net::trace::events_max - 10; ++i)
          net::trace::record(late, 2, 0);
        std::_Exit(net::trace::write() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  std::size_t early = 0, late = 0;
  std::ifstream file(file_);
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("{\"name\":\"late\"")) ++late;
    if (!line.starts_with("{\"name\":\"early\"")) continue;
    ++early;
    EXPECT_EQ(late, 0u);
  }
  EXPECT_EQ(early, 10u);
  EXPECT_EQ(late, net::trace::events_max - 10);
}

TEST_F(TraceDeathTest, IsNotWrittenWhereItCannotBe) {
  EXPECT_THROW(net::trace::to("/no/such/directory/trace"), std::system_error);
  EXPECT_EXIT(
      {
        net::trace::to("/dev/full");
        std::_Exit(net::trace::write() ? 1 : 0);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
