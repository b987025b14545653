// What only this model promises: it asks and never sleeps, or naps if it is
// told to; and it counts what it asked in vain.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "net/clock.hpp"
#include "tests/model/loop.hpp"

namespace {

using tests::LaterService;
using tests::Loop;
using tests::soon;
using tests::Visitor;

const unsigned receives = net::counter("sys.", "recv");
const unsigned naps = net::counter("sys.", "nanosleep");
const unsigned yields = net::counter("sys.", "sched_yield");
const unsigned reads = net::counter("sys.", "read");
const unsigned found = net::counter("model.", "found");
const unsigned empty_receives = net::counter("model.", "empty_recv");
const unsigned empty_accepts = net::counter("model.", "empty_accept4");

void echo(Visitor& peer) {
  peer.write("ECHO a\r\n");
  ASSERT_EQ(peer.read(7), "$1\r\na\r\n");
}

TEST(Nonblocking, AsksAgainAndAgainWhileNobodyHasAnything) {
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  echo(peer);
  const auto receives_before = net::total(receives),
             accepts_before = net::total(empty_accepts),
             yields_before = net::total(yields);
  EXPECT_TRUE(soon([&] {
    return net::total(receives) > receives_before + 1'000 &&
           net::total(empty_accepts) > accepts_before + 1'000 &&
           net::total(yields) > yields_before + 1'000;
  }));
}

// What is left when those are taken away is what a request takes.
TEST(Nonblocking, WhatWasAskedInVainIsCountedApart) {
  constexpr std::uint64_t requests = 200;
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  echo(peer);
  const auto useful = [] {
    return net::total(receives) - net::total(empty_receives);
  };
  // It counts a call before it knows whether it was in vain, and that it was
  // not after the peer may have its answer: so one may be missing.
  const auto before = useful(), found_before = net::total(found);
  for (std::uint64_t i = 0; i < requests; ++i) echo(peer);
  EXPECT_NEAR(static_cast<double>(useful() - before), requests, 1);
  const auto found_now = net::total(found) - found_before;  // and the sends
  EXPECT_NEAR(static_cast<double>(found_now), 2 * requests, 1);
}

// The flag is looked at, and the bell read only when it was rung.
TEST(Nonblocking, TheBellCostsNoCallUntilItRings) {
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  echo(peer);
  const auto passes = net::total(empty_accepts), before = net::total(reads);
  ASSERT_TRUE(soon([&] { return net::total(empty_accepts) > passes + 1'000; }));
  EXPECT_EQ(net::total(reads), before);
  peer.write("LATER x\r\n");
  service.take().post();
  EXPECT_EQ(peer.read(4), "+x\r\n");
  EXPECT_EQ(net::total(reads), before + 1);
}

TEST(Nonblocking, NapsOnlyAfterAPassThatFoundNothing) {
  LaterService service;
  Loop loop(service, {{"nap", 20'000}});
  Visitor peer(loop.address);
  echo(peer);
  ASSERT_TRUE(soon([&] { return net::total(naps) > 0; }));
  // All of it lies there when the nap is over, more than one pass takes.
  const auto before = net::total(naps), yields_before = net::total(yields);
  std::string requests, answers;
  for (int i = 0; i < 20'000; ++i) {
    requests += "ECHO a\r\n";
    answers += "$1\r\na\r\n";
  }
  const auto began = net::now();
  std::thread writer([&] { peer.write(requests); });
  EXPECT_EQ(peer.read(answers.size()), answers);
  const auto most =
      static_cast<std::uint64_t>((net::now() - began) / 20'000'000) + 2;
  writer.join();
  EXPECT_LE(net::total(naps) - before, most);
  EXPECT_EQ(net::total(yields), yields_before);
}

TEST(Nonblocking, ItsTraitSaysThatItDoesNotSleepUnlessItNaps) {
  EXPECT_FALSE(model::server.traits.sleeps);
  EXPECT_STREQ(model::server.traits.sleeps_by, "nap");
  EXPECT_TRUE(model::server.ideal[0].at_least);
}

// A nap is late by the slack of timers, which is 50 us unless it is taken away.
TEST(Nonblocking, ANapHasNoSlack) {
  LaterService service;
  Loop loop(service, {{"nap", 1}});
  Visitor peer(loop.address);
  echo(peer);
  const auto slack_of = [](const std::string& thread) {
    std::ifstream file("/proc/" + thread + "/timerslack_ns");
    std::uint64_t ns = 0;
    return file >> ns ? ns : ~0ull;
  };
  std::vector<std::uint64_t> slacks;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task"))
    slacks.push_back(slack_of(task.path().filename()));
  if (std::ranges::count(slacks, ~0ull) > 0)
    GTEST_SKIP() << "no /proc/TID/timerslack_ns";
  EXPECT_EQ(std::ranges::count(slacks, 1u), 1);
}

}  // namespace
