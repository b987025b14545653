#include "bench/load/findings.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "bench/load/report.hpp"
#include "tests/load/simulation.hpp"

namespace {

using load::Findings;
using load::Outcome;
using load::Plan;
using load::Random;
using simulation::microsecond;
using simulation::millisecond;
using simulation::open_loop;
using simulation::second;
using simulation::World;
using Time = load::Nanoseconds;

Findings examine(const Outcome& outcome) {
  return load::examine(outcome.latency, outcome.in_order, outcome.gaps);
}

// ---- Sends ------------------------------------------------------------------

/// The test's p-value for sends so far apart, in seconds, of a schedule of
/// that rate.
template <class Gap>
double p_of(double rate, Gap gap) {
  load::Sends sends(rate);
  double now = 0;
  while (now < 1) {
    now += gap();
    sends.add(static_cast<std::int64_t>(1e9 * now));
  }
  return load::evenness(sends.gaps()).value();
}

auto exponential(double rate, std::uint64_t seed) {
  return [rate, random = Random(seed)]() mutable {
    return -std::log(random.fraction()) / rate;
  };
}

TEST(Sends, OfAPoissonScheduleAreDoubtedAsOftenAsTheLevelSays) {
  for (const double rate : {500.0, 10'000.0, 25'000.0, 300'000.0}) {
    int doubted = 0;
    for (std::uint64_t seed = 1; seed <= 60; ++seed)
      doubted += p_of(rate, exponential(rate, seed)) < 0.05;
    EXPECT_LE(doubted, 9) << rate;
  }
}

TEST(Sends, OfEvenGapsAreNoPoissonSchedule) {
  for (const double rate : {500.0, 10'000.0, 25'000.0})
    EXPECT_LT(p_of(rate, [rate] { return 1 / rate; }), 1e-9);
}

TEST(Sends, OfAnotherRateAreNotOfThisOne) {
  EXPECT_LT(p_of(10'000, exponential(9'000, 1)), 1e-6);
  EXPECT_LT(p_of(10'000, exponential(11'000, 1)), 1e-6);
}

// ---- Of a load --------------------------------------------------------------

/// A load whose client is awake at multiples of `step` only.
double p_of_steps(Time step) {
  World world(open_loop(64, 10'000));
  world.woken_at = [=](Time now) { return (now + step - 1) / step * step; };
  return *examine(world.run()).gaps_p;
}

TEST(Findings, DoNotDoubtWhatALoopDoesOfTensOfMicroseconds) {
  EXPECT_GT(p_of_steps(1), 0.01);
  EXPECT_GT(p_of_steps(50 * microsecond), 0.01);
}

TEST(Findings, DoubtWhatIsSentInBatches) {
  EXPECT_LT(p_of_steps(5 * millisecond), 1e-6);
}

TEST(Findings, DoNotDoubtAScheduleForOnePauseOfTheMachine) {
  World world(open_loop(64, 10'000));
  world.woken_at = [&](Time now) {
    const Time pause = world.measured_at + second / 2;
    const bool paused = world.measured_at != 0 && now >= pause;
    return paused ? std::max(now, pause + 10 * millisecond) : now;
  };
  const Outcome& outcome = world.run();
  EXPECT_GT(*examine(outcome).gaps_p, 0.001);
  EXPECT_GT(examine(outcome).trend->p, 0.001);
}

TEST(Findings, HaveNoGapsWhereThereIsNoPoissonScheduleToKeep) {
  Plan fixed = open_loop(10, 2000);
  fixed.arrivals = load::Arrivals::fixed;
  Plan churn = open_loop(10, 2000);
  churn.churn = 5;
  for (const Plan& plan : {fixed, churn, simulation::closed_loop(10, 1)})
    EXPECT_FALSE(examine(World(plan).run()).gaps_p);
}

/// Whose answers take 100 us, and some more by chance, times what `factor`
/// makes of the part of the measured time that is over.
template <class Factor>
Findings of_server(Factor factor) {
  World world(open_loop(64, 10'000));
  Random random(9);
  world.answered_at = [&](Time now) {
    const double over =
        world.measured_at == 0
            ? 0
            : static_cast<double>(now - world.measured_at) / second;
    return now +
           static_cast<Time>(1e5 * (1 + random.fraction() / 2) * factor(over));
  };
  return examine(world.run());
}

TEST(Findings, OfAServerThatStaysAsItIs) {
  const Findings found = of_server([](double) { return 1; });
  EXPECT_GT(found.trend->p, 0.001);
  EXPECT_NEAR(found.trend->drift, 0, 0.05);
  EXPECT_GT(*found.effective_n, 5000u);
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(found.intervals[i]);
    EXPECT_LT(found.intervals[i]->low_ns, found.intervals[i]->high_ns);
  }
  const auto median = *found.intervals[0];
  EXPECT_LT(median.low_ns, 125 * microsecond);
  EXPECT_GT(median.high_ns, 125 * microsecond);
  EXPECT_LT(median.high_ns - median.low_ns, 3 * microsecond);
}

TEST(Findings, OfAServerThatBecomesSlower) {
  const Findings found = of_server([](double over) { return 1 + over; });
  EXPECT_LT(found.trend->p, 1e-6);
  EXPECT_NEAR(found.trend->drift, 0.66, 0.1);
}

TEST(Findings, OfAServerThatIsSlowByTurnsHaveFewSamples) {
  const Findings found = of_server([](double over) {
    return static_cast<int>(over * 40) % 2 == 0 ? 1.0 : 3.0;
  });
  EXPECT_GT(found.trend->p, 0.001);
  EXPECT_LT(*found.effective_n, 500u);
}

TEST(Findings, OfNothingAreNone) {
  const Findings found = examine(Outcome());
  EXPECT_FALSE(found.gaps_p || found.trend || found.effective_n);
  EXPECT_FALSE(found.intervals[0]);
}

// ---- Of several threads -----------------------------------------------------

TEST(Interleaved, SeriesAreInTheOrderOfTheirTime) {
  using Series = std::vector<std::uint16_t>;
  EXPECT_EQ(load::interleave({{1, 2, 3}}), (Series{1, 2, 3}));
  EXPECT_EQ(load::interleave({{1, 4}, {}, {2, 3}}).size(), 4u);
  EXPECT_EQ(load::interleave({{1, 3, 4, 6}, {2, 5}}),
            (Series{1, 2, 3, 4, 5, 6}));
}

}  // namespace
