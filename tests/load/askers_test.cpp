#include "bench/load/askers.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

#include "tests/load/simulation.hpp"

namespace {

using load::Askers;
using load::Outcome;
using load::Phase;
using load::Plan;

/// What became of two threads that converse so.
Outcome run(const Askers::Converse& converse) {
  Plan plan = simulation::closed_loop(2, 1);
  plan.threads = 2;
  const load::Workload workload({"PING"}, 1);
  Askers askers(plan, {}, workload, [](Phase) {});
  askers.start(converse);
  while (askers.running()) EXPECT_NE(askers.ready(), true);
  askers.wait();
  EXPECT_EQ(askers.phase(), Phase::over);
  return askers.outcome();
}

/// Until it is stopped.
void sleep(protocol::Agenda& agenda, net::Mailbox& mailbox) {
  while (!agenda.over()) mailbox.silence();
}

TEST(Askers, EndTogetherIfOneHasFailed) {
  std::atomic<int> count = 0;
  const Outcome outcome = run([&](auto& agenda, auto& mailbox) {
    if (count++ == 0) throw std::runtime_error("no memory");
    sleep(agenda, mailbox);
  });
  EXPECT_EQ(outcome.first_error, "no memory");
  EXPECT_EQ(outcome.errors, 1u);
  EXPECT_EQ(outcome.threads, 2u);
}

TEST(Askers, FailIfAConversationEndsBeforeItsAgenda) {
  const Outcome outcome = run([](auto&, auto&) {});
  EXPECT_EQ(outcome.first_error, "the conversation has ended");
}

TEST(Askers, AreStoppedAllAtOnce) {
  Plan plan = simulation::closed_loop(3, 1);
  plan.threads = 3;
  const load::Workload workload({"PING"}, 1);
  Askers askers(plan, {}, workload, [](Phase) {});
  askers.start(sleep);
  EXPECT_FALSE(askers.waits());
  EXPECT_EQ(askers.phase(), Phase::connecting);
  EXPECT_EQ(askers.answered(), 0u);
  askers.stop("interrupted");
  askers.wait();
  askers.convict("a wrong byte");
  const Outcome outcome = askers.outcome();
  EXPECT_EQ(outcome.first_error, "interrupted");
  EXPECT_EQ(outcome.wrong, 1u);
}

}  // namespace
