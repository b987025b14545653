#include "bench/load/generator.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "bench/load/report.hpp"
#include "tests/load/simulation.hpp"

namespace {

using load::Arrivals;
using load::Outcome;
using load::Phase;
using load::Plan;
using simulation::closed_loop;
using simulation::microsecond;
using simulation::millisecond;
using simulation::open_loop;
using simulation::second;
using simulation::World;
using Time = load::Nanoseconds;

/// A server that stands still from `begin` for so long: what arrives meanwhile
/// is answered when it goes on.
auto standing_still(const World& world, Time begin, Time length) {
  return [&world, begin, length](Time now) {
    const Time from = world.measured_at + begin;
    const bool stands =
        world.measured_at != 0 && now >= from && now < from + length;
    return (stands ? from + length : now) + 100 * microsecond;
  };
}

bool is_running(const World& world) {
  return world.generator.phase() == Phase::warming ||
         world.generator.phase() == Phase::measuring;
}

// ---- Closed loop ------------------------------------------------------------

class Depth : public testing::TestWithParam<std::uint32_t> {};

TEST_P(Depth, IsOwedAtEveryTime) {
  World world(closed_loop(3, GetParam()));
  std::size_t looks = 0;
  world.answered_at = [](Time now) { return now + 10 * millisecond; };
  world.look = [&](protocol::Peer& peer) {
    if (!is_running(world)) return;
    ++looks;
    EXPECT_EQ(peer.session.owed(), GetParam());
  };
  const Outcome& outcome = world.run();
  EXPECT_GT(looks, 100u);
  // 100 rounds in a second; the last ones are awaited and count.
  EXPECT_EQ(outcome.requests, 100 * 3 * GetParam());
  EXPECT_EQ(outcome.unanswered, 0u);
  EXPECT_EQ(outcome.errors, 0u);
  EXPECT_EQ(outcome.measuring, second);
}

INSTANTIATE_TEST_SUITE_P(Of, Depth, testing::Values(1, 7, 100));

TEST(ClosedLoop, KeepsItsDepthWhenAnswersComeInFragments) {
  World world(closed_loop(2, 5));
  world.fragment = 7;
  std::size_t most = 0;
  world.look = [&](protocol::Peer& peer) {
    most = std::max(most, peer.session.owed());
  };
  const Outcome& outcome = world.run();
  EXPECT_EQ(most, 5u);
  EXPECT_EQ(outcome.errors, 0u);
  EXPECT_EQ(outcome.unanswered, 0u);
  EXPECT_GT(outcome.requests, 1000u);
  EXPECT_EQ(outcome.first_error, "");
}

TEST(ClosedLoop, MeasuresFromTheSending) {
  World world(closed_loop(1, 1));
  world.answered_at = [](Time now) { return now + 3 * millisecond; };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.latency, outcome.naive);
  EXPECT_EQ(outcome.latency.count(), outcome.requests);
  EXPECT_EQ(outcome.latency.min(), 3 * millisecond);
  EXPECT_EQ(outcome.latency.max(), 3 * millisecond);
}

TEST(ClosedLoop, LooksAtTheClockAHundredTimesASecond) {
  World world(closed_loop(1, 1));
  world.answered_at = [](Time now) { return now + 25 * millisecond; };
  const Outcome& outcome = world.run();
  EXPECT_NEAR(static_cast<double>(outcome.lag.count()), 100, 1);
  EXPECT_EQ(outcome.lag.max(), 0);
}

// ---- Open loop --------------------------------------------------------------

TEST(OpenLoop, SendsOnScheduleThoughNothingIsAnswered) {
  Plan plan = open_loop(10, 1000);
  plan.arrivals = Arrivals::fixed;
  World world(plan);
  world.answered_at = [](Time now) { return now + 100 * second; };
  const Outcome& outcome = world.run();
  EXPECT_EQ(world.store.answered, 1000u);
  EXPECT_EQ(outcome.requests, 0u);
  EXPECT_EQ(outcome.lag.count(), 1000u);
  EXPECT_EQ(outcome.lag.max(), 0);
}

