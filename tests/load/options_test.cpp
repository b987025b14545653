#include "bench/load/options.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using load::Arrivals;
using load::Nanoseconds;
using load::Options;
using program::Arguments;

constexpr Nanoseconds second = 1'000'000'000;
constexpr net::Row rows[] = {{"entries", "how many", 256, 1, 4096}};
constexpr net::Model duplex{.name = "epoll", .variant = "level", .rows = rows};
constexpr net::Model simplex{
    .name = "blocking", .variant = "thread", .traits = {.duplex = false}};

/// What these words come to behind an address; they are taken.
Options taken(Arguments words, const net::Model& client = duplex) {
  words.insert(words.begin(), "127.0.0.1:7000");
  const auto options = load::parse(words, client);
  if (options) return *options;
  ADD_FAILURE() << options.error().text;
  return {};
}

TEST(Options, HaveDefaults) {
  const Options options = taken({});
  EXPECT_EQ(options.plan.address, "127.0.0.1:7000");
  EXPECT_EQ(options.plan.connections, 50u);
  EXPECT_EQ(options.plan.depth, 1u);
  EXPECT_EQ(options.plan.threads, 1u);
  EXPECT_FALSE(options.plan.is_open());
  EXPECT_EQ(options.plan.duration, 5 * second);
  EXPECT_EQ(options.plan.warmup_max, 2 * second);
  EXPECT_EQ(options.plan.churn, 0u);
  EXPECT_EQ(options.plan.idle, 0u);
  EXPECT_EQ(options.plan.flooder, 0u);
  EXPECT_EQ(options.slow, 0u);
  EXPECT_EQ(options.commands, std::vector<std::string>{"ECHO {32}"});
  EXPECT_EQ(options.keys, 10'000u);
  EXPECT_EQ(options.answers, load::Answers::server);
  EXPECT_EQ(options.json, "");
  EXPECT_EQ(options.hgrm, "");
  EXPECT_FALSE(options.quiet);
  EXPECT_FALSE(options.probe);
  EXPECT_TRUE(options.merge.empty());
  EXPECT_EQ(options.net["entries"], 256u);
}

// What no server's answer could be checked for, an echo's can.
TEST(Options, OfAnEcho) {
  const Options options = taken({"--raw", "--command", "INFO {8}"});
  EXPECT_EQ(options.answers, load::Answers::echo);
}

TEST(Options, OfAClosedLoop) {
  const Options options =
      taken({"--connections", "7", "--depth", "16", "--duration", "0.5",
             "--warmup", "0", "--churn", "100", "--idle", "1000", "--slow", "3",
             "--flooder", "64", "--seed", "18446744073709551615"},
            simplex);
  EXPECT_EQ(options.plan.connections, 7u);
  EXPECT_EQ(options.plan.depth, 16u);
  EXPECT_EQ(options.plan.duration, second / 2);
  EXPECT_EQ(options.plan.warmup_max, 0);
  EXPECT_EQ(options.plan.churn, 100u);
  EXPECT_EQ(options.plan.idle, 1000u);
  EXPECT_EQ(options.slow, 3u);
  EXPECT_EQ(options.plan.flooder, 64u);
  EXPECT_EQ(options.plan.seed, 18446744073709551615u);
}

TEST(Options, OfAnOpenLoop) {
  const Options poisson = taken({"--rate", "50000"});
  EXPECT_TRUE(poisson.plan.is_open());
  EXPECT_EQ(poisson.plan.rate, 50'000);
  EXPECT_EQ(poisson.plan.arrivals, Arrivals::poisson);
  const Options fixed = taken({"--rate", "0.5", "--arrivals", "fixed"});
  EXPECT_EQ(fixed.plan.rate, 0.5);
  EXPECT_EQ(fixed.plan.arrivals, Arrivals::fixed);
  EXPECT_EQ(taken({"--arrivals", "poisson"}).plan.arrivals, Arrivals::poisson);
}

TEST(Options, OfSeveralThreads) {
  EXPECT_EQ(taken({"--threads", "4"}).plan.threads, 4u);
  EXPECT_EQ(taken({"--threads", "1"}, simplex).plan.threads, 1u);
}

TEST(Options, OfWhatIsAskedAndWritten) {
  const Options options =
      taken({"--command", "9*GET {key}", "--command", "SET {key} {10-100}",
             "--key-count", "77", "--json", "-", "--hgrm", "a.hgrm", "--quiet",
             "--rank-hgrm", "b.hgrm", "--trace", "t.json", "--entries", "64"});
  EXPECT_EQ(options.commands,
            (std::vector<std::string>{"9*GET {key}", "SET {key} {10-100}"}));
  EXPECT_EQ(options.keys, 77u);
  EXPECT_EQ(options.json, "-");
  EXPECT_EQ(options.hgrm, "a.hgrm");
  EXPECT_EQ(options.rank_hgrm, "b.hgrm");
  EXPECT_EQ(options.trace, "t.json");
  EXPECT_TRUE(options.quiet);
  EXPECT_EQ(options.net["entries"], 64u);
}

TEST(Options, HaveAnotherSeedEachTime) {
  EXPECT_NE(taken({}).plan.seed, taken({}).plan.seed);
}

TEST(Options, OfTheProbe) {
  const auto options = load::parse({"--probe"}, simplex);
  ASSERT_TRUE(options);
  EXPECT_TRUE(options->probe);
}

TEST(Options, OfTheMerging) {
  const auto options = load::parse(
      {"merge", "a.hgrm", "b.hgrm", "--hgrm", "c.hgrm", "--json", "d"}, duplex);
  ASSERT_TRUE(options);
  EXPECT_EQ(options->merge, (std::vector<std::string>{"a.hgrm", "b.hgrm"}));
  EXPECT_EQ(options->hgrm, "c.hgrm");
  EXPECT_EQ(options->json, "d");
}

TEST(Options, HaveAHelp) {
  for (const Arguments& words : {Arguments{"--help"}, {"merge", "--help"}}) {
    const auto options = load::parse(words, duplex);
    ASSERT_FALSE(options);
    EXPECT_EQ(options.error().code, 0);
    EXPECT_NE(options.error().text.find("--hgrm"), std::string::npos);
  }
}

TEST(Options, OfferThreadsWhereTheClientCanHaveThem) {
  for (const auto& client : {duplex, simplex}) {
    const auto options = load::parse({"--help"}, client);
    ASSERT_FALSE(options);
    EXPECT_EQ(options.error().text.contains(" --threads"),
              client.traits.duplex);
  }
}

// ---- Refused ----------------------------------------------------------------

struct Refused {
  Arguments words;
  std::string why;
};

class RefusedOptions : public testing::TestWithParam<Refused> {};

TEST_P(RefusedOptions, SayWhyAndEndWithTwo) {
  const auto options = load::parse(GetParam().words, duplex);
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().code, 2);
  EXPECT_NE(options.error().text.find(GetParam().why), std::string::npos)
      << options.error().text;
}

Refused of(const std::string& name, const std::string& value) {
  return {{"a:1", name, value}, name + ": '" + value + "' is not allowed"};
}

INSTANTIATE_TEST_SUITE_P(
    Numbers, RefusedOptions,
    testing::Values(
        of("--connections", "0"), of("--connections", "100001"),
        of("--connections", "x"), of("--depth", "0"), of("--depth", "100001"),
        of("--depth", "-1"), of("--threads", "0"), of("--threads", "257"),
        of("--rate", "0"), of("--rate", "0.05"), of("--rate", "100000001"),
        of("--rate", "nan"), of("--rate", "inf"), of("--rate", "5x"),
        of("--rate", "-5"), of("--duration", "0"), of("--duration", "3601"),
        of("--duration", "1s"), of("--warmup", "-1"), of("--warmup", "3601"),
        of("--churn", "1000000001"), of("--idle", "100001"),
        of("--slow", "10001"), of("--flooder", "100001"),
        of("--key-count", "0"), of("--key-count", "68719476737"),
        of("--seed", "18446744073709551616"), of("--seed", "a"),
        of("--arrivals", "uniform"), of("--entries", "0")));

INSTANTIATE_TEST_SUITE_P(
    Words, RefusedOptions,
    testing::Values(Refused{{}, "ADDRESS"}, Refused{{"a:1", "b:1"}, "b:1"},
                    Refused{{"a:1", "--unknown"}, "--unknown"},
                    Refused{{"a:1", "--depth"}, "--depth: wants one value"},
                    Refused{{"a:1", "--rate", "9", "--depth", "2"}, "--depth"},
                    Refused{{"a:1", "--threads", "5", "--connections", "4"},
                            "4 connections are too few for 5 threads"},
                    Refused{{"a:1", "--command", "INFO"}, "cannot be checked"},
                    Refused{{"a:1", "--command", "PING", "--command", ""},
                            "no command"},
                    Refused{{"a:1", "--probe"}, "--probe"},
                    Refused{{"merge"}, "FILE"},
                    Refused{{"merge", "a", "--depth", "2"}, "--depth"}));

TEST(RefusedOptions, AreThreadsWhereThereIsOneForEachConnection) {
  const auto options = load::parse({"a:1", "--threads", "2"}, simplex);
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().code, 2);
  EXPECT_NE(options.error().text.find(
                "the blocking client has a thread for each connection"),
            std::string::npos)
      << options.error().text;
}

TEST(RefusedOptions, AreARateWhereTheClientCannotKeepOne) {
  const auto options = load::parse({"a:1", "--rate", "100"}, simplex);
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().code, 2);
  EXPECT_NE(options.error().text.find("--rate"), std::string::npos);
  EXPECT_NE(options.error().text.find(
                "the blocking client cannot send while it waits for a reply"),
            std::string::npos)
      << options.error().text;
}

}  // namespace
