#include "net/timeline.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <system_error>
#include <thread>

#include "net/sys.hpp"

namespace {

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
  EXPECT_EQ(times(text, "\"args\":{\"result\":-9"), 4u);
  EXPECT_EQ(times(text, "\"thread_name\""), 2u);
  EXPECT_EQ(times(text, "{"), times(text, "}"));
  EXPECT_EQ(text.substr(text.size() - 4), "\n]}\n");
}

TEST_F(TraceDeathTest, KeepsTheLastEventsOfEachThread) {
  EXPECT_EXIT(
      {
        net::trace::to(file_);
        for (int i = 0; i < 100; ++i) net::trace::end("early", -1, 1, 0);
        for (std::size_t i = 0; i < net::trace::events_max - 10; ++i)
          net::trace::end("late", -1, 2, 0);
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

TEST_F(TraceDeathTest, KeepsTheLastThreadsThatHaveEnded) {
  EXPECT_EXIT(
      {
        net::trace::to(file_);
        net::trace::end("first of all", -1, 2, 0);
        for (std::size_t i = 0; i < 10 + net::trace::ended_max; ++i)
          std::thread([i] {
            net::trace::end(i < 10 ? "early" : "late", -1, 2, 0);
          }).join();
        std::_Exit(net::trace::write() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  const std::string text = contents(file_);
  EXPECT_EQ(times(text, "{\"name\":\"early\""), 0u);
  EXPECT_EQ(times(text, "{\"name\":\"late\""), net::trace::ended_max);
  EXPECT_EQ(times(text, "{\"name\":\"first of all\""), 1u);
}

TEST_F(TraceDeathTest, HasDescriptorsWhereThereAreAny) {
  EXPECT_EXIT(
      {
        net::trace::to(file_);
        char byte;
        sys::read(1'000, &byte, 1);
        sys::poll(nullptr, nfds_t{0}, 0);
        std::_Exit(net::trace::write() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  const std::string text = contents(file_);
  EXPECT_EQ(times(text, "\"args\":{\"result\":-9,\"fd\":1000"), 1u);
  EXPECT_EQ(times(text, "\"fd\""), 1u) << "poll(2) has many";
}

/// What stands behind "asleep_us" and the like, 0 where it does not.
double number_behind(const std::string& text, const std::string& word) {
  const auto at = text.find('"' + word + "\":");
  return at == text.npos ? 0 : std::stod(text.substr(at + word.size() + 3));
}

/// The line of the last event of this name.
std::string last_event(const std::string& text, const std::string& name) {
  const auto at = text.rfind("{\"name\":\"" + name + '"');
  if (at == text.npos) return "";
  return text.substr(at, text.find('\n', at) - at);
}

TEST_F(TraceDeathTest, TellsSleepFromWork) {
  EXPECT_EXIT(
      {
        net::trace::to(file_);
        sys::poll(nullptr, nfds_t{0}, 30);
        ::usleep(40'000);
        char byte;
        sys::read(-1, &byte, 1);
        const auto began = net::trace::begin();
        while (net::trace::begin() - began < 20'000'000) {
        }
        net::trace::end("busy", -1, began, 0);
        std::_Exit(net::trace::write() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  const std::string text = contents(file_);
  const std::string poll = last_event(text, "poll");
  EXPECT_GE(number_behind(poll, "asleep_us"), 29'000);
  EXPECT_LE(number_behind(poll, "asleep_us"), number_behind(poll, "dur"));
  const std::string read = last_event(text, "read");
  EXPECT_EQ(number_behind(read, "asleep_us"), 0);
  EXPECT_GE(number_behind(read, "asleep_before_us"), 39'000);
  const std::string busy = last_event(text, "busy");
  EXPECT_LT(number_behind(busy, "asleep_us"), number_behind(busy, "dur") - 1000)
      << "its CPU clock went on";
}

// To look costs too much to be done always. But each thread's beginning is
// known, and then the same times in all processes.
TEST_F(TraceDeathTest, LooksAtTheBeginningAndThenFromTimeToTime) {
  constexpr int calls = 32 + 150;
  EXPECT_EXIT(
      {
        net::trace::to(file_);
        for (int i = 0; i < calls; ++i) sys::poll(nullptr, nfds_t{0}, 1);
        std::_Exit(net::trace::write() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  std::istringstream lines(contents(file_));
  int seen = 0, known = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("{\"name\":\"poll\"")) continue;
    const auto began_ns = std::llround(number_behind(line, "ts") * 1e3);
    const bool looked = seen++ < 32 || began_ns % (1 << 26) < 1 << 22;
    if (looked) {
      ++known;
      EXPECT_GE(number_behind(line, "asleep_us"), 900) << line;
    } else {
      EXPECT_EQ(times(line, "\"asleep_us\":null"), 1u) << line;
    }
  }
  EXPECT_EQ(seen, calls);
  EXPECT_GT(known, 32);
  EXPECT_LT(known, 32 + 150 / 2);
}

// Nor is it needed: who sleeps is away for longer.
TEST_F(TraceDeathTest, LooksAtNoShortCall) {
  EXPECT_EXIT(
      {
        net::trace::to(file_);
        char byte;
        for (int i = 0; i < 100; ++i) {
          sys::read(-1, &byte, 1);
          ::usleep(1'000);
        }
        std::_Exit(net::trace::write() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  std::istringstream lines(contents(file_));
  int seen = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("{\"name\":\"read\"")) continue;
    if (number_behind(line, "dur") > 3) continue;  // it was preempted
    ++seen;
    EXPECT_EQ(times(line, "\"asleep_us\""), 0u) << line;
  }
  EXPECT_GT(seen, 0);
}

TEST_F(TraceDeathTest, HasWhatIsAskedUntilItIsDone) {
  EXPECT_EXIT(
      {
        net::trace::to(file_);
        net::trace::ask("accept", 7, 3);
        net::trace::ask("send", 8, 5);
        net::trace::done(7, 4, true);
        net::trace::done(8, -32, false);
        net::trace::done(7, -125, false);
        net::trace::ask("recv", 9, 5);
        std::_Exit(net::trace::write() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  const std::string text = contents(file_);
  for (const char* event :
       {"\"accept\",\"ph\":\"b\"", "\"accept\",\"ph\":\"n\"",
        "\"accept\",\"ph\":\"e\"", "\"send\",\"ph\":\"b\"",
        "\"send\",\"ph\":\"e\"", "\"recv\",\"ph\":\"b\"", "{\"result\":-32}",
        "{\"fd\":3}"})
    EXPECT_EQ(times(text, event), 1u) << event << '\n' << text;
  EXPECT_EQ(times(text, ".8\",\"ts\""), 2u) << "one id for both ends";
}

// A viewer would take the end for that of something else.
TEST_F(TraceDeathTest, LeavesOutTheEndOfWhatHasNoBeginningAnyMore) {
  EXPECT_EXIT(
      {
        net::trace::to(file_);
        net::trace::ask("forgotten", 7, 3);
        for (std::size_t i = 0; i < net::trace::events_max; ++i)
          net::trace::end("late", -1, 2, 0);
        net::trace::done(7, 0, false);
        std::_Exit(net::trace::write() ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
  EXPECT_EQ(times(contents(file_), "\"ph\":\"e\""), 0u);
}

TEST_F(TraceDeathTest, IsNotWrittenWhereItCannotBe) {
  EXPECT_TRUE(net::trace::write()) << "there is none";

  EXPECT_THROW(net::trace::to("/no/such/directory/trace"), std::system_error);
  EXPECT_EXIT(
      {
        net::trace::to("/dev/full");
        std::_Exit(net::trace::write() ? 1 : 0);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
