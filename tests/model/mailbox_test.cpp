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
  LaterService service;
  Loop loop(service);
  constexpr int peers = 20;
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
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  peer.write("ECHO a\r\nLATER b\r\nECHO c\r\n");
  EXPECT_EQ(peer.read(7), "$1\r\na\r\n");
  service.take().post();
  EXPECT_EQ(peer.read(11), "+b\r\n$1\r\nc\r\n");
}

TEST_F(Mailbox, DropsALetterToAConversationThatHasGone) {
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

/// Has something new to say whenever add() is called, by any thread.
class Errands final : public protocol::Agenda {
 public:
  Errands(protocol::Postbox& bell, const std::string& address) : bell_(bell) {
    peer_.address = address;
  }
  void add(std::string text) {
    {
      const std::scoped_lock lock(mutex_);
      texts_.push_back(std::move(text));
    }
    bell_.ring();
  }
  void end() {
    over_ = true;
    bell_.ring();
  }
  std::vector<std::string> answers() {
    const std::scoped_lock lock(mutex_);
    return answers_;
  }
  std::atomic<int> answered = 0;
  std::string error;

  protocol::Peer* next() override {
    return std::exchange(handed_out_, true) ? nullptr : &peer_;
  }
  protocol::Peer* due(protocol::Nanoseconds) override {
    const std::scoped_lock lock(mutex_);
    if (!connected_ || told_ || texts_.empty()) return nullptr;
    told_ = true;  // until say()
    return &peer_;
  }
  protocol::Nanoseconds next_due() override { return protocol::never; }
  bool over() override { return over_; }
  void connected(protocol::Peer&) override {
    const std::scoped_lock lock(mutex_);
    connected_ = true;
  }
  void say(protocol::Peer& peer, protocol::Nanoseconds) override {
    const std::scoped_lock lock(mutex_);
    for (const std::string& text : texts_) peer.session.request({"ECHO", text});
    texts_.clear();
    told_ = false;
  }
  void hand_over(protocol::Peer& peer, protocol::Nanoseconds) override {
    const std::scoped_lock lock(mutex_);
    while (const protocol::Value* reply = peer.session.reply()) {
      answers_.emplace_back(reply->text);
      ++answered;
    }
  }
  void closed(protocol::Peer&, std::string_view why) override { error = why; }

 private:
  protocol::Postbox& bell_;
  protocol::Peer peer_;
  std::atomic<bool> over_ = false;
  std::mutex mutex_;
  bool handed_out_ = false, connected_ = false, told_ = false;
  std::vector<std::string> texts_, answers_;
};

TEST_F(Mailbox, BringsNewWorkToAClient) {
  LaterService service;
  Loop loop(service);
  net::Mailbox mailbox;
  Errands errands(mailbox, loop.address);
  std::thread client([&] {
    Loop::block_signals();
    model::converse(errands, mailbox, {});
  });
  const int works = sized(2'000, 100'000);
  std::vector<std::string> expected;
  for (int i = 0; i < works; ++i) {
    expected.push_back(numbered(i));
    errands.add(expected.back());
    // Half of them are awaited one by one.
    if (i < works / 2) {
      ASSERT_TRUE(soon([&] { return errands.answered > i; })) << i;
    }
  }
  EXPECT_TRUE(soon([&] { return errands.answered == works; }));
  errands.end();
  client.join();
  EXPECT_EQ(errands.answers(), expected);
  EXPECT_EQ(errands.error, "");
}

TEST_F(Mailbox, StopsAClientThatWaitsForAnAnswer) {
  LaterService service;
  Loop loop(service);
  net::Mailbox mailbox;
  class Patience final : public protocol::Agenda {
   public:
    explicit Patience(const std::string& address) { peer.address = address; }
    protocol::Peer* next() override {
      return std::exchange(given, true) ? nullptr : &peer;
    }
    protocol::Peer* due(protocol::Nanoseconds) override { return nullptr; }
    protocol::Nanoseconds next_due() override { return protocol::never; }
    bool over() override { return false; }
    void connected(protocol::Peer&) override {}
    void say(protocol::Peer& to, protocol::Nanoseconds) override {
      if (!std::exchange(said, true)) to.session.request({"LATER", "x"});
    }
    void hand_over(protocol::Peer&, protocol::Nanoseconds) override {}
    void closed(protocol::Peer&, std::string_view) override {}
    protocol::Peer peer;
    bool given = false, said = false;
  } patience(loop.address);
  std::thread client([&] {
    Loop::block_signals();
    model::converse(patience, mailbox, {});
  });
  service.take();  // it has asked, and waits
  mailbox.stop();
  client.join();
}

}  // namespace
