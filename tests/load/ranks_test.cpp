#include "bench/load/ranks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "tests/load/simulation.hpp"

namespace {

using load::Histogram;
using load::Nanoseconds;
using load::Options;
using load::Outcome;
using load::Phase;
using load::Plan;
using load::Rank;
using load::Tally;
using simulation::closed_loop;
using simulation::millisecond;
using simulation::open_loop;
using simulation::second;
using simulation::World;

// ---- Shares -----------------------------------------------------------------

Options whole() {
  Options options;
  options.plan.connections = 64;
  options.plan.rate = 50'000;
  options.plan.idle = 1000;
  options.plan.flooder = 100;
  options.slow = 10;
  options.rank_hgrm = "own";
  options.trace = "trace";
  return options;
}

std::vector<Options> shares(const Options& options, std::uint32_t count) {
  std::vector<Options> found;
  for (std::uint32_t number = 0; number < count; ++number)
    found.push_back(load::share(options, {number, count}));
  return found;
}

class Shares : public testing::TestWithParam<std::uint32_t> {};

TEST_P(Shares, AreTheWhole) {
  std::uint32_t connections = 0, idle = 0, slow = 0, flooders = 0;
  double rate = 0;
  for (const Options& mine : shares(whole(), GetParam())) {
    EXPECT_GT(mine.plan.connections, 0u);
    EXPECT_NEAR(mine.plan.rate / mine.plan.connections, 50'000.0 / 64, 1e-6);
    connections += mine.plan.connections;
    idle += mine.plan.idle;
    slow += mine.slow;
    flooders += mine.plan.flooder != 0;
    rate += mine.plan.rate;
  }
  EXPECT_EQ(connections, 64u);
  EXPECT_EQ(idle, 1000u);
  EXPECT_EQ(slow, 10u);
  EXPECT_EQ(flooders, 1u);
  EXPECT_NEAR(rate, 50'000, 1e-6);
}

// A payload names its connection: by this a server is convicted that answers
// one rank with what belongs to another.
TEST_P(Shares, HaveConnectionsOfTheirOwn) {
  std::set<std::uint32_t> numbers;
  std::size_t all = 0;
  for (const Options& mine : shares(whole(), GetParam())) {
    const Plan& plan = mine.plan;
    const std::uint32_t count =
        plan.connections + plan.idle + (plan.flooder ? 1 : 0);
    all += count;
    for (std::uint32_t i = 0; i < count; ++i) numbers.insert(plan.first + i);
  }
  EXPECT_EQ(numbers.size(), all);
}

TEST_P(Shares, DifferInSeedAndFile) {
  std::set<std::uint64_t> seeds;
  std::set<std::string> files, traces;
  for (const Options& mine : shares(whole(), GetParam())) {
    seeds.insert(mine.plan.seed);
    files.insert(mine.rank_hgrm);
    traces.insert(mine.trace);
  }
  EXPECT_EQ(seeds.size(), GetParam());
  EXPECT_EQ(files.size(), GetParam());
  EXPECT_EQ(traces.size(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Ranks, Shares, testing::Values(1, 2, 3, 7, 64));

TEST(Share, OfOneIsTheWholeAndWaitsForNobody) {
  const Options mine = load::share(whole(), {0, 1});
  EXPECT_FALSE(mine.plan.together);
  EXPECT_EQ(mine.plan.seed, whole().plan.seed);
  EXPECT_EQ(mine.plan.flooder, 100u);
  EXPECT_EQ(mine.rank_hgrm, "own.0");
  EXPECT_EQ(mine.trace, "trace");
}

TEST(Share, OfSeveralWaitsForTheOthers) {
  EXPECT_TRUE(load::share(whole(), {1, 2}).plan.together);
}

TEST(Share, IsRefusedToMoreRanksThanConnections) {
  EXPECT_THROW(load::share(whole(), {0, 65}), std::invalid_argument);
}

// ---- Tallies ----------------------------------------------------------------

/// As MPI_Reduce does it.
Tally reduce(const std::vector<Tally>& tallies) {
  Tally all = tallies.front();
  for (auto tally = tallies.begin() + 1; tally != tallies.end(); ++tally) {
    for (std::size_t i = 0; i < all.sums.size(); ++i)
      all.sums[i] += tally->sums[i];
    for (std::size_t i = 0; i < all.least.size(); ++i)
      all.least[i] = std::min(all.least[i], tally->least[i]);
    for (std::size_t i = 0; i < all.greatest.size(); ++i)
      all.greatest[i] = std::max(all.greatest[i], tally->greatest[i]);
  }
  return all;
}

void record(Outcome& outcome, Nanoseconds value) {
  outcome.latency.record(value);
  outcome.naive.record(value / 2);
  outcome.lag.record(value / 1000);
  ++outcome.requests;
}

TEST(Tallies, AddUpToTheHistogramsOfAllSamplesBitForBit) {
  Outcome of_all;
  std::vector<Outcome> ranks(4);  // the last one has seen nothing
  load::Random random(7);
  for (int i = 0; i < 30'000; ++i) {
    const auto value = static_cast<Nanoseconds>(
        random.below(std::uint64_t{1} << (1 + random.below(38))));
    record(of_all, value);
    record(ranks[random.below(3)], value);
  }
  std::vector<Tally> tallies;
  for (const Outcome& rank : ranks) tallies.push_back(load::to_tally(rank));
  const Outcome sum = load::to_outcome(reduce(tallies));
  EXPECT_EQ(sum.latency, of_all.latency);
  EXPECT_EQ(sum.naive, of_all.naive);
  EXPECT_EQ(sum.lag, of_all.lag);
  EXPECT_EQ(sum.requests, 30'000u);
}

TEST(Tallies, HaveSumsOfCountsAndCpuAndTheLongestTimes) {
  Outcome one, other;
  one.errors = 1, other.errors = 2;
  one.unanswered = 10, other.unanswered = 20;
  one.flooded = 100;
  one.wrong = 1, other.slow_ended = 7;
  one.cpu = 5, other.cpu = 6;
  one.busiest = 4, other.busiest = 3;
  one.completed = 5, other.completed = 7;
  one.delayed = 7, other.delayed = 8;
  one.connecting = 3, other.connecting = 2;
  one.warming = 30, other.warming = 40;
  one.measuring = second, other.measuring = second + 1;
  const Outcome sum =
      load::to_outcome(reduce({load::to_tally(one), load::to_tally(other)}));
  EXPECT_EQ(sum.errors, 3u);
  EXPECT_EQ(sum.unanswered, 30u);
  EXPECT_EQ(sum.flooded, 100u);
  EXPECT_EQ(sum.wrong, 1u);
  EXPECT_EQ(sum.slow_ended, 7u);
  EXPECT_EQ(sum.cpu, 11);
  EXPECT_EQ(sum.delayed, 8) << "of the one that waited most";
  EXPECT_EQ(sum.busiest, 4);
  EXPECT_EQ(sum.completed, 12u);
  EXPECT_EQ(sum.connecting, 3);
  EXPECT_EQ(sum.warming, 40);
  EXPECT_EQ(sum.measuring, second + 1);
}

TEST(Tallies, ThatAreCutOffAreRefused) {
  Tally tally = load::to_tally(Outcome());
  tally.sums.pop_back();
  EXPECT_THROW(load::to_outcome(tally), std::invalid_argument);
}

// ---- Threads ----------------------------------------------------------------

TEST(Merged, ThreadsAreAsOneThatHasSeenAll) {
  Outcome of_all;
  std::vector<Outcome> threads(3);
  for (int i = 0; i < 3000; ++i) {
    record(of_all, i);
    record(threads[static_cast<std::size_t>(i % 3)], i);
  }
  threads[0].gaps = {0.1, 0.2}, threads[2].gaps = {0.3};
  threads[0].in_order = {1, 2}, threads[1].in_order = {3};
  threads[0].cpu = 10, threads[1].cpu = 30;
  threads[1].busiest = 30;
  const Outcome sum = load::merge(threads);
  EXPECT_EQ(sum.latency, of_all.latency);
  EXPECT_EQ(sum.requests, 3000u);
  EXPECT_EQ(sum.threads, 3u);
  EXPECT_EQ(sum.cpu, 40);
  EXPECT_EQ(sum.busiest, 30);
  EXPECT_EQ(sum.gaps, (std::vector{0.1, 0.2, 0.3}));
  EXPECT_EQ(sum.in_order, (std::vector<std::uint16_t>{1, 3, 2}));
}

TEST(Merged, ThreadsTellTheCauseAndNotWhatFollowedFromIt) {
  std::vector<Outcome> threads(3);
  threads[0].first_error = load::another_has_ended, threads[0].errors = 1;
  threads[1].first_error = "refused", threads[1].errors = 2;
  threads[2].first_error = load::another_has_ended, threads[2].errors = 1;
  const Outcome sum = load::merge(threads);
  EXPECT_EQ(sum.first_error, "refused");
  EXPECT_EQ(sum.errors, 2u);
}

// Those of all ranks are numbered through, so that an answer to another
// thread's request is known to be wrong wherever that is.
TEST(Merged, ThreadsOfSeveralRanksHaveNoConnectionInCommon) {
  Plan plan = whole().plan;
  plan.threads = 3;
  std::uint32_t end = 0, connections = 0;
  for (std::uint32_t i = 0; i < 2 * plan.threads; ++i) {
    const Plan mine = load::share(plan, {i, 2 * plan.threads});
    EXPECT_GE(mine.first, end);
    end = mine.first + mine.connections + mine.idle + (mine.flooder != 0);
    connections += mine.connections;
    EXPECT_TRUE(mine.together);
  }
  EXPECT_EQ(connections, plan.connections);
}

// ---- The whole --------------------------------------------------------------

/// Others that have said all they have to say already.
class Others final : public load::Ranks {
 public:
  explicit Others(std::uint32_t number) : rank_{number, 3, "here"} {}
  const Rank& rank() const override { return rank_; }
  std::uint64_t first_of(std::uint64_t number) override { return number; }
  std::optional<bool> agree(bool ready) override { return ready; }
  std::optional<Sum> add(const Tally& tally, const std::string& text) override {
    tallies.push_back(tally);
    texts.push_back(text);
    if (rank_.number != 0) return std::nullopt;
    return Sum{reduce(tallies), texts};
  }

  std::vector<Tally> tallies;
  std::vector<std::string> texts;

 private:
  const Rank rank_;
};

/// What the first of three makes of these faults.
std::optional<load::Whole> add_up(const std::vector<std::string>& faults) {
  Others mouth(1), first(0);
  for (const std::string& fault : faults) {
    Outcome outcome;
    outcome.first_error = fault;
    record(outcome, 5);
    if (&fault == &faults.back()) {
      // Its text comes last here, which is of no concern.
      first.tallies = mouth.tallies;
      first.texts = mouth.texts;
      return load::add_up(first, outcome, fault, "{last}");
    }
    EXPECT_FALSE(load::add_up(mouth, outcome, fault, "{object}"));
  }
  return std::nullopt;
}

TEST(Whole, HasAllSamplesAndEveryRanksObject) {
  const auto whole = add_up({"", "", ""});
  EXPECT_EQ(whole->fault, "");
  EXPECT_EQ(whole->outcome.first_error, "");
  EXPECT_EQ(whole->outcome.requests, 3u);
  EXPECT_EQ(whole->outcome.latency.count(), 3u);
  EXPECT_EQ(whole->ranks,
            (std::vector<std::string>{"{object}", "{object}", "{last}"}));
}

TEST(Whole, IsAtFaultIfAnyRankIs) {
  const auto whole = add_up({"", "held up", "other"});
  EXPECT_EQ(whole->fault, "rank 1 (here): held up");
  EXPECT_EQ(whole->outcome.first_error, "rank 1 (here): held up");
}

TEST(Whole, TellsTheCauseAndNotWhatFollowedFromIt) {
  const auto whole = add_up(
      {load::others_are_not_ready, load::others_are_not_ready, "refused"});
  EXPECT_EQ(whole->fault, "rank 2 (here): refused");
}

TEST(Whole, IsNeverWithoutFaultIfAllEndedBecauseOfAnother) {
  const auto whole = add_up({"", load::others_are_not_ready, ""});
  EXPECT_EQ(whole->fault,
            std::string("rank 1 (here): ") + load::others_are_not_ready);
}

// ---- The start --------------------------------------------------------------

/// Ranks that begin at `begin` (in the world's time).
const Outcome& run_together(World& world, Nanoseconds begin) {
  world.look = [&world, begin](protocol::Peer&) {
    if (world.now >= begin && world.generator.phase() == Phase::ready)
      world.generator.begin();
  };
  return world.run();
}

Plan with_others(Plan plan) {
  plan.together = true;
  return plan;
}

TEST(Start, IsWaitedForWhileAllIsAsBefore) {
  for (const Plan& plan : {closed_loop(4, 1), open_loop(4, 1000)}) {
    World world(with_others(plan));
    const Nanoseconds begin = world.now + 3 * second;
    const Outcome& outcome = run_together(world, begin);
    EXPECT_EQ(world.phases,
              (std::vector{Phase::warming, Phase::ready, Phase::measuring,
                           Phase::awaiting, Phase::over}));
    EXPECT_GE(world.measured_at, begin);
    EXPECT_LT(world.measured_at, begin + 100 * millisecond);
    EXPECT_EQ(outcome.measuring, plan.duration);
    // It asked all the time, and counted only what it measured.
    EXPECT_GT(world.store.answered, 2 * outcome.requests);
    EXPECT_EQ(outcome.first_error, "");
  }
}

TEST(Start, IsNotWaitedForByWhoHasLostTheServer) {
  World world(with_others(closed_loop(4, 1)));
  const Nanoseconds end = world.now + second;
  world.reset = [&]() -> std::string { return world.now > end ? "gone" : ""; };
  const Outcome& outcome = world.run();
  EXPECT_EQ(world.phases.back(), Phase::over);
  EXPECT_EQ(outcome.requests, 0u);
  EXPECT_NE(outcome.first_error.find("gone"), std::string::npos);
}

TEST(Start, FindsConnectionsNumberedFromTheRanksFirst) {
  Plan plan = open_loop(4, 1000);
  plan.first = 5000;
  World world(plan);
  world.reset = [&]() -> std::string {
    return world.measured_at != 0 ? "gone" : "";
  };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.first_error.substr(0, 13), "connection 50");
}

}  // namespace
