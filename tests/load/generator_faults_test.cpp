// What goes wrong with a server, and that the load says so.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "bench/load/report.hpp"
#include "tests/load/simulation.hpp"

namespace {

using load::Outcome;
using load::Phase;
using simulation::closed_loop;
using simulation::millisecond;
using simulation::open_loop;
using simulation::second;
using simulation::Words;
using simulation::World;

/// The answer `text` instead of the right one to the nth request.
void answer_wrongly(World& world, std::size_t n, const std::string& text) {
  world.store.instead = [&world, n, text](Words, protocol::Reply& reply) {
    if (world.store.answered != n) return false;
    reply.bulk(text);
    return true;
  };
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(WrongAnswer, EndsTheRunAtTheFirst) {
  for (const load::Plan& plan : {closed_loop(1, 1), open_loop(1, 1000)}) {
    World world(plan);
    std::string asked;
    world.store.instead = [&](Words words, protocol::Reply& reply) {
      if (world.store.answered < 100) return false;
      if (world.store.answered == 100) asked = words[1];
      std::string wrong(words[1]);
      wrong.back() = static_cast<char>(wrong.back() ^ 1);
      reply.bulk(wrong);
      return true;
    };
    const Outcome& outcome = world.run();
    EXPECT_EQ(world.generator.answered(), 99u);
    EXPECT_EQ(outcome.requests, 99u);
    EXPECT_EQ(outcome.errors, 1u);
    EXPECT_EQ(load::whose(asked), "connection 0, request 99");
    EXPECT_TRUE(has(outcome.first_error, "connection 0, request 99: 32 bytes"))
        << outcome.first_error;
    EXPECT_EQ(load::find_fault(plan, outcome), outcome.first_error);
    EXPECT_LT(outcome.measuring, second);
  }
}

TEST(WrongAnswer, OfAnotherConnectionIsNamedSo) {
  World world(closed_loop(5, 1));
  std::string before, asked;
  world.store.instead = [&](Words words, protocol::Reply& reply) {
    if (world.store.answered > 42) return false;
    before = std::exchange(asked, words[1]);
    if (world.store.answered < 42) return false;
    reply.bulk(before);
    return true;
  };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.errors, 1u);
  EXPECT_EQ(outcome.first_error.find(load::whose(asked) + ": 32 bytes"), 0u)
      << outcome.first_error;
  EXPECT_TRUE(has(outcome.first_error, "they belong to " + load::whose(before)))
      << outcome.first_error;
}

TEST(WrongAnswer, InTheWarmUpIsOneToo) {
  load::Plan plan = closed_loop(1, 1);
  plan.warmup_max = second;
  World world(plan);
  answer_wrongly(world, 10, "no");
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.errors, 1u);
  EXPECT_EQ(outcome.wrong, 1u);
  EXPECT_EQ(outcome.requests, 0u);
  EXPECT_NE(load::find_fault(plan, outcome), "");
  EXPECT_EQ(world.phases, std::vector{Phase::warming});
}

TEST(WrongAnswer, ToTheFlooderOrAnIdleOneIsOneToo) {
  for (const bool flooder : {true, false}) {
    load::Plan plan = closed_loop(1, 1);
    (flooder ? plan.flooder : plan.idle) = 1;
    World world(plan);
    world.store.instead = [&](Words words, protocol::Reply& reply) {
      if (load::whose(words[1]) != "connection 1, request 0") return false;
      reply.bulk("no");
      return true;
    };
    EXPECT_TRUE(has(world.run().first_error, "connection 1, request 0: "));
  }
}

// All connections are answered wrongly at once: it is the first that counts.
TEST(WrongAnswer, ErrorReplyIsOne) {
  World world(closed_loop(5, 1));
  world.store.instead = [&](Words, protocol::Reply& reply) {
    reply.error("ERR out of order");
    return true;
  };
  const Outcome& outcome = world.run();
  EXPECT_TRUE(has(outcome.first_error, "the error 'ERR out of order'"));
  EXPECT_EQ(outcome.errors, 1u);
}

TEST(WrongAnswer, ToNothingIsOne) {
  World world(closed_loop(1, 1));
  world.store.instead = [&](Words words, protocol::Reply& reply) {
    reply.bulk(words[1]);
    reply.bulk(words[1]);
    return true;
  };
  const Outcome& outcome = world.run();
  EXPECT_TRUE(has(outcome.first_error, "connection 0: protocol error"))
      << outcome.first_error;
  EXPECT_EQ(outcome.errors, 1u);
  EXPECT_EQ(outcome.wrong, 1u);
}

// ---- Connections that end ---------------------------------------------------

