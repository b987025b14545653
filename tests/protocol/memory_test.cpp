// Where memory is wanting, one conversation is lost: whichever allocation it is
// that fails, nothing is thrown at a model, nothing half said is followed by
// anything else, and everything goes back.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "protocol/client_session.hpp"
#include "tests/protocol/fixture.hpp"
#include "tests/tools/allocations.hpp"

namespace {

using fixture::as_bytes;
using fixture::as_text;
using fixture::request;
using fixture::Service;
using protocol::ClientSession;
using protocol::Pool;
using protocol::Session;

constexpr std::uint64_t all = ~std::uint64_t{0};

// A model, and a peer who says what he likes in all the ways there are. Asks
// for no memory of its own.
class Run {
 public:
  Run(Service& service, std::string& heard)
      : session(service, pool_of(service), {}), heard_(heard) {}

  bool receive(std::string_view text) {
    session.receive(as_bytes(text));
    return go_on();
  }
  // As a model without a line for want of memory does it: recv(2) into no room
  // returns 0.
  bool fill(std::string_view text) {
    while (!text.empty()) {
      const auto room = session.input();
      const std::size_t n = std::min({room.size(), text.size(), fill_max});
      if (n != 0) std::memcpy(room.data(), text.data(), n);
      session.received(n);
      if (n == 0) session.end_of_input();
      if (!go_on()) return false;
      text.remove_prefix(n);
    }
    return true;
  }
  bool deliver(std::string_view answer) {
    session.deliver(answer);
    return go_on();
  }
  void end() {
    session.drain();
    if (go_on()) session.end_of_input();
    go_on();
  }

  Session session;

 private:
  static constexpr std::size_t fill_max = 3000;

  static Pool& pool_of(Service& service) {
    thread_local Pool pool(service.budget(), 0);
    return pool;
  }

