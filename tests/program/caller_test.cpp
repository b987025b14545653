#include "program/caller.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/program/nodes.hpp"

namespace {

using namespace std::chrono_literals;
using nodes::Doing;
using program::Command;
using program::NoAnswer;

class CallerTest : public testing::Test {
 protected:
  void begin(nodes::Script script,
             std::chrono::milliseconds timeout = 60'000ms) {
    caller_ = std::make_unique<program::Caller>(bell_, timeout);
    converse_.emplace(*caller_, bell_, std::move(script));
  }
  void TearDown() override {
    if (caller_) caller_->stop();
    converse_.reset();
  }
  /// Why there is no answer.
  std::string why(const std::string& address, const Command& command) {
    try {
      caller_->ask(address, command);
      return "there was an answer";
    } catch (const NoAnswer& why) {
      return why.what();
    }
  }

  nodes::Bell bell_;
  std::unique_ptr<program::Caller> caller_;
  std::optional<nodes::Converse> converse_;
};

TEST_F(CallerTest, AsksAndGetsAnswers) {
  std::atomic<int> connections{0};
  begin([&](const std::string& address, const Command& words) {
    if (words.empty()) ++connections;
    return words.empty() ? Doing{}
                         : nodes::answer(nodes::bulk(address + words.at(1)));
  });
  for (int i = 0; i < 100; ++i) {
    const std::string text = std::to_string(i);
    EXPECT_EQ(caller_->ask("a", {"ECHO", text}).text(), "a" + text);
    EXPECT_EQ(caller_->ask("b", {"ECHO", text}).text(), "b" + text);
  }
  EXPECT_EQ(connections, 2);
}

TEST_F(CallerTest, AsksManyAtOnce) {
  begin([](const std::string&, const Command& words) {
    return words.empty() ? Doing{} : nodes::answer(nodes::bulk(words.at(0)));
  });
  std::vector<Command> commands;
  commands.reserve(1000);
  for (int i = 0; i < 1000; ++i) commands.push_back({std::to_string(i)});
  const auto answers = caller_->ask("a", commands);
  ASSERT_EQ(answers.size(), commands.size());
  for (std::size_t i = 0; i < answers.size(); ++i)
    EXPECT_EQ(answers[i].text(), std::to_string(i));
}

TEST_F(CallerTest, HandsAnErrorOverAsAnAnswer) {
  begin([](const std::string&, const Command&) {
    return nodes::answer("-ERR no\r\n");
  });
  EXPECT_TRUE(caller_->ask("a", {"PING"}).is_error());
}

TEST_F(CallerTest, SaysThatItCouldNotConnect) {
  begin([](const std::string&, const Command&) {
    return Doing{Doing::Kind::refuse, ""};
  });
  EXPECT_EQ(why("a", {"PING"}), "could not connect to a: refused");
  EXPECT_EQ(why("a", {"PING"}), "could not connect to a: refused");
}

TEST_F(CallerTest, SaysThatItLostTheConnection) {
  std::atomic<int> asked{0};
  begin([&](const std::string&, const Command& words) {
    if (words.empty()) return Doing{};
    return ++asked == 1 ? Doing{Doing::Kind::close, ""}
                        : nodes::answer("+OK\r\n");
  });
  EXPECT_EQ(why("a", {"PING"}).find("lost the connection to a: "), 0u);
  EXPECT_EQ(caller_->ask("a", {"PING"}).text(), "OK");
}

TEST_F(CallerTest, DoesNotWaitForEver) {
  begin([](const std::string&,
           const Command&) { return Doing{Doing::Kind::silence, ""}; },
        20ms);
  EXPECT_EQ(why("a", {"PING"}), "no answer from a within 20 ms");
  // The late answer must not be taken for that to another question.
  EXPECT_EQ(why("a", {"GET"}), "no answer from a within 20 ms");
}

// Its time was over while we were stopped, and the answer lay in a socket.
TEST(Caller, LooksBeforeItCallsANodeLate) {
  nodes::Bell bell;
  program::Caller caller(bell, 1000ms);
  auto answer = std::async(std::launch::async, [&] {
    return caller.ask("a", program::Command{"PING"});
  });
  protocol::Peer* peer = nullptr;
  while (!(peer = caller.next())) std::this_thread::yield();
  caller.connected(*peer);
  caller.say(*peer, 0);
  EXPECT_EQ(caller.next_due(), protocol::never);
  while (!caller.overdue(0)) std::this_thread::yield();
  EXPECT_LT(caller.next_due(), protocol::never);
  caller.looked(0);  // what was looked at before says nothing
  EXPECT_TRUE(caller.overdue(0));
  const std::string_view pong = "+PONG\r\n";
  peer->session.receive(std::as_bytes(std::span(pong)));
  caller.hand_over(*peer, 0);
  EXPECT_EQ(answer.get().text(), "PONG");
}

TEST_F(CallerTest, TellsThatTheModelHasFailed) {
  begin([](const std::string&, const Command&) {
    return Doing{Doing::Kind::silence, ""};
  });
  const std::jthread failing([this] { caller_->fail("socket: no"); });
  EXPECT_EQ(why("a", {"PING"}), "socket: no");
  EXPECT_EQ(why("b", {"PING"}), "socket: no");
}

}  // namespace