// What is never answered took, by the end, at least from its time until then:
// the patience, and up to the whole measured time more.
TEST(OpenLoop, CountsWhatIsUnansweredAtTheEnd) {
  Plan plan = open_loop(10, 1000);
  plan.arrivals = Arrivals::fixed;
  plan.patience = second / 2;
  World world(plan);
  world.answered_at = [](Time now) { return now + 100 * second; };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.unanswered, 1000u);
  EXPECT_EQ(outcome.latency.count(), 1000u);
  EXPECT_GE(outcome.latency.min(), plan.patience);
  EXPECT_LE(outcome.latency.max(), plan.duration + plan.patience);
  EXPECT_NEAR(static_cast<double>(outcome.latency.value_at(50)), 1e9, 1e7);
  // That they are owed is no error of theirs.
  EXPECT_EQ(outcome.errors, 0u);
}

TEST(OpenLoop, CountsWhatCouldNotBeSentAtTheEnd) {
  Plan plan = open_loop(1, 100);
  plan.churn = 1;
  plan.arrivals = Arrivals::fixed;
  World world(plan);
  // The second connection is never made: its requests stay where they are.
  world.answered_at = [&](Time now) {
    world.connect_time = 100 * second;
    return now + 100 * microsecond;
  };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.requests, 1u);
  EXPECT_EQ(outcome.unanswered, 99u);
  EXPECT_EQ(outcome.latency.count(), 100u);
  EXPECT_GE(outcome.lag.max(), 900 * millisecond);
}

TEST(OpenLoop, EndsWithItsTimeIfNothingIsOwedThen) {
  Plan plan = open_loop(1, 100);
  plan.arrivals = Arrivals::fixed;
  World world(plan);
  EXPECT_EQ(world.run().requests, 100u);
  EXPECT_LT(world.now, world.measured_at + second + millisecond);
}

// All connections are being made anew when the time ends, and nothing is owed
// on any of them.
TEST(OpenLoop, AwaitsWhatCouldNotBeSentYet) {
  Plan plan = open_loop(1, 100);
  plan.churn = 1;
  plan.arrivals = Arrivals::fixed;
  World world(plan);
  world.connect_time = 15 * millisecond;
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.requests, 100u);
  EXPECT_EQ(outcome.unanswered, 0u);
  EXPECT_EQ(outcome.errors, 0u);
}

TEST(OpenLoop, SendsLateWhatIsFoundToBeDueAfterTheEnd) {
  Plan plan = open_loop(1, 1000);
  plan.arrivals = Arrivals::fixed;
  World world(plan);
  world.woken_at = [&](Time now) {
    const Time held_up = world.measured_at + 700 * millisecond;
    const bool late = world.measured_at != 0 && now >= held_up;
    return late ? std::max(now, held_up + second) : now;
  };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.requests, 1000u);
  EXPECT_EQ(outcome.measuring, second);
  EXPECT_GE(outcome.lag.max(), 990 * millisecond);
}

/// What the load's object says of its rate.
double rate_of(const Plan& plan, const Outcome& outcome) {
  const std::string json = load::to_json(plan, {}, outcome, "");
  return std::stod(json.substr(json.find("\"rate\":") + 7));
}

// Asked is twice what it can; what it answers after the end is awaited, and is
// in the latencies, but it is no rate.
TEST(OpenLoop, HasTheRateOfWhatWasAnsweredWithinItsTime) {
  const Plan plan = open_loop(10, 2000);
  World world(plan);
  Time free = 0;
  world.answered_at = [&](Time now) {
    free = std::max(free, now) + millisecond;
    return free;
  };
  const Outcome& outcome = world.run();
  EXPECT_GT(outcome.requests, 1900u);
  EXPECT_NEAR(rate_of(plan, outcome), 1000, 2);
  EXPECT_EQ(load::find_limit(plan, outcome), "") << "the server limits";
}

