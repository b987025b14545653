// Peers who ask for more than they read: nobody's bytes are lost, and the
// server's memory keeps its limits.

#include "tests/conformance/crowd.hpp"
#include "tests/conformance/flood.hpp"
#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

constexpr std::size_t mebibyte = 1 << 20;

class Pressure : public ServerTest {
 protected:
  /// By how much the memory of the server's own has grown since `before`.
  static std::size_t growth(Server& server, std::size_t before) {
    const std::size_t now = server.process().anonymous();
    return now > before ? now - before : 0;
  }
  /// A sanitizer's shadow and quarantine belong to the bytes they watch.
  static std::size_t allowed(std::size_t bytes) {
    return sanitized() ? 16 * bytes : bytes;
  }
};

// 100 MB by a client that does not read: its send stops being ready, the
// server does not keep what it cannot get rid of, and nothing is lost.
TEST_P(Pressure, AWriterWhoDoesNotReadIsStopped) {
  Server& server = start();
  const std::size_t size = 16 << 10, count = size_of(6400, 3200);
  // What all conversations share (buffers lent to the kernel, free blocks) is
  // touched before: the limit is for what this one adds.
  {
    Peer other = server.connect();
    exchange(other, 1600, size);
  }
  Peer peer = server.connect();
  const std::size_t before = server.process().anonymous();
  const std::size_t sent = send_until_blocked(peer, count, size);
  EXPECT_LT(sent, count * size) << "it was never stopped";
  EXPECT_LE(growth(server, before), allowed(4 * mebibyte));
  if (traits()["sleeps"] == "yes") {
    // It waits for its peer, it does not ask again and again.
    EXPECT_LE(server.cpu_time_in(Milliseconds(300)),
              at_rest(Milliseconds(300)));
  }
  exchange(peer, count, size, sent);
  EXPECT_LE(growth(server, before), allowed(4 * mebibyte));
}

// 100 MB written and read by two threads, and the end behind them: all of it
// is answered, then the server ends too.
TEST_P(Pressure, AHalfCloseAfterAHundredMegabytes) {
  Server& server = start();
  Peer peer = server.connect();
  exchange(peer, size_of(6400, 1600), 16 << 10);
}

// The smallest send buffer and a peer who takes little at a time: the server
// sees nothing but short writes.
TEST_P(Pressure, ASlowReaderAtASmallSendBuffer) {
  Server& server = start({"--send-buffer", "4096"});
  Peer peer = server.connect({.receive = 4096});
  const std::string value = numbered(7, size_of(mebibyte, mebibyte / 4));
  EXPECT_EQ(peer.ask({"SET", "key", value}), ok);
  const std::size_t count = 4;
  for (std::size_t i = 0; i < count; ++i) {
    peer.send(request({"GET", "key"}));
    peer.send(echo_request(i, 100));
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::string answer;
    const std::size_t size = bulk(value).size();
    while (answer.size() < size)
      answer += peer.receive(std::min<std::size_t>(997, size - answer.size()));
    ASSERT_TRUE(answer == bulk(value)) << i;
    ASSERT_EQ(peer.frame(), echo_answer(i, 100));
  }
}

// One read of 16 KiB can hold 819 requests for a mebibyte each: not to read
// any more is not enough, the server has to stop answering what it has read.
TEST_P(Pressure, ManyLargeAnswersToOneSmallWrite) {
  Server& server = start();
  Peer peer = server.connect();
  const std::string value = numbered(1, size_of(mebibyte, mebibyte / 8));
  EXPECT_EQ(peer.ask({"SET", "k", value}), ok);
  EXPECT_TRUE(peer.ask({"GET", "k"}) == bulk(value));
  const std::size_t before = server.process().anonymous();
  std::string requests;
  for (int i = 0; i < 819; ++i) requests += request({"GET", "k"});
  peer.send(requests);
  const std::string answer = bulk(value);
  for (int i = 0; i < 819; ++i) {
    ASSERT_EQ(peer.receive_like(answer), answer) << i;
    if (i % 100 == 0) {
      EXPECT_LE(growth(server, before), allowed(4 * mebibyte)) << i;
    }
  }
}