TEST(Lost, ConnectionsThatAreRefusedAreErrors) {
  const load::Plan plan = closed_loop(7, 1);
  World world(plan);
  world.refusal = [] { return "Connection refused"; };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.errors, 7u);
  EXPECT_EQ(outcome.wrong, 0u);
  EXPECT_EQ(outcome.first_error, "connection 0: Connection refused");
  EXPECT_EQ(world.phases, std::vector{Phase::over});
  EXPECT_EQ(load::find_fault(plan, outcome), outcome.first_error);
}

TEST(Lost, TheOthersGoOn) {
  World world(closed_loop(7, 1));
  std::size_t refused = 0;
  world.refusal = [&] { return ++refused <= 2 ? "Connection refused" : ""; };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.errors, 2u);
  EXPECT_EQ(outcome.measuring, second);
  EXPECT_GT(outcome.requests, 1000u);
}

TEST(Lost, ConnectionsThatAreResetAreErrorsOfAllTheyOwed) {
  World world(closed_loop(3, 4));
  std::size_t answers = 0;
  world.reset = [&] { return ++answers == 50 ? "Connection reset" : ""; };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.errors, 4u);
  EXPECT_TRUE(has(outcome.first_error, ": Connection reset"));
  EXPECT_EQ(outcome.unanswered, 0u);
  EXPECT_EQ(world.connects, 3u);
}

TEST(Lost, AllOfThemEndTheRun) {
  World world(closed_loop(3, 1));
  std::size_t answers = 0;
  world.reset = [&] { return ++answers > 30 ? "Connection reset" : ""; };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.errors, 3u);
  EXPECT_EQ(outcome.requests, 30u);
  EXPECT_LT(outcome.measuring, 10 * millisecond);
}

TEST(Lost, ConnectionsThatOweNothingAreErrorsToo) {
  World world(open_loop(1, 100));
  world.answered_at = [](load::Nanoseconds now) { return now + 1; };
  std::size_t looks = 0;
  world.look = [&](protocol::Peer& peer) {
    if (++looks >= 20 && peer.session.owed() == 0) peer.session.end_of_input();
  };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.errors, 1u);
  EXPECT_EQ(outcome.first_error,
            "connection 0: the server closed the connection");
}

// Those of whom a server does not know stand all the same: in its backlog.
TEST(Lost, IdleConnectionsThatAreNeverAnsweredEndTheRun) {
  load::Plan plan = closed_loop(1, 1);
  plan.idle = 3;
  World world(plan);
  world.answered_at = [](load::Nanoseconds now) { return now + 20 * second; };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.first_error, "3 idle connections were not answered");
  EXPECT_EQ(outcome.errors, 1u);
  EXPECT_EQ(outcome.wrong, 0u);
  EXPECT_TRUE(world.phases.empty());
}

// Who is lost is waited for no more.
TEST(Lost, IdleConnectionsLeaveTheOthersAlone) {
  load::Plan plan = closed_loop(2, 1);
  plan.idle = 5;
  World world(plan);
  std::size_t refused = 0, resets = 0;
  world.refusal = [&] { return ++refused == 5 ? "Connection refused" : ""; };
  world.reset = [&] { return ++resets == 2 ? "Connection reset" : ""; };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.errors, 2u);
  EXPECT_EQ(outcome.measuring, second);
  EXPECT_GT(outcome.requests, 1000u);
}

// A server that ends what it owes answers on is no part of the churn.
TEST(Lost, ConnectionsAreNotMadeAnewByChurnIfTheyOwed) {
  load::Plan plan = closed_loop(1, 2);
  plan.churn = 10;
  World world(plan);
  std::size_t answers = 0;
  world.reset = [&] { return ++answers == 15 ? "Connection reset" : ""; };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.errors, 2u);
  EXPECT_EQ(world.connects, 3u);
}

// What the model closes when all is over is nobody's fault, and what was owed
// on it is unanswered still.
TEST(Lost, ConnectionsThatTheModelClosesAtTheEndAreNone) {
  load::Plan plan = closed_loop(4, 2);
  World world(plan);
  world.answered_at = [&](load::Nanoseconds now) {
    const auto end = world.measured_at + second / 2;
    const bool stands = world.measured_at != 0 && now > end;
    return now + (stands ? 100 * second : millisecond);
  };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.errors, 0u);
  EXPECT_EQ(outcome.first_error, "");
  EXPECT_EQ(outcome.unanswered, 8u);
  EXPECT_EQ(outcome.latency.count(), outcome.requests + 8);
  EXPECT_GE(outcome.latency.max(), 1490 * millisecond);
}

// ---- Silent -----------------------------------------------------------------

/// A server that answers nobody from `begin` of the measured time on, for so
/// long.
void silence(World& world, load::Nanoseconds begin, load::Nanoseconds length) {
  world.answered_at = [&world, begin, length](load::Nanoseconds now) {
    const auto from = world.measured_at + begin;
    const bool silent =
        world.measured_at != 0 && now >= from && now < from + length;
    return (silent ? from + length : now) + millisecond;
  };
}