class StandsStill : public testing::TestWithParam<Arrivals> {};

// The issue's own figures: what a load sees that keeps its schedule, and what
// one sees that waits with its server.
TEST_P(StandsStill, ShowsInTheLatenciesAndNotInTheNaiveOnes) {
  Plan plan = open_loop(10, 1000);
  plan.arrivals = GetParam();
  plan.duration = 5 * second;
  World world(plan);
  world.answered_at = standing_still(world, 2 * second, second);
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.errors, 0u);
  EXPECT_EQ(outcome.unanswered, 0u);
  EXPECT_NEAR(static_cast<double>(outcome.requests), 5000, 300);
  EXPECT_GE(outcome.latency.value_at(99), 900 * millisecond);
  EXPECT_GE(outcome.latency.max(), 980 * millisecond);
  EXPECT_LT(outcome.naive.value_at(99), 50 * millisecond);
  EXPECT_EQ(outcome.naive.count(), outcome.latency.count());
  // It is the server that is slow, not the load.
  EXPECT_EQ(load::find_fault(plan, outcome), "");
}

INSTANTIATE_TEST_SUITE_P(At, StandsStill,
                         testing::Values(Arrivals::poisson, Arrivals::fixed),
                         [](const auto& arrivals) {
                           return arrivals.param == Arrivals::poisson
                                      ? "PoissonArrivals"
                                      : "FixedArrivals";
                         });

TEST(OpenLoop, RepeatsWithItsSeed) {
  const auto count = [](std::uint64_t seed) {
    Plan plan = open_loop(4, 1000);
    plan.seed = seed;
    World world(plan);
    return world.run().requests;
  };
  const std::vector<std::uint64_t> counts{count(1), count(2), count(3)};
  EXPECT_EQ(count(1), counts[0]);
  EXPECT_FALSE(counts[0] == counts[1] && counts[1] == counts[2]);
}

// ---- Held up ----------------------------------------------------------------

/// Stopped for 50 ms of every 100.
Time throttled(Time now) {
  constexpr Time half = 50 * millisecond;
  return now / half % 2 == 0 ? now : (now / half + 1) * half;
}

TEST(HeldUp, IsFlaggedInAClosedLoop) {
  for (const std::uint32_t connections : {1, 5, 50}) {
    Plan plan = closed_loop(connections, 1);
    World world(plan);
    world.woken_at = throttled;
    world.answered_at = [](Time now) { return now + 2 * millisecond; };
    const std::string fault = load::find_fault(plan, world.run());
    EXPECT_NE(fault.find("held up"), std::string::npos) << fault;
  }
}