// So much is kept for a peer who does not read, and one answer more.
TEST_P(Pressure, UnsentOutputKeepsItsLimit) {
  REQUIRE_CONCURRENT(2);
  for (const std::size_t limit : {mebibyte / 4, 2 * mebibyte}) {
    Server& server = start(
        {"--output-max", std::to_string(limit), "--send-buffer", "16384"});
    Peer observer = server.connect();
    const std::string value = numbered(1, 32 << 10);
    EXPECT_EQ(observer.ask({"SET", "key", value}), ok);
    Peer peer = server.connect({.receive = 4096});
    std::string requests;
    for (int i = 0; i < 400; ++i) requests += request({"GET", "key"});
    peer.send(requests);
    std::size_t used = 0;
    EXPECT_TRUE(eventually([&] {
      used = Server::figure(observer, "buffers_used");
      return used > limit;
    })) << used
        << " of " << limit;
    EXPECT_LE(used, limit + mebibyte);
    for (int i = 0; i < 400; ++i)
      ASSERT_TRUE(peer.receive(bulk(value).size()) == bulk(value)) << i;
  }
}

/// Peers who have each asked for more than they are let hold.
void fill_outputs(Crowd& crowd, const Server& server, std::size_t peers) {
  for (std::size_t i = 0; i < peers; ++i) {
    Member& member = crowd.join(server.address(), {.receive = 4096});
    member.reads = false;
    for (int n = 0; n < 2; ++n) member.outgoing += request({"GET", "key"});
  }
}

/// They read at last: how many get both values whole. Nobody who has lived to
/// the end gets anything else.
std::size_t read_outputs(Crowd& crowd, const std::string& value) {
  const std::string all = bulk(value) + bulk(value);
  for (auto& member : crowd.members()) {
    member->reads = true;
    member->expects = all.size();
  }
  EXPECT_TRUE(crowd.run([&] {
    return crowd.count([](const Member& m) { return m.open(); }) == 0;
  })) << crowd.state();
  const std::size_t whole = crowd.count(
      [&](const Member& m) { return m.closed && m.incoming == all; });
  EXPECT_EQ(whole, crowd.count([](const Member& m) { return m.closed; }));
  return whole;
}

// What loops keep for the next request counts as used, and a loop that is short
// has no way to another's: all together keep what one alone would.
TEST_P(Pressure, SeveralLoopsKeepNoMoreThanOneWould) {
  if (traits()["threads"] != "loops") GTEST_SKIP() << "it has one loop";
  Server& server = start({"--threads", "8"});
  Peer observer = server.connect();
  const std::string value(900'000, 'x');
  EXPECT_EQ(observer.ask({"SET", "key", value}), ok);
  const auto before = Server::figure(observer, "buffers_used");
  for (int i = 0; i < 60; ++i)
    ASSERT_EQ(server.ask({"GET", "key"}), bulk(value));
  EXPECT_LE(Server::figure(observer, "buffers_used"),
            before + 5 * mebibyte / 4);
}

// 500 peers that each fill their output would be half a gigabyte. Beyond the
// limit for all buffers the largest are closed, one after the other, and
// counted; everybody else gets every byte. A loop, or all threads together,
// pass the limit by what they do between two looks: for a moment, not for good.
TEST_P(Pressure, AllBuffersTogetherKeepTheirLimit) {
  const std::size_t peers = size_of(500, 150);
  REQUIRE_CONCURRENT(peers + 1);
  const std::size_t limit = size_of(64, 24) * mebibyte;
  Server& server =
      start({"--buffers-max", std::to_string(limit), "--send-buffer", "16384"});
  Peer observer = server.connect();
  const std::string value = numbered(1, mebibyte);
  EXPECT_EQ(observer.ask({"SET", "key", value}), ok);
  Crowd crowd;
  fill_outputs(crowd, server, peers);
  const auto evicted = [&] {
    return Server::figure(observer, "evicted_clients");
  };
  std::size_t used = 0, most = 0;
  EXPECT_TRUE(crowd.run([&] {
    used = Server::figure(observer, "buffers_used");
    most = std::max(most, used);
    return used <= limit && evicted() >= peers - limit / mebibyte;
  })) << used
      << " used, " << evicted() << " evicted";
  EXPECT_LE(most, 2 * limit);
  EXPECT_LE(server.process().anonymous(), allowed(2 * limit + 16 * mebibyte));
  EXPECT_EQ(observer.ask({"PING"}), pong);
  EXPECT_EQ(read_outputs(crowd, value) + evicted(), peers);
}

INSTANTIATE_TEST_SUITE_P(Servers, Pressure, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
