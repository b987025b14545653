// A probe may be the death of who makes it: it is made by a child, and what is
// known of its end becomes one line.

#include "net/probe.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace {

using net::Options;
using net::refusal;
using net::Trial;

net::Model model_with(std::string (*probe)(const Options&, Trial&)) {
  return {.name = "some",
          .variant = "kind",
          .rows = {},
          .traits = {},
          .ideal = {},
          .probe = probe};
}

const net::Model unasked = model_with(nullptr);
const net::Model content =
    model_with([](const Options&, Trial&) { return std::string(); });
const net::Model refused = model_with([](const Options&, Trial& trial) {
  trial.about_to("some_call");
  return std::string(trial.counting ? "" : "some_call: not here");
});
const net::Model killed = model_with([](const Options&, Trial& trial) {
  trial.about_to("first_call");
  trial.about_to("deadly_call");
  ::raise(SIGSYS);
  return std::string();
});

bool has_child() { return ::waitpid(-1, nullptr, WNOHANG) != -1; }

TEST(Probe, IsNotMadeWhereNothingIsUnusual) {
  EXPECT_EQ(refusal({&unasked, &unasked}, {}), "");
}

TEST(Probe, AnswersWithTheFirstRefusal) {
  EXPECT_EQ(refusal({&content}, {}), "");
  EXPECT_EQ(refusal({&unasked, &content, &refused}, {}), "some_call: not here");
  EXPECT_FALSE(has_child());
}

TEST(Probe, NamesTheCallThatKilled) {
  const std::string why = refusal({&content, &killed}, {});
  EXPECT_TRUE(
      why.starts_with("deadly_call is answered by a signal here (Bad "
                      "system call): "))
      << why;
  EXPECT_EQ(std::ranges::count(why, '\n'), 0);
  EXPECT_FALSE(has_child());
}

TEST(Probe, NeedsNoSigchld) {
  const auto before = ::signal(SIGCHLD, SIG_IGN);
  EXPECT_EQ(refusal({&content}, {}), "");
  EXPECT_EQ(refusal({&refused}, {}), "some_call: not here");
  EXPECT_TRUE(refusal({&killed}, {}).starts_with("deadly_call is answered by"));
  EXPECT_FALSE(has_child());
  ::signal(SIGCHLD, before);
}

TEST(Probe, MakesALineOfWhatIsThrown) {
  const net::Model throwing =
      model_with([](const Options&, Trial&) -> std::string {
        throw std::runtime_error("no memory for that");
      });
  EXPECT_EQ(refusal({&throwing}, {}), "no memory for that");
}

// All have counted before the first asks, and hold what they got.
TEST(Probe, AsksForAllTogether) {
  const auto counts = [](const Options&, Trial& trial) {
    if (trial.counting) {
      trial.locked += 5;
      return std::string();
    }
    trial.held.push_back(std::make_shared<int>(1));
    return trial.held.size() < 2 ? std::string() : std::to_string(trial.locked);
  };
  const net::Model first = model_with(counts), second = model_with(counts);
  EXPECT_EQ(refusal({&first, &second}, {}), "10");
}

// Without a descriptor there is no child: it is asked all the same.
TEST(Probe, IsMadeWithoutADescriptorLeft) {
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none{0, limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::string why = refusal({&refused}, {});
  ::setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(why, "some_call: not here");
}

TEST(Probe, ARefusalForMemoryIsFinalAfterAWhile) {
  int calls = 0;
  EXPECT_EQ(net::patiently([&] { return ++calls < 3 ? -ENOMEM : 7; }), 7);
  EXPECT_EQ(net::patiently([&] { return ++calls, -EPERM; }), -EPERM);
  EXPECT_EQ(calls, 4);
  EXPECT_EQ(net::patiently([] { return -ENOMEM; }), -ENOMEM);
}

}  // namespace