TEST(HeldUp, IsFlaggedInAnOpenLoop) {
  for (const double rate : {500., 2000., 10'000.}) {
    Plan plan = open_loop(10, rate);
    World world(plan);
    world.woken_at = throttled;
    const std::string fault = load::find_fault(plan, world.run());
    EXPECT_NE(fault.find("after their time"), std::string::npos) << fault;
  }
}

// The same loads, with nothing in their way.
TEST(HeldUp, IsNotSaidOfWhoIsNot) {
  for (const Plan& plan : {closed_loop(5, 1), open_loop(10, 2000)}) {
    World world(plan);
    world.answered_at = [](Time now) { return now + 2 * millisecond; };
    EXPECT_EQ(load::find_fault(plan, world.run()), "");
  }
}

// ---- Phases -----------------------------------------------------------------

TEST(Phases, AreAnnouncedInOrder) {
  Plan plan = closed_loop(2, 1);
  plan.warmup_max = second;
  World world(plan);
  world.run();
  EXPECT_EQ(world.phases, (std::vector{Phase::warming, Phase::measuring,
                                       Phase::awaiting, Phase::over}));
}

TEST(Phases, WarmUntilFiveWindowsAreAlike) {
  Plan plan = closed_loop(2, 1);
  plan.warmup_max = 10 * second;
  World world(plan);
  world.answered_at = [](Time now) { return now + millisecond; };
  EXPECT_EQ(world.run().warming, 500 * millisecond);
}

// The server gets faster for a second: no five windows before are alike.
TEST(Phases, WarmAsLongAsRatesChange) {
  Plan plan = closed_loop(2, 1);
  plan.warmup_max = 10 * second;
  World world(plan);
  const Time begin = world.now;
  world.answered_at = [begin](Time now) {
    const Time age = std::min<Time>((now - begin) / 100, 10 * millisecond);
    return now + 11 * millisecond - age;
  };
  const Outcome& outcome = world.run();
  EXPECT_GE(outcome.warming, second);
  EXPECT_LE(outcome.warming, 3 * second / 2);
}

TEST(Phases, WarmNoLongerThanTheirLimit) {
  for (const Time limit : {second, 250 * millisecond, 20 * millisecond}) {
    Plan plan = closed_loop(2, 1);
    plan.warmup_max = limit;
    World world(plan);
    // Ten times as slow in every other window.
    world.answered_at = [begin = world.now](Time now) {
      const bool slow = (now - begin) / (100 * millisecond) % 2 == 0;
      return now + (slow ? 10 : 1) * millisecond;
    };
    EXPECT_EQ(world.run().warming, limit);
  }
}

TEST(Phases, CountNothingOfTheWarmUp) {
  Plan plan = closed_loop(1, 1);
  plan.warmup_max = second / 2;
  plan.duration = second / 10;
  World world(plan);
  world.answered_at = [](Time now) { return now + millisecond; };
  const Outcome& outcome = world.run();
  EXPECT_NEAR(static_cast<double>(outcome.requests), 100, 1);
  EXPECT_EQ(outcome.latency.count(), outcome.requests);
  EXPECT_NEAR(static_cast<double>(world.generator.answered()), 600, 2);
}

TEST(Phases, MeasureWhatIsUsedMeanwhile) {
  Plan plan = closed_loop(1, 1);
  plan.warmup_max = second / 2;
  World world(plan);
  // A CPU's tenth, and as much waiting for it as a twentieth.
  const Time begin = world.now;
  world.look = [&](protocol::Peer&) {
    const Time passed = world.now - begin;
    world.usage = {passed / 10, passed / 10, passed / 20};
  };
  const Outcome& outcome = world.run();
  EXPECT_NEAR(static_cast<double>(outcome.cpu), 1e8, 1e6);
  EXPECT_NEAR(static_cast<double>(outcome.busiest), 1e8, 1e6);
  EXPECT_NEAR(static_cast<double>(outcome.delayed), 5e7, 1e6);
}

TEST(Phases, StopFromAnotherThread) {
  Plan plan = closed_loop(2, 1);
  plan.duration = 3600 * second;
  World world(plan);
  std::jthread stopper([&] {
    while (world.generator.answered() < 1000) std::this_thread::yield();
    world.generator.stop("interrupted");
  });
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.first_error, "interrupted");
  EXPECT_GE(outcome.errors, 1u);
  EXPECT_GE(outcome.requests, 1000u);
  EXPECT_TRUE(world.generator.over());
  EXPECT_EQ(load::find_fault(plan, outcome), "interrupted");
}

// ---- Who is connected -------------------------------------------------------

TEST(Connections, AreMadeNotAllAtOnce) {
  Plan plan = closed_loop(1000, 1);
  plan.duration = 10 * millisecond;
  World world(plan);
  world.connect_time = millisecond;
  const Outcome& outcome = world.run();
  EXPECT_EQ(world.connects, 1000u);
  EXPECT_EQ(world.connecting_most, 128u);
  EXPECT_GE(outcome.connecting, 8 * millisecond);
  EXPECT_EQ(outcome.errors, 0u);
}

