// All the ways in which a conversation ends, and that the next one does not
// feel it.

#include <deque>

#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

class Endings : public ServerTest {
 protected:
  void TearDown() override {
    // Whatever the peers have done: they are all gone, and there is service.
    if (server_ && !HasFailure()) {
      EXPECT_EQ(server_->ask({"PING"}), pong);
      if (held_to(Level::limits)) expect_no_peers();
    }
    ServerTest::TearDown();
  }
  Server& serve(const Arguments& options = {}) {
    return *(server_ = &start(options));
  }

 private:
  void expect_no_peers() {
    EXPECT_TRUE(eventually(
        [this] { return server_->figures().at("connected_clients") == "1"; }));
  }

  Server* server_ = nullptr;
};

TEST_P(Endings, AFinAtOnceIsAnsweredByAFin) {
  Server& server = serve();
  for (int i = 0; i < 50; ++i) {
    Peer peer = server.connect();
    peer.finish();
    EXPECT_EQ(peer.rest(), "");
  }
}

TEST_P(Endings, ACloseAtOnceIsNoMatter) {
  Server& server = serve();
  for (int i = 0; i < 50; ++i) server.connect().close();
  for (int i = 0; i < 50; ++i) server.connect().reset();
}

TEST_P(Endings, WhatCameBeforeTheFinIsAnswered) {
  Server& server = serve();
  Peer peer = server.connect();
  std::string requests, answers;
  for (std::size_t i = 0; i < 1000; ++i) {
    requests += echo_request(i, 500);
    answers += echo_answer(i, 500);
  }
  peer.send(requests);
  peer.finish();
  EXPECT_EQ(peer.rest(), answers);
}

// Half a frame will never be a whole one: it is not answered, and the server
// does not wait for the rest.
TEST_P(Endings, AFinInTheMiddleOfAFrame) {
  Server& server = serve();
  const std::string whole = echo_request(1, 5000);
  for (const std::size_t cut : {1ul, 5ul, 16ul, 200ul, whole.size() - 1}) {
    Peer peer = server.connect();
    peer.send(request({"PING"}) + whole.substr(0, cut));
    peer.finish();
    EXPECT_EQ(peer.rest(), pong) << cut;
  }
}

TEST_P(Endings, AResetWhileIdle) {
  Server& server = serve();
  for (int i = 0; i < 50; ++i) {
    Peer peer = server.connect();
    EXPECT_EQ(peer.ask({"PING"}), pong);
    peer.reset();
  }
}

TEST_P(Endings, AResetInTheMiddleOfAFrame) {
  Server& server = serve();
  for (std::size_t i = 0; i < 50; ++i) {
    Peer peer = server.connect();
    peer.send(request({"PING"}) + echo_request(i, 5000).substr(0, 20 + i));
    EXPECT_EQ(peer.frame(), pong);
    peer.reset();
  }
}

// The first bytes of an answer have come, the rest is on its way: the server
// is in the middle of sending, or about to send again.
TEST_P(Endings, AResetWhileTheServerSends) {
  Server& server = serve({"--send-buffer", "16384"});
  const std::string value(1 << 20, 'x');
  EXPECT_EQ(server.ask({"SET", "key", value}), ok);
  for (int i = 0; i < 50; ++i) {
    Peer peer = server.connect({.receive = 4096});
    for (int n = 0; n < 4; ++n) peer.send(request({"GET", "key"}));
    EXPECT_EQ(peer.receive_like("$1048576\r\n"), "$1048576\r\n");
    peer.reset();
  }
}

// A peer who closes without having read gets a reset from its own kernel, and
// so does the server, in a send.
TEST_P(Endings, ACloseWithAnswersUnread) {
  Server& server = serve();
  for (int i = 0; i < 50; ++i) {
    Peer peer = server.connect();
    for (int n = 0; n < 16; ++n) peer.send(echo_request(i, 10'000));
    peer.close();
  }
}

// Sixteen conversations at a time, in every stage of coming and going. Each
// answer has to be the peer's own: numbers of descriptors come back at once,
// and what was meant for the last holder must not reach the next.
TEST_P(Endings, FastConnectsAndClosesMixNothingUp) {
  Server& server = serve();
  const std::size_t count = everything() ? 100'000 : size_of(10'000, 2'000);
  std::deque<std::pair<std::size_t, Peer>> open;
  for (std::size_t i = 0; i < count + 16; ++i) {
    if (i < count) {
      open.emplace_back(i, server.connect());
      if (i % 4 != 3) open.back().second.send(echo_request(i, 100 + i % 900));
    }
    if (i < 16) continue;
    auto& [number, peer] = open.front();
    if (number % 4 == 0) {
      ASSERT_EQ(peer.frame(), echo_answer(number, 100 + number % 900));
      peer.reset();
    } else if (number % 4 == 1) {
      peer.finish();
      ASSERT_EQ(peer.rest(), echo_answer(number, 100 + number % 900));
    } else if (number % 8 >= 4) {
      peer.reset();
    }
    open.pop_front();
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, Endings, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
