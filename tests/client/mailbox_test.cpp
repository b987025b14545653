// What every model promises of its client's mailbox: the client sleeps in its
// own way, and is reached there by any thread.

#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/model/loop.hpp"

namespace {

using tests::LaterService;
using tests::Loop;
using tests::sized;
using tests::soon;

using ClientsMailbox = tests::ModelTest;

net::Options usual() {
  net::Options options;
  for (const net::Row& row : model::client.rows)
    options.own[row.name] = row.value;
  return options;
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
    bell_.wake();
  }
  void end() {
    over_ = true;
    bell_.wake();
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

TEST_F(ClientsMailbox, BringsNewWork) {
  LaterService service;
  Loop loop(service);
  net::Mailbox mailbox;
  Errands errands(mailbox, loop.address);
  std::thread client([&] {
    Loop::block_signals();
    model::converse(errands, mailbox, usual());
  });
  const int works = sized(2'000, 100'000);
  std::vector<std::string> expected;
  for (int i = 0; i < works; ++i) {
    expected.push_back("answer-" + std::to_string(i));
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

TEST_F(ClientsMailbox, StopsWhoWaitsForAnAnswer) {
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
    model::converse(patience, mailbox, usual());
  });
  service.take();  // it has asked, and waits
  mailbox.stop();
  client.join();
}

}  // namespace