// A model whose threads hold the peers sleeps elsewhere until it rings.
TEST(Connections, RingWhenTheyStandAndWhenTheyEnd) {
  World world(closed_loop(1, 1));
  protocol::Peer* const peer = world.generator.next();
  ASSERT_NE(peer, nullptr);
  EXPECT_EQ(world.generator.next(), nullptr);
  EXPECT_FALSE(world.bell.rung);
  world.generator.connected(*peer);
  EXPECT_TRUE(world.bell.rung.exchange(false));
  world.generator.closed(*peer, "gone");
  EXPECT_TRUE(world.bell.rung);
}

// So that ports do not run out: each address has its own.
TEST(Connections, ThatAreMadeAnewComeFromManyAddressesOfThisHost) {
  const auto addresses = [](const std::string& target, std::uint32_t churn) {
    Plan plan = closed_loop(2, 1);
    plan.address = target;
    plan.churn = churn;
    World world(plan);
    return std::vector<std::string>{world.generator.next()->address,
                                    world.generator.next()->address};
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(addresses("127.0.0.1:7000", 1),
            (Texts{"127.0.0.1:7000 from 127.0.0.1",
                   "127.0.0.1:7000 from 127.0.0.2"}));
  for (const std::string text : {"127.0.0.1:7000", "10.0.0.1:7000"}) {
    const bool here = text.starts_with("127.");
    EXPECT_EQ(addresses(text, here ? 0 : 1), (Texts{text, text}));
  }
}

class Churn : public testing::TestWithParam<bool> {};

TEST_P(Churn, MakesConnectionsAnewAndLosesNothing) {
  Plan plan = GetParam() ? open_loop(4, 1000) : closed_loop(4, 3);
  plan.arrivals = Arrivals::fixed;
  plan.churn = 10;
  World world(plan);
  world.connect_time = millisecond;
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.first_error, "");
  EXPECT_EQ(outcome.errors, 0u);
  EXPECT_EQ(outcome.unanswered, 0u);
  EXPECT_EQ(world.store.answered, world.generator.answered());
  EXPECT_GE(outcome.requests, 1000u);
  EXPECT_NEAR(static_cast<double>(world.connects),
              static_cast<double>(outcome.requests) / 10, 8);
}

INSTANTIATE_TEST_SUITE_P(In, Churn, testing::Bool(), [](const auto& open) {
  return open.param ? "AnOpenLoop" : "AClosedLoop";
});

TEST(Connections, ThatAreIdleAskOnce) {
  Plan plan = closed_loop(1, 1);
  plan.idle = 200;
  World world(plan);
  world.answered_at = [](Time now) { return now + 10 * millisecond; };
  // However often the model lets them speak.
  world.look = [&](protocol::Peer& peer) {
    world.generator.say(peer, world.now);
    EXPECT_FALSE(peer.session.has_output());
  };
  const Outcome& outcome = world.run();
  EXPECT_EQ(world.connects, 201u);
  EXPECT_EQ(outcome.requests, 100u);
  EXPECT_NEAR(static_cast<double>(world.store.answered), 300, 1);
  EXPECT_EQ(outcome.errors, 0u);
}

// The flooder's answers take a second as it asks for so many: none of that is
// in the latencies.
TEST(Connections, OfTheFlooderAreNotMeasured) {
  for (Plan plan : {closed_loop(3, 1), open_loop(3, 300)}) {
    plan.flooder = 64;
    World world(plan);
    std::size_t deepest = 0;
    world.look = [&](protocol::Peer& peer) {
      if (is_running(world)) deepest = std::max(deepest, peer.session.owed());
    };
    world.answered_at = [](Time now) { return now + millisecond; };
    const Outcome& outcome = world.run();
    EXPECT_EQ(deepest, 64u);
    EXPECT_EQ(outcome.flooded, 64'000u);
    EXPECT_EQ(outcome.latency.count(), outcome.requests);
    EXPECT_NEAR(static_cast<double>(outcome.requests),
                plan.is_open() ? 300 : 3000, 60);
    EXPECT_EQ(outcome.unanswered, 0u);
  }
}

}  // namespace