  // Hears a little at a time, so that blocks are lent while others come.
  bool go_on() {
    while (session.has_output() || session.wants_turn()) {
      session.take_turn();
      const auto lent = session.output();
      const std::size_t n = std::min<std::size_t>(lent.size(), 50'000);
      heard_.append(as_text(lent.first(n)));
      session.sent(n);
    }
    return !session.finished();
  }

  std::string& heard_;
};

struct Script {
  const std::string small = request({"ECHO", "hello"}) + "PING\r\n";
  const std::string words = "ECHO \"a \\\"long\\\" word\"\r\n";
  const std::string many = [] {
    std::string frame = "*1000\r\n";
    for (int i = 0; i < 1000; ++i) frame += "$1\r\nx\r\n";
    return frame;
  }();
  const std::string big = "BIG 200000\r\n" + request({"BIG", "3000"});
  const std::string name =
      request({"NAME", std::string(100, 'n')}) + "DEAR 5000\nLATER\nPING\n";
  const std::string long_one =
      request({"ECHO", std::string(100'000, 'l')}) + "*1\r\n$4\r\nPI";
  const std::string answer = "$9000\r\n" + std::string(9000, 'a') + "\r\n";

  void play(Run& run) const {
    if (run.receive(small) && run.fill(words) && run.receive(many) &&
        run.receive(big) && run.fill(name) && run.deliver(answer) &&
        run.fill(long_one))
      run.end();
  }
};

// Serves so many allocations, refuses so many; returns how many were refused.
std::uint64_t play(std::uint64_t served, std::uint64_t refusals,
                   std::string& heard, Service& service) {
  static const Script script;
  heard.clear();
  heard.reserve(1 << 20);
  Run run(service, heard);
  refuse_allocations(served, refusals);
  script.play(run);
  const std::uint64_t refused = serve_allocations();
  EXPECT_TRUE(run.session.finished());
  EXPECT_FALSE(run.session.wants_turn());
  EXPECT_FALSE(run.session.wants_input());
  EXPECT_EQ(run.session.held(), 0u);
  EXPECT_EQ(service.budget().used(), 0u);
  return refused;
}

void lose_a_conversation(std::uint64_t refusals) {
  std::string whole, heard;
  Service expected;
  ASSERT_EQ(play(0, 0, whole, expected), 0u);
  ASSERT_GT(whole.size(), 300'000u);
  std::size_t lost = 0, spared = 0;
  for (std::uint64_t served = 0;; ++served) {
    Service service;
    if (play(served, refusals, heard, service) == 0) break;
    // Without the memory to make a block smaller nobody is lost.
    ASSERT_LE(service.lost, 1u) << served;
    ASSERT_TRUE(whole.starts_with(heard)) << served;
    if (service.lost == 0) {
      ASSERT_EQ(heard, whole) << served;
    }
    ++(service.lost == 1 ? lost : spared);
  }
  EXPECT_EQ(heard, whole);
  EXPECT_GT(lost, 20u);
  EXPECT_GE(spared, 1u);
}

TEST(Memory, one_refusal_loses_one_conversation) { lose_a_conversation(1); }

TEST(Memory, none_left_loses_one_conversation) { lose_a_conversation(all); }

// The kernel has the room and the answers when it happens.
TEST(Memory, what_is_lent_stays_until_it_comes_back) {
  Service service;
  Pool pool(service.budget(), 0);
  Session session(service, pool, {});
  session.receive(as_bytes("PING\nLATER\n"));
  const auto lent = session.output();
  const auto room = session.input();
  const std::string answer(5000, 'a');
  refuse_allocations(0, all);
  session.deliver(answer);
  EXPECT_NE(serve_allocations(), 0u);
  EXPECT_EQ(service.lost, 1u);
  EXPECT_TRUE(session.finished());
  EXPECT_EQ(as_text(lent), "+PONG\r\n");
  room.front() = std::byte{1};
  EXPECT_NE(service.budget().used(), 0u);
  session.received(1);
  session.sent(lent.size());
  EXPECT_FALSE(session.has_output());
  EXPECT_EQ(service.budget().used(), 0u);
}

// An idle peer, in a model that lends room before it sleeps.
TEST(Memory, no_room_is_lent_where_there_is_none) {
  Service service;
  Pool pool(service.budget(), 0);
  Session session(service, pool, {});
  refuse_allocations(0, 1);
  EXPECT_TRUE(session.input().empty());
  EXPECT_EQ(serve_allocations(), 1u);
  EXPECT_TRUE(session.finished());
  session.received(0);
  session.end_of_input();
  EXPECT_EQ(service.lost, 1u);
  EXPECT_EQ(session.held(), 0u);
}

// ---- the client's half

struct Replies {
  const std::string set = "*2\r\n$3\r\nabc\r\n*3\r\n:1\r\n:2\r\n:3\r\n";
  const std::string long_one =
      "$100000\r\n" + std::string(100'000, 'l') + "\r\n";
  const std::string wrong = "?not a reply that anybody knows\r\n";
  const std::string key = std::string(5000, 'k');

  // Returns how many replies were taken.
  std::size_t play(ClientSession& client) const {
    std::size_t taken = 0;
    const auto take = [&] {
      while (client.reply()) ++taken;
    };
    client.request({"GET", key});
    client.request({"PING"});
    while (client.has_output()) {
      client.sent(client.output().size());
      client.request({"GET", key});
      if (client.owed() > 4) break;
    }
    client.receive(as_bytes(set));
    take();
    fill(client, set.substr(0, 3));
    fill(client, std::string_view(set).substr(3));
    client.receive(as_bytes(long_one));
    take();
    return taken;
  }
  void fill(ClientSession& client, std::string_view text) const {
    if (!client.wants_input()) return;
    const auto room = client.input();
    const std::size_t n = std::min(room.size(), text.size());
    if (n != 0) std::memcpy(room.data(), text.data(), n);
    client.received(n);
    if (n == 0) client.end_of_input();
  }
};

void lose_a_client(void (*end)(ClientSession&, const Replies&)) {
  static const Replies replies;
  std::size_t lost = 0;
  for (std::uint64_t served = 0;; ++served) {
    ClientSession client;
    refuse_allocations(served, 1);
    const std::size_t taken = replies.play(client);
    end(client, replies);
    EXPECT_TRUE(client.finished());
    if (serve_allocations() == 0) {
      EXPECT_EQ(taken, 3u);
      EXPECT_NE(client.error(), "out of memory");
      break;
    }
    ++lost;
    EXPECT_EQ(client.error(), "out of memory") << served;
    EXPECT_LE(taken, 3u);
    // It is over, and is over for every call.
    const std::size_t owed = client.owed();
    client.request({"PING"});
    EXPECT_EQ(client.owed(), owed);
    client.reset();
    client.request({"PING"});
    client.receive(as_bytes("+PONG\r\n"));
    ASSERT_NE(client.reply(), nullptr);
  }
  EXPECT_GT(lost, 6u);
}

TEST(Memory, no_room_is_lent_to_a_client_where_there_is_none) {
  ClientSession client;
  refuse_allocations(0, 1);
  EXPECT_TRUE(client.input().empty());
  EXPECT_EQ(serve_allocations(), 1u);
  client.received(0);
  client.end_of_input();
  EXPECT_TRUE(client.finished());
  EXPECT_EQ(client.error(), "out of memory");
}

TEST(Memory, one_refusal_loses_a_client_that_is_told_nonsense) {
  lose_a_client([](ClientSession& client, const Replies& replies) {
    client.receive(as_bytes(replies.wrong));
  });
}

TEST(Memory, one_refusal_loses_a_client_that_is_left) {
  lose_a_client(
      [](ClientSession& client, const Replies&) { client.end_of_input(); });
}

}  // namespace