std::vector<load::Plan> ways_to_load() {
  std::vector<load::Plan> plans{closed_loop(5, 1), closed_loop(5, 8),
                                open_loop(5, 2000), closed_loop(5, 1),
                                open_loop(5, 2000)};
  plans[3].churn = plans[4].churn = 7;
  for (load::Plan& plan : plans) plan.duration = 3 * second;
  return plans;
}

TEST(Silent, ServersAreNoValidOnesHoweverTheyAreAsked) {
  for (const load::Plan& plan : ways_to_load()) {
    World world(plan);
    silence(world, second, 1000 * second);
    const Outcome& outcome = world.run();
    EXPECT_EQ(outcome.errors, 0u);
    EXPECT_GT(outcome.requests, 1000u);
    EXPECT_TRUE(has(load::find_fault(plan, outcome),
                    "requests were not answered: nothing came in the last "))
        << load::find_fault(plan, outcome);
    EXPECT_GE(outcome.silent_at_end, 2 * second);
  }
}

// They speak again, and nothing is owed at the end.
TEST(Silent, ServersAreNoValidOnesThoughTheySpeakAgain) {
  for (const load::Plan& plan : ways_to_load()) {
    World world(plan);
    silence(world, second, second);
    const Outcome& outcome = world.run();
    EXPECT_EQ(outcome.unanswered, 0u);
    EXPECT_EQ(load::find_fault(plan, outcome).find("the server was silent for"),
              0u)
        << load::find_fault(plan, outcome);
    EXPECT_NEAR(static_cast<double>(outcome.silent), 1e9, 2e7);
  }
}

TEST(Silent, ServersAreNotThoseWhoPauseForAMoment) {
  for (const load::Plan& plan : ways_to_load()) {
    World world(plan);
    silence(world, second, second / 5);
    EXPECT_EQ(load::find_fault(plan, world.run()), "");
  }
}

// Who is asked for more than he can do answers to the very end.
TEST(Silent, ServersAreNotThoseWhoFallBehind) {
  load::Plan plan = open_loop(5, 4000);
  World world(plan);
  load::Nanoseconds last = 0;
  world.answered_at = [&](load::Nanoseconds now) {
    return last = std::max(last, now) + millisecond;
  };
  const Outcome& outcome = world.run();
  EXPECT_GT(outcome.unanswered, 0u);
  EXPECT_EQ(load::find_fault(plan, outcome), "");
}

// ---- Asked for too much -----------------------------------------------------

TEST(TooMuch, IsCountedAndNotKept) {
  load::Plan plan = open_loop(50, 1e8);
  plan.arrivals = load::Arrivals::fixed;
  plan.duration = second / 100;
  plan.warmup_max = second / 100;
  plan.patience = second / 100;
  World world(plan, {"ECHO {65536}"});
  world.answered_at = [](load::Nanoseconds now) { return now + 100 * second; };
  std::size_t owed = 0;
  world.look = [&](protocol::Peer& peer) {
    owed = std::max(owed, 50 * peer.session.owed());
  };
  const Outcome& outcome = world.run();
  // 128 MiB of them.
  EXPECT_LT(owed, 2500u);
  EXPECT_NEAR(static_cast<double>(outcome.unanswered), 1e6, 100);
  EXPECT_EQ(outcome.latency.count(), outcome.requests + outcome.unanswered);
  EXPECT_NE(load::find_fault(plan, outcome), "");
}

// Else nobody would hear of a stop, or of an answer.
TEST(TooMuch, IsHandedOutInPortions) {
  load::Plan plan = open_loop(10'000, 1e8);
  World world(plan);
  for (std::size_t i = 0; i < plan.connections; ++i)
    world.generator.connected(*world.generator.next());
  std::size_t count = 0;
  world.generator.due(world.now);  // it begins to warm up
  while (world.generator.due(world.now + second)) ++count;
  EXPECT_LE(count, 4096u);
  EXPECT_LE(world.generator.next_due(), world.now + second);
}

// ---- Stopped ----------------------------------------------------------------

TEST(Stopped, KeepsWhatWasMeasured) {
  World world(closed_loop(1, 1));
  world.look = [&](protocol::Peer&) {
    if (world.generator.answered() == 500) world.generator.stop("interrupted");
  };
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.requests, 500u);
  EXPECT_EQ(outcome.errors, 1u);
  EXPECT_NE(outcome.measuring, 0);
}

TEST(Stopped, SaysTheFirstReasonOnly) {
  World world(closed_loop(1, 1));
  world.generator.stop("first");
  world.generator.stop("second");
  const Outcome& outcome = world.run();
  EXPECT_EQ(outcome.first_error, "first");
  EXPECT_EQ(outcome.errors, 2u);
  EXPECT_TRUE(world.phases.empty());
}

}  // namespace
