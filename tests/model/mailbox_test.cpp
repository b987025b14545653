// What every model promises of its mailbox: the loop sleeps in its own way, and
// is reached there, by any thread, once for every item.

#include <atomic>

#include "net/clock.hpp"
#include "tests/model/loop.hpp"

namespace {

using tests::LaterService;
using tests::Loop;
using tests::sized;
using tests::soon;
using tests::Visitor;

using Mailbox = tests::ModelTest;

std::string numbered(int number) { return "answer-" + std::to_string(number); }

TEST_F(Mailbox, BringsLettersThatAreAwaitedOneByOne) {
  REQUIRE_ONE_PROCESS();
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  const int letters = sized(1'000, 50'000);
  std::thread poster([&] {
    for (int i = 0; i < letters; ++i) service.take().post();
  });
  for (int i = 0; i < letters; ++i) {
    peer.write("LATER " + numbered(i) + "\r\n");
    const std::string answer = "+" + numbered(i) + "\r\n";
    ASSERT_EQ(peer.read(answer.size()), answer);
  }
  poster.join();
}

TEST_F(Mailbox, BringsLettersThatComeTogether) {
  REQUIRE_ONE_PROCESS();
  constexpr int peers = 20;
  REQUIRE_CONCURRENT(20u);
  LaterService service;
  Loop loop(service);
  const int rounds = sized(1'000, 50'000) / peers;
  std::vector<std::unique_ptr<Visitor>> visitors;
  for (int i = 0; i < peers; ++i)
    visitors.push_back(std::make_unique<Visitor>(loop.address));
  std::vector<std::thread> posters;
  for (int i = 0; i < 2; ++i)
    posters.emplace_back([&] {
      for (int k = 0; k < peers * rounds / 2; ++k) service.take().post();
    });
  std::vector<std::string> expected(peers);
  for (int round = 0; round < rounds; ++round)
    for (int i = 0; i < peers; ++i) {
      const std::string text = numbered(round * peers + i);
      visitors[i]->write("LATER " + text + "\r\n");
      expected[i] += "+" + text + "\r\n";
    }
  for (int i = 0; i < peers; ++i)
    EXPECT_EQ(visitors[i]->read(expected[i].size()), expected[i]);
  for (auto& poster : posters) poster.join();
}

TEST_F(Mailbox, AnswersStayInOrderBehindAPendingOne) {
  REQUIRE_ONE_PROCESS();
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  peer.write("ECHO a\r\nLATER b\r\nECHO c\r\n");
  EXPECT_EQ(peer.read(7), "$1\r\na\r\n");
  service.take().post();
  EXPECT_EQ(peer.read(11), "+b\r\n$1\r\nc\r\n");
}

TEST_F(Mailbox, DropsALetterToAConversationThatHasGone) {
  REQUIRE_ONE_PROCESS();
  LaterService service;
  Loop loop(service);
  Visitor gone(loop.address);
  gone.write("LATER x\r\n");
  const LaterService::Asked asked = service.take();
  gone.reset();
  asked.post();
  asked.post();
  // A model that sleeps until the answer comes notices the reset only then.
  EXPECT_TRUE(soon([&] { return loop.clients() == 0; }));
  asked.post();
  Visitor peer(loop.address);
  peer.write("ECHO a\r\n");
  EXPECT_EQ(peer.read(7), "$1\r\na\r\n");
}

TEST_F(Mailbox, StopsALoopThatSleeps) {
  LaterService service;
  Loop loop(service);
  Visitor idle(loop.address);
  idle.write("ECHO a\r\n");
  ASSERT_EQ(idle.read(7), "$1\r\na\r\n");
  std::thread stopper([&] { loop.stop(); });
  EXPECT_EQ(idle.read(1), "");  // our end comes; then the loop waits for theirs
  idle.leave();
  stopper.join();
}

TEST_F(Mailbox, StopsALoopThatWasRungBeforeItBegan) {
  LaterService service;
  net::Options options;
  for (const net::Row& row : model::server.rows)
    options.own[row.name] = row.value;
  options.port = 0;
  net::Clients clients;
  net::Mailbox mailbox;
  mailbox.stop();
  net::Listener listener(options, clients, nullptr);
  std::thread([&] {
    Loop::block_signals();
    model::serve(listener, service, mailbox, options);
  }).join();
}

TEST_F(Mailbox, StopsThoughAnAnswerNeverComes) {
  REQUIRE_ONE_PROCESS();
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  peer.write("LATER x\r\n");
  service.take();
  const auto began = net::now();
  loop.stop();
  EXPECT_LT(net::now() - began, 4'000'000'000);
}

TEST_F(Mailbox, LettersStillComeWhileTheLoopDrains) {
  REQUIRE_ONE_PROCESS();
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  peer.write("LATER x\r\n");
  const LaterService::Asked asked = service.take();
  std::thread stopper([&] { loop.stop(); });
  ASSERT_TRUE(soon([&] { return loop.mailbox.stopping(); }));
  asked.post();
  EXPECT_EQ(peer.read(100), "+x\r\n");
  peer.leave();
  stopper.join();
}

}  // namespace
