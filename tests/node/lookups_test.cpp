#include "node/lookups.hpp"

#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "dht/chord.hpp"
#include "protocol/client_session.hpp"
#include "protocol/session.hpp"
#include "tests/tools/allocations.hpp"

namespace {

using dht::Chord;
using dht::Id;
using dht::Member;
using dht::Routing;
using node::Lookups;
using protocol::Nanoseconds;
using protocol::Value;
using Arguments = std::span<const std::string_view>;
using Command = std::vector<std::string_view>;
using namespace std::chrono_literals;

constexpr Nanoseconds microsecond = 1'000;
constexpr Nanoseconds millisecond = 1'000'000;
// What one exchange takes in these tests.
constexpr Nanoseconds round_trip = 10 * microsecond;
constexpr std::size_t value_max = 1 << 20;

// The ring of the papers, m = 6.
const std::vector<unsigned> paper{1, 8, 14, 21, 32, 38, 42, 48, 51, 56};

std::string address_of(unsigned number) {
  return "127.0.0.1:" + std::to_string(7000 + number);
}

std::vector<Member> members_of(const std::vector<unsigned>& numbers) {
  std::vector<Member> all;
  for (unsigned number : numbers)
    all.push_back({dht::id_from(number), address_of(number)});
  return all;
}

// --- where letters arrive ---------------------------------------------------

class Letters final : public protocol::Postbox {
 public:
  void post(protocol::Letter letter) override {
    const std::lock_guard lock(mutex_);
    letters_[letter.conversation].push_back(std::move(letter.answer));
    ++count_;
  }
  void wake() override {
    const std::lock_guard lock(mutex_);
    ++rings_;
    rung_.notify_all();
  }

  protocol::ReturnAddress address(std::uint64_t conversation) {
    return {this, conversation};
  }
  std::size_t count() const {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  std::size_t rings() const {
    const std::lock_guard lock(mutex_);
    return rings_;
  }
  // The one letter to a conversation; fails the test if it is not one.
  std::string to(std::uint64_t conversation) const {
    const std::lock_guard lock(mutex_);
    const auto found = letters_.find(conversation);
    const std::size_t letters =
        found == letters_.end() ? 0 : found->second.size();
    EXPECT_EQ(letters, 1U) << "letters to conversation " << conversation;
    return letters == 0 ? "" : found->second.front();
  }
  bool has(std::uint64_t conversation) const {
    const std::lock_guard lock(mutex_);
    return letters_.contains(conversation);
  }
  // Sleeps until rung since `rings`; false if nobody rings for a minute.
  bool wait(std::size_t rings) {
    std::unique_lock lock(mutex_);
    return rung_.wait_for(lock, 60s, [&] { return rings_ != rings; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable rung_;
  std::map<std::uint64_t, std::vector<std::string>> letters_;
  std::size_t count_ = 0, rings_ = 0;
};

// Counts letters and keeps none.
struct Counted final : protocol::Postbox {
  void post(protocol::Letter) override { ++letters; }
  void wake() override {}
  protocol::ReturnAddress address(std::uint64_t conversation) {
    return {this, conversation};
  }
  std::size_t letters = 0;
};

struct Taken {
  std::string id, address, rule;
  std::int64_t microseconds;
  bool operator==(const Taken&) const = default;
};

std::vector<Taken> hops(const std::string& letter) {
  protocol::ClientSession session;
  session.request({"DHT.LOOKUP", "key"});
  session.receive(std::as_bytes(std::span(letter)));
  const Value* reply = session.reply();
  EXPECT_NE(reply, nullptr) << letter;
  std::vector<Taken> all;
  if (!reply) return all;
  EXPECT_EQ(reply->type, Value::Type::array) << letter;
  for (const Value& hop : reply->elements) {
    EXPECT_EQ(hop.elements.size(), 4U);
    all.push_back({std::string(hop.elements[0].text),
                   std::string(hop.elements[1].text),
                   std::string(hop.elements[2].text), hop.elements[3].integer});
  }
  return all;
}

// --- the other nodes --------------------------------------------------------

// A node as the others see it: answers by its own overlay, or by a script.
class Remote final : public protocol::Service {
 public:
  explicit Remote(std::unique_ptr<Chord> overlay)
      : overlay_(std::move(overlay)) {}

  void answer(Arguments arguments, protocol::Reply& reply) override {
    requests.emplace_back(arguments.begin(), arguments.end());
    if (script && script(arguments, reply)) return;
    if (arguments[0] == "DHT.NEXT") return step(arguments, reply);
    if (arguments[0] == "ASKING") return reply.simple("OK");
    reply.bulk(std::string(arguments[0]) + " at " + overlay_->self().address);
  }
  const protocol::Limits& limits() const override { return limits_; }
  protocol::Budget& budget() override { return budget_; }
  const Chord& overlay() const { return *overlay_; }

  bool refuses = false;   // connections
  bool vanished = false;  // and whoever connects to it hears nothing
  bool silent = false;    // hears, and does not answer
  bool deaf = false;      // does not read
  bool closes = false;    // the connection, when it hears something
  std::function<bool(Arguments, protocol::Reply&)> script;
  std::size_t connections = 0;
  std::vector<std::vector<std::string>> requests;

 private:
  void step(Arguments arguments, protocol::Reply& reply) {
    ASSERT_EQ(arguments.size(), 3U);
    ASSERT_EQ(arguments[1], "ID");
    const auto key = dht::from_hex(arguments[2]);
    ASSERT_TRUE(key);
    const dht::Hop hop = overlay_->next_hop(*key, 0);
    const bool here = hop.kind == dht::Hop::Kind::here;
    const Member& member = here ? overlay_->self() : *hop.next;
    reply.array(4);
    reply.bulk(here ? "here" : "forward");
    reply.bulk(dht::to_hex(member.id));
    reply.bulk(member.address);
    reply.bulk(hop.rule);
  }

  std::unique_ptr<Chord> overlay_;
  protocol::Limits limits_;
  protocol::Budget budget_{limits_.buffers_max};
};

struct Connection {
  Connection(protocol::Peer& peer, Remote& remote)
      : peer(peer),
        remote(remote),
        pool(remote.budget()),
        session(remote, pool, {}) {}

  protocol::Peer& peer;
  Remote& remote;
  protocol::Pool pool;
  protocol::Session session;
  bool dead = false;       // and we do not know it yet
  bool forgotten = false;  // and we will never know it
};

// A ring in memory, seen from one of its nodes: converse() under a clock that
// the test moves, with peers that fail as the test wants.
class World {
 public:
  explicit World(const std::vector<Member>& members, const Id& self,
                 Routing routing = Routing::fingers)
      : overlay_(dht::Space{}, members, self, routing),
        lookups(overlay_, letters, 1000ms, value_max) {
    for (const Member& member : members)
      remotes_.emplace(member.address,
                       std::make_unique<Remote>(std::make_unique<Chord>(
                           dht::Space{}, members, member.id, routing)));
  }

  // Until nothing happens any more at this time.
  void run() {
    do {
      while (turn()) {
      }
      lookups.looked(now);
    } while (turn());
  }
  void pass(Nanoseconds time) {
    now += time;
    run();
  }

  Remote& at(const std::string& address) { return *remotes_.at(address); }
  std::size_t open() const { return connections_.size(); }
  const Chord& overlay() const { return overlay_; }
  std::vector<const Chord*> overlays() const {
    std::vector<const Chord*> all;
    for (const auto& [address, remote] : remotes_)
      all.push_back(&remote->overlay());
    return all;
  }
  // The peer ends while nothing is owed.
  void end(const std::string& address) {
    Connection& c = find(address);
    c.peer.session.end_of_input();
    lookups.hand_over(c.peer, now);
    close(c, std::string(c.peer.session.error()));
  }
  // The peer is gone, and nothing shows it: another stands at its address.
  void forget(const std::string& address) { find(address).forgotten = true; }
  // The peer is gone, which shows when we use the connection.
  void kill(const std::string& address) { find(address).dead = true; }

 private:
  bool turn() {
    bool moved = false;
    while (protocol::Peer* peer = lookups.given_up()) {
      moved = true;
      give_up(*peer);
    }
    while (protocol::Peer* peer = lookups.next()) {
      moved = true;
      connect(*peer);
    }
    while (protocol::Peer* peer = lookups.due(now)) {
      moved = true;
      lookups.say(*peer, now);
    }
    for (std::size_t i = 0; i < connections_.size();) {
      const std::size_t before = connections_.size();
      moved = exchange(*connections_[i]) || moved;
      if (connections_.size() == before) ++i;
    }
    return moved;
  }

  void connect(protocol::Peer& peer) {
    Remote& remote = at(peer.address);
    if (remote.refuses) return lookups.closed(peer, "Connection refused");
    if (remote.vanished) return;
    ++remote.connections;
    connections_.push_back(std::make_unique<Connection>(peer, remote));
    lookups.connected(peer);
    lookups.say(peer, now);
  }

  void give_up(protocol::Peer& peer) {
    ++given_up;
    for (const auto& connection : connections_)
      if (&connection->peer == &peer) {
        close(*connection, "given up");
        return;
      }
    lookups.closed(peer, "given up");  // it was in the making
  }

  bool exchange(Connection& c) {
    bool moved = false;
    while (c.forgotten && c.peer.session.has_output())
      c.peer.session.sent(c.peer.session.output().size());
    if (c.forgotten) return false;
    while (c.peer.session.has_output() && !c.remote.deaf) {
      if (c.dead) return close(c, "Connection reset by peer");
      const auto bytes = c.peer.session.output();
      c.session.receive(bytes);
      c.peer.session.sent(bytes.size());
      moved = true;
    }
    if (moved && c.remote.closes) {
      c.peer.session.end_of_input();
      lookups.hand_over(c.peer, now);
      return close(c, std::string(c.peer.session.error()));
    }
    if (c.remote.silent || !c.session.has_output()) return moved;
    now += round_trip;
    while (c.session.has_output()) {
      const auto bytes = c.session.output();
      c.peer.session.receive(bytes);
      c.session.sent(bytes.size());
      lookups.hand_over(c.peer, now);
    }
    if (c.session.output_ended()) c.peer.session.end_of_input();
    if (c.peer.session.finished())
      close(c, std::string(c.peer.session.error()));
    return true;
  }

  bool close(Connection& c, const std::string& why) {
    protocol::Peer& peer = c.peer;
    std::erase_if(connections_, [&](const auto& x) { return x.get() == &c; });
    lookups.closed(peer, why);
    return true;
  }

  Connection& find(const std::string& address) {
    for (const auto& connection : connections_)
      if (connection->peer.address == address) return *connection;
    throw std::out_of_range("no connection to " + address);
  }

  Chord overlay_;
  std::map<std::string, std::unique_ptr<Remote>> remotes_;
  std::vector<std::unique_ptr<Connection>> connections_;

 public:
  Letters letters;
  Lookups lookups;
  Nanoseconds now = 5'000 * millisecond;
  std::size_t given_up = 0;  // connections
};

std::string step_text(std::string_view kind, const std::string& id,
                      const std::string& address, const std::string& rule) {
  protocol::StringSink sink;
  protocol::Writer writer(sink, 2);
  writer.array(4);
  for (std::string_view text :
       {kind, std::string_view(id), std::string_view(address),
        std::string_view(rule)})
    writer.bulk(text);
  return sink.text;
}

std::string step_to(unsigned number, std::string_view kind = "forward") {
  return step_text(kind, dht::to_hex(dht::id_from(number)), address_of(number),
                   "finger 1");
}

// The paper's ring, from node 8.
class PaperRing : public testing::Test {
 protected:
  // 54 belongs to 56, by way of 42 and 51; 34 to 38, by way of 32.
  std::string look_up(unsigned key, int version = 2) {
    const std::uint64_t conversation = begin(key, version);
    world.run();
    return world.letters.to(conversation);
  }
  std::uint64_t begin(unsigned key, int version = 2) {
    world.lookups.lookup(dht::id_from(key),
                         world.letters.address(++conversations), version);
    return conversations;
  }
  std::uint64_t begin_proxy(unsigned key, const Command& command,
                            int version = 2) {
    world.lookups.proxy(dht::id_from(key), command,
                        world.letters.address(++conversations), version);
    return conversations;
  }
  std::string proxy(unsigned key, const Command& command, int version = 2) {
    const std::uint64_t conversation = begin_proxy(key, command, version);
    world.run();
    return world.letters.to(conversation);
  }
  // One more lookup, which may be answered only later: true once any is found.
  bool look_up_at_last(unsigned key) {
    const std::uint64_t conversation = begin(key);
    world.run();
    return world.letters.has(conversation) &&
           world.letters.to(conversation).starts_with("*");
  }
  Remote& remote(unsigned number) { return world.at(address_of(number)); }
  std::string path(unsigned key) {
    std::string text;
    for (const Taken& hop : hops(look_up(key))) text += " " + hop.address;
    return text;
  }
  // A peer whose connection the test holds itself.
  protocol::Peer* connect() {
    protocol::Peer* peer = world.lookups.next();
    if (!peer) throw std::logic_error("there is nobody to connect to");
    world.lookups.connected(*peer);
    world.lookups.say(*peer, world.now);
    return peer;
  }
  void hear(protocol::Peer& peer, const std::string& replies) {
    peer.session.receive(std::as_bytes(std::span(replies)));
    world.lookups.hand_over(peer, world.now);
  }
  void say_what_is_due() {
    while (protocol::Peer* peer = world.lookups.due(world.now))
      world.lookups.say(*peer, world.now);
  }
  void expect_nothing_left() {
    EXPECT_EQ(world.lookups.running(), 0U);
    EXPECT_EQ(world.lookups.ended(), conversations);
    EXPECT_EQ(world.letters.count(), conversations);
    EXPECT_EQ(world.lookups.next_due(), protocol::never);
  }

  std::uint64_t conversations = 0;
  World world{members_of(paper), dht::id_from(8)};
};

// --- lookups that find ------------------------------------------------------

TEST_F(PaperRing, EveryHopIsToldWithTheRuleThatChoseIt) {
  const auto taken = hops(look_up(54));
  const std::vector<Taken> expected{
      {dht::to_hex(dht::id_from(8)), address_of(8), "start", 0},
      {dht::to_hex(dht::id_from(42)), address_of(42), "finger 6", 10},
      {dht::to_hex(dht::id_from(51)), address_of(51), "finger 4", 20},
      {dht::to_hex(dht::id_from(56)), address_of(56), "successor", 30}};
  EXPECT_EQ(taken, expected);
  expect_nothing_left();
}

TEST_F(PaperRing, OurOwnKeyIsAnsweredAtOnceByALetter) {
  const std::uint64_t conversation = begin(5);
  const std::vector<Taken> expected{
      {dht::to_hex(dht::id_from(8)), address_of(8), "start", 0}};
  EXPECT_EQ(hops(world.letters.to(conversation)), expected);
  EXPECT_EQ(world.letters.rings(), 0U);
  world.run();
  EXPECT_EQ(world.open(), 0U);
  expect_nothing_left();
}

TEST(Lookups, TakeTheStepsOfRoute) {
  std::mt19937_64 random(6);
  const auto random_id = [&] {
    Id id;
    for (auto& byte : id.bytes) byte = static_cast<std::uint8_t>(random());
    return id;
  };
  for (Routing routing : {Routing::fingers, Routing::successors})
    for (std::size_t count : {1, 2, 5, 24}) {
      std::vector<Member> members;
      for (std::size_t i = 0; i < count; ++i)
        members.push_back({random_id(), "10.0.0.1:" + std::to_string(i)});
      World world(members, members[0].id, routing);
      for (std::uint64_t i = 0; i < 50; ++i) {
        const Id key = i < count ? members[i].id : random_id();
        world.lookups.lookup(key, world.letters.address(i), 2);
        world.run();
        std::vector<std::string> taken, expected;
        for (const Taken& hop : hops(world.letters.to(i)))
          taken.push_back(hop.address);
        for (const Member& member :
             dht::route(world.overlays(), members[0].id, key))
          expected.push_back(member.address);
        EXPECT_EQ(taken, expected);
      }
    }
}

TEST_F(PaperRing, ManyLookupsShareOneConnectionToEachNode) {
  for (unsigned key = 0; key < 64; ++key) begin(key);
  EXPECT_EQ(world.lookups.running(), 64U - 7U);  // (1, 8] is ours
  world.run();
  for (unsigned key = 0; key < 64; ++key) {
    const auto taken = hops(world.letters.to(key + 1));
    EXPECT_EQ(taken.back().id,
              dht::to_hex(world.overlay().owner_of(dht::id_from(key)).id));
  }
  for (unsigned number : paper)
    EXPECT_EQ(remote(number).connections, number == 8 ? 0U : 1U) << number;
  expect_nothing_left();
}

TEST_F(PaperRing, QuestionsToOneNodeAreSentTogether) {
  remote(14).silent = true;
  for (int i = 0; i < 64; ++i) begin(10);
  world.run();
  EXPECT_EQ(remote(14).requests.size(), 64U);
  EXPECT_EQ(world.letters.count(), 0U);
  remote(14).silent = false;
  world.run();
  expect_nothing_left();
}

TEST_F(PaperRing, ASilentNodeIsOwedNoMoreThanAThousandAnswers) {
  remote(14).silent = true;
  for (int i = 0; i < 5000; ++i) begin(10);
  world.run();
  EXPECT_EQ(remote(14).requests.size(), 1024U);
  world.pass(1000 * millisecond);
  EXPECT_EQ(world.letters.count(), 5000U);
  for (int i = 0; i < 5000; ++i) begin(10);
  world.run();  // over another connection
  EXPECT_EQ(remote(14).requests.size(), 2048U);
  remote(14).silent = false;
  world.run();
  EXPECT_EQ(remote(14).requests.size(), 6024U);
  EXPECT_EQ(remote(14).connections, 2U);
  expect_nothing_left();
  EXPECT_EQ(hops(world.letters.to(10'000)).back().address, address_of(14));
}

TEST_F(PaperRing, MoreThanAThousandAtOnceAreAllAnswered) {
  for (int i = 0; i < 5000; ++i) begin(10);
  world.run();
  expect_nothing_left();
  for (std::uint64_t i = 1; i <= 5000; ++i)
    EXPECT_TRUE(world.letters.to(i).starts_with("*2\r\n"));
}

TEST_F(PaperRing, ErrorsAndHopsHaveOneFormInBothVersions) {
  EXPECT_EQ(hops(look_up(54, 3)).size(), 4U);
  remote(42).refuses = true;
  world.end(address_of(42));
  EXPECT_EQ(look_up(54, 3), look_up(54, 2));
}

// --- times ------------------------------------------------------------------

TEST_F(PaperRing, ALookupBeginsWhenItIsFirstDue) {
  const std::uint64_t conversation = begin(54);
  EXPECT_LE(world.lookups.next_due(), world.now);  // at once
  world.now += 300 * millisecond;
  world.run();
  EXPECT_EQ(hops(world.letters.to(conversation)).back().microseconds, 30);
}

TEST_F(PaperRing, ASilentNodeIsGivenUpAfterTheHopsTime) {
  remote(51).silent = true;
  const Nanoseconds begun = world.now;
  const std::uint64_t conversation = begin(54);
  world.run();
  // Node 42 has answered after one round trip; then 51 was asked.
  EXPECT_EQ(world.lookups.next_due(), begun + round_trip + 1000 * millisecond);
  world.now = world.lookups.next_due() - 1;
  world.run();
  EXPECT_FALSE(world.letters.has(conversation));
  EXPECT_EQ(world.lookups.running(), 1U);
  world.pass(1);
  EXPECT_EQ(world.letters.to(conversation),
            "-ERR lookup: 127.0.0.1:7051 did not answer within 1000 ms\r\n");
  expect_nothing_left();
}

TEST_F(PaperRing, ConnectingCountsAsTheHopsTime) {
  begin(54);
  protocol::Peer* peer = world.lookups.next();  // and it never connects
  ASSERT_NE(peer, nullptr);
  EXPECT_EQ(peer->address, address_of(42));
  EXPECT_EQ(world.lookups.next(), nullptr);
  world.run();
  EXPECT_EQ(world.lookups.next_due(), world.now + 1000 * millisecond);
  world.pass(1000 * millisecond);
  EXPECT_EQ(world.letters.to(1),
            "-ERR lookup: 127.0.0.1:7042 did not answer within 1000 ms\r\n");
  // When it connects after all there is nothing to say to it any more.
  world.lookups.connected(*peer);
  world.lookups.say(*peer, world.now);
  EXPECT_FALSE(peer->session.has_output());
  // And a failure has nobody to tell.
  world.lookups.closed(*peer, "Connection timed out");
  world.run();
  EXPECT_EQ(remote(42).connections, 0U);
  expect_nothing_left();
}

TEST_F(PaperRing, ALateReplyIsDroppedAndTheNextOnesAreNotMistakenForIt) {
  begin(10);
  protocol::Peer& peer = *connect();
  world.now += 300 * millisecond;
  const std::uint64_t late = begin(10);
  say_what_is_due();
  world.now += 200 * millisecond;
  hear(peer, step_to(14, "here"));
  world.now += 400 * millisecond;
  const std::uint64_t patient = begin(10);
  say_what_is_due();
  world.now += 400 * millisecond;
  world.lookups.looked(world.now);
  EXPECT_TRUE(
      world.letters.to(late).starts_with("-ERR lookup: 127.0.0.1:7014"));
  EXPECT_FALSE(world.letters.has(patient));
  EXPECT_EQ(world.lookups.given_up(), nullptr);  // it was heard since
  hear(peer, step_to(14, "here"));
  EXPECT_FALSE(world.letters.has(patient));
  hear(peer, step_to(14, "here"));
  EXPECT_EQ(hops(world.letters.to(patient)).back().address, address_of(14));
  expect_nothing_left();
}

TEST_F(PaperRing, ALateReplyToAProxiedCommandIsDroppedWithThatToAsking) {
  const std::uint64_t late = begin_proxy(10, {"GET", "a"});
  protocol::Peer& peer = *connect();
  world.now += 500 * millisecond;
  hear(peer, step_to(14, "here"));
  world.now += 500 * millisecond;
  hear(peer, "+O");
  world.now += 500 * millisecond;
  world.lookups.looked(world.now);
  EXPECT_EQ(world.letters.to(late),
            "-ERR lookup: 127.0.0.1:7014 did not answer within 1000 ms\r\n");
  EXPECT_EQ(world.lookups.given_up(), nullptr);
  const std::uint64_t next = begin_proxy(10, {"DEL", "b"});
  say_what_is_due();
  hear(peer, "K\r\n$4\r\nlate\r\n");
  hear(peer, step_to(14, "here"));
  hear(peer, "+OK\r\n:1\r\n");
  EXPECT_EQ(world.letters.to(next), ":1\r\n");
  expect_nothing_left();
}

TEST_F(PaperRing, ATimeThatGoesBackBetweenThreadsDoesNoHarm) {
  begin(10);
  protocol::Peer& peer = *connect();
  world.now -= millisecond;
  hear(peer, step_to(14, "here"));
  EXPECT_EQ(hops(world.letters.to(1)).back().microseconds, 0);
  expect_nothing_left();
}

TEST_F(PaperRing, TheNextToBeLateIsTheNextDue) {
  const Nanoseconds begun = world.now;
  begin(54);
  protocol::Peer& first = *connect();
  world.now = begun + 500 * millisecond;
  begin(10);
  connect();
  world.now = begun + 800 * millisecond;
  hear(first, step_to(51));
  connect();
  EXPECT_EQ(world.lookups.next_due(), begun + 1500 * millisecond);
  world.now = begun + 1500 * millisecond;
  world.lookups.looked(world.now);
  EXPECT_NE(world.lookups.given_up(), nullptr);
  EXPECT_FALSE(world.letters.has(1));
  EXPECT_TRUE(world.letters.to(2).starts_with("-ERR lookup: 127.0.0.1:7014"));
  EXPECT_EQ(world.lookups.next_due(), begun + 1800 * millisecond);
}

// closed() is told no time: whoever asks then, and whoever began meanwhile, has
// its time from the next clock, and not from one that is long past.
TEST_F(PaperRing, NobodyIsLateForASleepBeforeAnEnd) {
  remote(51).silent = remote(14).silent = true;
  begin(54);
  protocol::Peer& peer = *connect();
  const std::string step = step_to(51);
  peer.session.receive(std::as_bytes(std::span(step)));
  world.now += 900 * millisecond;
  begin(10);
  world.lookups.closed(peer, "");
  EXPECT_LE(world.lookups.next_due(), world.now);  // do not sleep now
  world.run();
  EXPECT_EQ(world.lookups.next_due(), world.now + 1000 * millisecond);
  world.pass(999 * millisecond);
  EXPECT_EQ(world.letters.count(), 0U);
  world.pass(1 * millisecond);
  EXPECT_EQ(world.letters.count(), 2U);
  expect_nothing_left();
}

TEST_F(PaperRing, ALookupThatComesBeforeAnEndCountsFromTheNextClock) {
  begin(54);
  protocol::Peer& peer = *connect();
  const std::string step = step_to(51);
  peer.session.receive(std::as_bytes(std::span(step)));
  world.now += 900 * millisecond;
  const std::uint64_t fresh = begin(10);
  world.lookups.closed(peer, "");
  world.run();
  EXPECT_LE(hops(world.letters.to(fresh)).back().microseconds, 100);
}

TEST_F(PaperRing, ALookupBegunBeforeAnotherOnesStepIsGivenUpInTime) {
  remote(14).silent = remote(51).silent = true;
  begin(54);
  protocol::Peer& peer = *connect();
  const std::string step = step_to(51);
  peer.session.receive(std::as_bytes(std::span(step)));
  begin(10);
  world.lookups.closed(peer, "");
  world.run();
  EXPECT_EQ(world.lookups.next_due(), world.now + 1000 * millisecond);
  world.pass(1000 * millisecond);
  EXPECT_EQ(world.letters.count(), 2U);
  expect_nothing_left();
}

// While a connection takes its time, lookups come and go.
TEST_F(PaperRing, WhatIsGivenUpIsNotKept) {
  begin(10);
  ASSERT_NE(world.lookups.next(), nullptr);
  Counted counted;
  std::size_t used = 0;
  for (int round = 0; round < 40; ++round) {
    for (int i = 0; i < 1000; ++i)
      world.lookups.lookup(dht::id_from(10), counted.address(1), 2);
    world.lookups.due(world.now);
    world.now += 1000 * millisecond;
    world.lookups.looked(world.now);
    if (round == 0) used = mallinfo2().uordblks;
  }
  EXPECT_EQ(counted.letters, 40'000U);
  EXPECT_LT(mallinfo2().uordblks, used + (256 << 10));
}

// --- nodes that vanish without a word ---------------------------------------

// Powered off, and on again later: no FIN, no RST. What became of the old
// connection nobody knows; lookups succeed within two of the hop's times.
TEST_F(PaperRing, ANodeThatVanishedAndComesBackIsAskedOverANewConnection) {
  for (const Nanoseconds away : {1, 500, 1000, 1500, 60'000}) {
    look_up(10);
    world.forget(address_of(14));
    remote(14).vanished = true;
    for (Nanoseconds passed = 0; passed < away; passed += 500) {
      begin(10);
      world.run();
      world.pass(std::min<Nanoseconds>(away, 500) * millisecond);
    }
    remote(14).vanished = false;
    const Nanoseconds back = world.now;
    while (!look_up_at_last(10)) world.pass(100 * millisecond);
    EXPECT_LE(world.now - back, 2000 * millisecond) << away;
    world.pass(2000 * millisecond);
    EXPECT_EQ(world.open(), 1U);
  }
  EXPECT_GE(world.given_up, 5U);
  expect_nothing_left();
}

TEST_F(PaperRing, AConnectionThatIsNeverMadeIsTriedAnew) {
  remote(14).vanished = true;
  begin(10);
  world.run();
  world.pass(700 * millisecond);
  begin(10);  // waits for the same connection
  begin_proxy(10, {"GET", "x"});
  world.run();
  world.pass(300 * millisecond);
  EXPECT_EQ(world.letters.to(1),
            "-ERR lookup: 127.0.0.1:7014 did not answer within 1000 ms\r\n");
  EXPECT_EQ(world.given_up, 1U);
  EXPECT_EQ(remote(14).connections, 0U);
  EXPECT_FALSE(world.letters.has(2));
  // The second connection is in the making when it comes back, and is given up
  // in its turn; the third is made at once.
  remote(14).vanished = false;
  world.pass(700 * millisecond);
  EXPECT_TRUE(world.letters.to(2).starts_with("-ERR"));
  EXPECT_TRUE(world.letters.to(3).starts_with("-ERR"));
  EXPECT_EQ(remote(14).connections, 0U);
  begin(10);
  world.run();
  world.pass(300 * millisecond);
  EXPECT_EQ(hops(world.letters.to(4)).size(), 2U);
  EXPECT_EQ(world.given_up, 2U);
  expect_nothing_left();
}

// Both are asked over the connection that is given up: the question is asked
// again, for the rest of its time, and the command is not.
TEST_F(PaperRing, WhatStillHasTimeIsAskedAgainButNoCommand) {
  const std::uint64_t command = begin_proxy(10, {"SET", "x", "1"});
  protocol::Peer& peer = *connect();
  hear(peer, step_to(14, "here"));
  world.now += 600 * millisecond;
  const std::uint64_t question = begin(10);
  const std::uint64_t other = begin_proxy(10, {"SET", "x", "2"});
  say_what_is_due();
  EXPECT_EQ(peer.session.owed(), 4U);
  world.now += 400 * millisecond;
  world.lookups.looked(world.now);
  EXPECT_EQ(world.lookups.given_up(), &peer);
  EXPECT_EQ(world.lookups.given_up(), nullptr);
  begin(10);  // while it is being closed
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  world.lookups.closed(peer, "given up");
  EXPECT_EQ(world.letters.to(command),
            "-ERR lookup: 127.0.0.1:7014 did not answer within 1000 ms\r\n");
  world.run();
  EXPECT_EQ(hops(world.letters.to(question)).size(), 2U);
  EXPECT_TRUE(world.letters.to(other).starts_with("$21\r\nSET at"));
  EXPECT_EQ(hops(world.letters.to(4)).size(), 2U);
  EXPECT_EQ(remote(14).requests.size(), 5U);
  expect_nothing_left();
}

// The holder says something, or hears it, while the connection is given up: in
// the blocking model that is another thread.
TEST_F(PaperRing, NothingIsSaidOverAConnectionThatIsGivenUp) {
  begin(10);
  protocol::Peer& peer = *connect();
  world.now += 1000 * millisecond;
  world.lookups.looked(world.now);
  begin(10);
  world.lookups.say(peer, world.now);
  EXPECT_EQ(peer.session.owed(), 1U);
  hear(peer, step_to(14, "here"));
  EXPECT_EQ(peer.session.owed(), 0U);
  EXPECT_EQ(world.lookups.next(), nullptr);
  EXPECT_LE(world.lookups.next_due(), world.now);
  EXPECT_EQ(world.lookups.given_up(), &peer);
  world.lookups.closed(peer, "given up");
  world.run();
  EXPECT_EQ(hops(world.letters.to(2)).size(), 2U);
  EXPECT_EQ(remote(14).requests.size(), 1U);
  expect_nothing_left();
}

// Whoever connects has not seen a clock: the next one that comes is its own.
TEST_F(PaperRing, AConnectionHasItsTimeFromTheNextClock) {
  begin(10);
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  ASSERT_NE(world.lookups.next(), nullptr);
  EXPECT_LE(world.lookups.next_due(), world.now);
  world.now += 500 * millisecond;
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  world.now += 500 * millisecond;
  world.lookups.looked(world.now);
  EXPECT_TRUE(world.letters.has(1));
  EXPECT_EQ(world.lookups.given_up(), nullptr);
  EXPECT_EQ(world.lookups.next_due(), world.now + 500 * millisecond);
  world.now += 500 * millisecond;
  world.lookups.looked(world.now);
  EXPECT_NE(world.lookups.given_up(), nullptr);
}

TEST_F(PaperRing, WhoHasClosedAlreadyIsNotGivenUp) {
  begin(10);
  protocol::Peer& peer = *connect();
  world.now += 1000 * millisecond;
  world.lookups.looked(world.now);
  world.lookups.closed(peer, "Connection reset by peer");
  EXPECT_EQ(world.lookups.given_up(), nullptr);
  EXPECT_EQ(hops(look_up(10)).size(), 2U);
}

// It takes long to be made and then as long to answer: one question was too
// short of time, but nobody is given up who gives a sign of life in his.
TEST_F(PaperRing, AConnectionThatIsSlowIsKept) {
  begin(10);
  protocol::Peer* peer = world.lookups.next();
  world.lookups.due(world.now);
  world.now += 700 * millisecond;
  world.lookups.connected(*peer);
  world.lookups.say(*peer, world.now);
  world.now += 700 * millisecond;
  world.lookups.looked(world.now);
  EXPECT_TRUE(world.letters.has(1));
  EXPECT_EQ(world.lookups.given_up(), nullptr);
  hear(*peer, step_to(14, "here"));
  begin(10);
  EXPECT_EQ(world.lookups.due(world.now), peer);
}

// --- nobody is late whose bytes the kernel already has ----------------------

// We were stopped, and the answer has come meanwhile: it is read before its
// question is given up, whatever the clock says.
TEST_F(PaperRing, NobodyIsLateBeforeItWasLookedAt) {
  begin(10);
  protocol::Peer& peer = *connect();
  const Nanoseconds asked = world.now;
  world.now += 60'000 * millisecond;
  EXPECT_FALSE(world.lookups.overdue(asked));
  EXPECT_TRUE(world.lookups.overdue(world.now));
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  EXPECT_LE(world.lookups.next_due(), world.now);  // do not sleep now
  // What was looked at before the time was over says nothing.
  world.lookups.looked(asked + 1000 * millisecond - 1);
  EXPECT_FALSE(world.letters.has(1));
  EXPECT_EQ(world.lookups.given_up(), nullptr);
  hear(peer, step_to(14, "here"));
  world.lookups.looked(world.now);
  EXPECT_EQ(hops(world.letters.to(1)).size(), 2U);
  EXPECT_EQ(world.lookups.given_up(), nullptr);
  EXPECT_FALSE(world.lookups.overdue(world.now));
  expect_nothing_left();
}

// A node that had nothing to do slept long. Who came at the end of that sleep
// has seen no clock when the loop says what it has looked at.
TEST_F(PaperRing, NobodyIsLateForASleepBeforeHeCame) {
  const Nanoseconds slept_since = world.now;
  world.now += 60'000 * millisecond;
  begin(10);
  world.lookups.looked(slept_since);
  protocol::Peer* peer = world.lookups.next();
  world.lookups.looked(slept_since);
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  world.lookups.looked(world.now);
  EXPECT_FALSE(world.letters.has(1));
  EXPECT_EQ(world.lookups.given_up(), nullptr);
  world.lookups.connected(*peer);
  world.lookups.say(*peer, world.now);
  EXPECT_EQ(world.lookups.next_due(), world.now + 1000 * millisecond);
  hear(*peer, step_to(14, "here"));
  EXPECT_EQ(hops(world.letters.to(1)).size(), 2U);
  expect_nothing_left();
}

// --- nodes that fail --------------------------------------------------------

TEST_F(PaperRing, ARefusalIsAnErrorAtOnceAndTriedAgainNextTime) {
  remote(51).refuses = true;
  EXPECT_EQ(look_up(54), "-ERR lookup: 127.0.0.1:7051: Connection refused\r\n");
  EXPECT_EQ(look_up(54), "-ERR lookup: 127.0.0.1:7051: Connection refused\r\n");
  remote(51).refuses = false;
  EXPECT_EQ(hops(look_up(54)).size(), 4U);
  expect_nothing_left();
}

TEST_F(PaperRing, ARefusalFailsAllWhoWait) {
  remote(14).refuses = true;
  for (int i = 0; i < 10; ++i) begin(10);
  begin_proxy(10, {"GET", "x"});
  world.run();
  for (std::uint64_t i = 1; i <= 11; ++i)
    EXPECT_EQ(world.letters.to(i),
              "-ERR lookup: 127.0.0.1:7014: Connection refused\r\n");
  expect_nothing_left();
}

TEST_F(PaperRing, APeerThatClosesAFreshConnectionIsAnErrorAtOnce) {
  remote(14).closes = true;
  for (int i = 0; i < 3; ++i) begin(10);
  world.run();
  for (std::uint64_t i = 1; i <= 3; ++i)
    EXPECT_EQ(world.letters.to(i),
              "-ERR lookup: 127.0.0.1:7014: the peer closed the connection "
              "while 3 replies were owed\r\n");
  EXPECT_EQ(remote(14).connections, 1U);
  expect_nothing_left();
}

TEST_F(PaperRing, AnEndWithoutWordsHasWords) {
  begin(10);
  protocol::Peer* peer = world.lookups.next();
  world.lookups.closed(*peer, "");
  EXPECT_EQ(world.letters.to(1),
            "-ERR lookup: 127.0.0.1:7014: the connection was closed\r\n");
  EXPECT_EQ(world.lookups.next(), nullptr);
}

TEST_F(PaperRing, AnIdlePeerMayEndAndIsConnectedToWhenNeeded) {
  look_up(10);
  world.end(address_of(14));
  EXPECT_EQ(world.lookups.next(), nullptr);
  EXPECT_EQ(world.open(), 0U);
  EXPECT_EQ(hops(look_up(10)).size(), 2U);
  EXPECT_EQ(remote(14).connections, 2U);
}

TEST_F(PaperRing, AnIdleConnectionThatTurnsOutDeadIsReplaced) {
  look_up(10);
  world.kill(address_of(14));
  for (int i = 0; i < 5; ++i) begin(10);
  world.run();
  for (std::uint64_t i = 2; i <= 6; ++i)
    EXPECT_EQ(hops(world.letters.to(i)).back().address, address_of(14));
  EXPECT_EQ(remote(14).connections, 2U);
  expect_nothing_left();
}

TEST_F(PaperRing, ItIsReplacedOnce) {
  look_up(10);
  remote(14).closes = true;
  EXPECT_EQ(look_up(10),
            "-ERR lookup: 127.0.0.1:7014: the peer closed the connection "
            "while 1 reply was owed\r\n");
  EXPECT_EQ(remote(14).connections, 2U);
  expect_nothing_left();
}

TEST_F(PaperRing, WhatIsOwedByAConnectionThatLivesIsNotAskedAgain) {
  look_up(10);
  bool answered = false;
  remote(14).script = [&](Arguments, protocol::Reply& reply) {
    if (std::exchange(answered, true)) reply.close();
    return false;
  };
  for (int i = 0; i < 3; ++i) begin(10);
  world.run();
  // Two are answered, so the connection was alive; then it was closed.
  EXPECT_EQ(hops(world.letters.to(2)).size(), 2U);
  EXPECT_EQ(hops(world.letters.to(3)).size(), 2U);
  EXPECT_EQ(world.letters.to(4),
            "-ERR lookup: 127.0.0.1:7014: the peer closed the connection "
            "while 1 reply was owed\r\n");
  EXPECT_EQ(remote(14).connections, 1U);
}

TEST_F(PaperRing, AReplacedConnectionThatIsRefusedIsAnError) {
  look_up(10);
  world.kill(address_of(14));
  remote(14).refuses = true;
  EXPECT_EQ(look_up(10), "-ERR lookup: 127.0.0.1:7014: Connection refused\r\n");
  expect_nothing_left();
}

TEST_F(PaperRing, AReplacedConnectionDoesNotProlongTheHopsTime) {
  look_up(10);
  world.kill(address_of(14));
  remote(14).silent = true;
  const Nanoseconds begun = world.now;
  const std::uint64_t conversation = begin(10);
  world.run();
  EXPECT_EQ(remote(14).connections, 2U);
  EXPECT_EQ(world.lookups.next_due(), begun + 1000 * millisecond);
  world.pass(1000 * millisecond);
  EXPECT_EQ(world.letters.to(conversation),
            "-ERR lookup: 127.0.0.1:7014 did not answer within 1000 ms\r\n");
}

TEST_F(PaperRing, ACommandIsNeverSentTwice) {
  proxy(10, {"GET", "x"});
  std::size_t commands = 0;
  remote(14).script = [&](Arguments arguments, protocol::Reply&) {
    if (arguments[0] != "INCR") return false;
    ++commands;
    remote(14).closes = true;
    return false;
  };
  EXPECT_EQ(proxy(10, {"INCR", "x"}),
            "-ERR lookup: 127.0.0.1:7014: the peer closed the connection "
            "while 2 replies were owed\r\n");
  EXPECT_EQ(commands, 1U);
  EXPECT_EQ(remote(14).connections, 1U);
  expect_nothing_left();
}

// A peer that answers what it has not read gets a command into a connection
// that stood idle: the command fails with it, the question is asked again.
TEST_F(PaperRing, ACommandIsNeverSentTwiceWhateverThePeerDoes) {
  const std::string value(200 << 10, 'v');
  for (int i = 0; i < 3; ++i) begin_proxy(10, {"SET", "x", value});
  protocol::Peer& peer = *connect();
  const std::string here = step_to(14, "here");
  hear(peer, here + here + here);
  hear(peer, "+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
  EXPECT_EQ(world.letters.count(), 2U);
  while (peer.session.has_output())
    peer.session.sent(peer.session.output().size());
  begin(10);
  EXPECT_EQ(world.lookups.due(world.now), &peer);
  world.lookups.say(peer, world.now);
  EXPECT_EQ(peer.session.owed(), 3U);
  world.lookups.closed(peer, "Connection reset by peer");
  EXPECT_EQ(world.letters.to(3),
            "-ERR lookup: 127.0.0.1:7014: Connection reset by peer\r\n");
  EXPECT_FALSE(world.letters.has(4));
  world.run();
  EXPECT_EQ(hops(world.letters.to(4)).size(), 2U);
  EXPECT_EQ(remote(14).requests.size(), 1U);
}

TEST_F(PaperRing, WhatWasGivenUpIsNotFailedAgainByItsConnection) {
  begin(10);
  protocol::Peer& peer = *connect();
  world.now += 500 * millisecond;
  hear(peer, "*4\r\n");
  world.now += 500 * millisecond;
  world.lookups.looked(world.now);
  EXPECT_TRUE(world.letters.has(1));
  begin(10);
  say_what_is_due();
  world.lookups.closed(peer, "Connection reset by peer");
  EXPECT_EQ(world.letters.to(2),
            "-ERR lookup: 127.0.0.1:7014: Connection reset by peer\r\n");
  EXPECT_EQ(world.lookups.next(), nullptr);
  expect_nothing_left();
}

TEST_F(PaperRing, WhatWasNotSaidYetIsSaidOverTheNextConnection) {
  begin(10);
  protocol::Peer* peer = connect();
  begin(10);  // while the first is on its way
  world.lookups.closed(*peer, "Connection reset by peer");
  EXPECT_EQ(world.letters.to(1),
            "-ERR lookup: 127.0.0.1:7014: Connection reset by peer\r\n");
  EXPECT_FALSE(world.letters.has(2));
  world.run();
  EXPECT_EQ(hops(world.letters.to(2)).size(), 2U);
}

TEST_F(PaperRing, NothingIsSaidToAPeerThatHasEnded) {
  look_up(10);
  begin(10);
  // Its end is read before the agenda is asked what there is to say.
  world.end(address_of(14));
  world.run();
  EXPECT_EQ(hops(world.letters.to(2)).size(), 2U);
  EXPECT_EQ(remote(14).connections, 2U);
  EXPECT_EQ(remote(14).requests.size(), 2U);
}

TEST_F(PaperRing, WholeRepliesBeforeAnEndStillCount) {
  begin(10);
  protocol::Peer* peer = world.lookups.next();
  world.lookups.connected(*peer);
  world.lookups.say(*peer, world.now);
  const std::string reply = "*4\r\n$4\r\nhere\r\n$40\r\n" +
                            dht::to_hex(dht::id_from(14)) + "\r\n$14\r\n" +
                            address_of(14) + "\r\n$5\r\nowner\r\n";
  peer->session.receive(std::as_bytes(std::span(reply)));
  world.lookups.closed(*peer, "Connection reset by peer");
  EXPECT_EQ(hops(world.letters.to(1)).size(), 2U);
}

// --- answers that are wrong -------------------------------------------------

class WrongAnswer : public PaperRing {
 protected:
  // Node 42 answers so when it is asked for 54.
  std::string after(const std::string& answer) {
    remote(42).script = [answer](Arguments, protocol::Reply& reply) {
      reply.raw(answer);
      return true;
    };
    const std::string letter = look_up(54);
    expect_nothing_left();
    return letter;
  }
};

TEST_F(WrongAnswer, NoProgressIsClusterDown) {
  for (unsigned number : {42, 8, 1, 14, 38}) {
    EXPECT_EQ(after(step_to(number)),
              "-CLUSTERDOWN lookup: 127.0.0.1:7042 named " +
                  address_of(number) + ", which is not nearer to the key\r\n");
  }
  EXPECT_EQ(remote(8).requests.size(), 0U);
}

TEST_F(WrongAnswer, PassingTheOwnerIsNoProgress) {
  remote(51).script = [](Arguments, protocol::Reply& reply) {
    reply.raw(step_to(1));
    return true;
  };
  EXPECT_EQ(look_up(54),
            "-CLUSTERDOWN lookup: 127.0.0.1:7051 named 127.0.0.1:7001, which "
            "is not nearer to the key\r\n");
}

TEST_F(WrongAnswer, ASmallStepIsProgress) {
  EXPECT_EQ(hops(after(step_to(48))).size(), 5U);  // 8 42 48 51 56
}

TEST_F(WrongAnswer, OfAnOwnerThatSendsUsOnIsClusterDown) {
  remote(56).script = [](Arguments, protocol::Reply& reply) {
    reply.raw(step_to(1));
    return true;
  };
  EXPECT_TRUE(look_up(54).starts_with("-CLUSTERDOWN lookup: 127.0.0.1:7056"));
}

TEST_F(WrongAnswer, OnlyMembersAreAsked) {
  const std::string no_member =
      "-ERR lookup: 127.0.0.1:7042 named a node that is no member\r\n";
  EXPECT_EQ(after(step_to(50)), no_member);
  const std::string id = dht::to_hex(dht::id_from(51));
  EXPECT_EQ(after(step_text("forward", id, "192.0.2.1:22", "x")), no_member);
  EXPECT_EQ(after(step_text("forward", id, "", "x")), no_member);
  EXPECT_EQ(remote(51).requests.size(), 0U);
}

TEST_F(WrongAnswer, InTheNameOfAnotherNode) {
  EXPECT_EQ(after(step_to(56, "here")),
            "-ERR lookup: 127.0.0.1:7042 answered as 127.0.0.1:7056\r\n");
}

TEST_F(WrongAnswer, ThatIsNoStep) {
  const std::string id = dht::to_hex(dht::id_from(51));
  const std::string address = address_of(51);
  const std::string rule(65, 'x');
  for (const std::string& answer :
       {std::string("+OK\r\n"), std::string(":1\r\n"), std::string("$-1\r\n"),
        std::string("*0\r\n"), std::string("*-1\r\n"),
        std::string("*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n"),
        std::string("*3\r\n+forward\r\n+x\r\n+y\r\n"),
        std::string("*4\r\n+forward\r\n*0\r\n+x\r\n+y\r\n"),
        step_text("backward", id, address, "x"),
        step_text("", id, address, "x"),
        step_text("forward", id.substr(1), address, "x"),
        step_text("forward", "g" + id.substr(1), address, "x"),
        step_text("forward", id, address, rule)})
    EXPECT_EQ(after(answer),
              "-ERR lookup: 127.0.0.1:7042: malformed answer\r\n")
        << answer;
}

TEST_F(WrongAnswer, ThatIsAnErrorIsPassedOnAsFarAsIsGood) {
  EXPECT_EQ(after("-ERR unknown command 'DHT.NEXT'\r\n"),
            "-ERR lookup: 127.0.0.1:7042: ERR unknown command 'DHT.NEXT'\r\n");
  EXPECT_EQ(after("-" + std::string(1000, 'x') + "\r\n"),
            "-ERR lookup: 127.0.0.1:7042: " + std::string(200, 'x') + "\r\n");
}

TEST_F(WrongAnswer, ThatIsNotRespEndsTheConnection) {
  EXPECT_TRUE(after("HTTP/1.1 400 Bad Request\r\n")
                  .starts_with("-ERR lookup: 127.0.0.1:7042: protocol error"));
  EXPECT_EQ(world.open(), 0U);
  remote(42).script = nullptr;
  EXPECT_EQ(hops(look_up(54)).size(), 4U);
}

// Announced is enough: nothing of it is kept.
TEST_F(WrongAnswer, ThatIsTooLargeEndsTheConnection) {
  EXPECT_EQ(after("$" + std::to_string(value_max + (4 << 10)) + "\r\n"),
            "-ERR lookup: 127.0.0.1:7042: protocol error: too large a "
            "reply\r\n");
  EXPECT_EQ(world.open(), 0U);
}

TEST_F(WrongAnswer, ToNothingEndsTheConnection) {
  remote(42).script = [](Arguments, protocol::Reply& reply) {
    reply.raw(step_to(51) + step_to(51) + step_to(51));
    return true;
  };
  EXPECT_EQ(hops(look_up(54)).size(), 4U);
  remote(42).script = nullptr;
  EXPECT_EQ(hops(look_up(54)).size(), 4U);
  EXPECT_EQ(remote(42).connections, 2U);
  expect_nothing_left();
}

// --- proxying ---------------------------------------------------------------

TEST_F(PaperRing, ProxyAsksTheOwnerBehindAsking) {
  EXPECT_EQ(proxy(54, {"GET", "key"}), "$21\r\nGET at 127.0.0.1:7056\r\n");
  const std::vector<std::vector<std::string>> expected{
      {"DHT.NEXT", "ID", dht::to_hex(dht::id_from(54))},
      {"ASKING"},
      {"GET", "key"}};
  EXPECT_EQ(remote(56).requests, expected);
  EXPECT_EQ(remote(42).requests.size(), 1U);
  expect_nothing_left();
}

TEST_F(PaperRing, ProxyTellsTheReplyInTheClientsVersion) {
  const std::pair<std::string, std::pair<std::string, std::string>> replies[] =
      {{"+OK\r\n", {"+OK\r\n", "+OK\r\n"}},
       {":7\r\n", {":7\r\n", ":7\r\n"}},
       {"$-1\r\n", {"$-1\r\n", "_\r\n"}},
       {"$0\r\n\r\n", {"$0\r\n\r\n", "$0\r\n\r\n"}},
       {"*2\r\n:1\r\n$-1\r\n", {"*2\r\n:1\r\n$-1\r\n", "*2\r\n:1\r\n_\r\n"}},
       {"-MOVED 7 127.0.0.1:7001\r\n",
        {"-MOVED 7 127.0.0.1:7001\r\n", "-MOVED 7 127.0.0.1:7001\r\n"}}};
  for (const auto& [reply, expected] : replies) {
    remote(14).script = [&reply](Arguments arguments, protocol::Reply& r) {
      if (arguments[0] == "GET") r.raw(reply);
      return arguments[0] == "GET";
    };
    EXPECT_EQ(proxy(10, {"GET", "x"}, 2), expected.first);
    EXPECT_EQ(proxy(10, {"GET", "x"}, 3), expected.second);
  }
}

TEST_F(PaperRing, ProxyDoesNotNeedAskingToBeUnderstood) {
  remote(14).script = [](Arguments arguments, protocol::Reply& reply) {
    if (arguments[0] == "ASKING") reply.error("ERR unknown command");
    return arguments[0] == "ASKING";
  };
  EXPECT_EQ(proxy(10, {"GET", "x"}), "$21\r\nGET at 127.0.0.1:7014\r\n");
}

TEST_F(PaperRing, ProxyCopiesTheCommandByteByByte) {
  std::string key("a\0\r\n$3\r\n", 8), value(300'000, '\xff');
  const std::uint64_t conversation = begin_proxy(10, {"SET", key, value});
  const std::vector<std::string> expected{"SET", key, value};
  key.assign(key.size(), '?');
  value.assign(value.size(), '?');
  world.run();
  EXPECT_TRUE(world.letters.to(conversation).starts_with("$21\r\nSET at"));
  EXPECT_EQ(remote(14).requests.back(), expected);
}

TEST_F(PaperRing, ProxyTakesTheLargestValue) {
  const std::string value(value_max, 'x');
  remote(14).script = [&](Arguments arguments, protocol::Reply& reply) {
    if (arguments[0] == "GET") reply.bulk(value);
    return arguments[0] == "GET";
  };
  EXPECT_TRUE(proxy(10, {"GET", "x"}) == "$1048576\r\n" + value + "\r\n");
}

TEST_F(PaperRing, ManyProxiedCommandsKeepTheirOwnReplies) {
  for (unsigned number : paper)
    remote(number).script = [](Arguments arguments, protocol::Reply& reply) {
      if (arguments[0] == "GET") reply.bulk(arguments[1]);
      return arguments[0] == "GET";
    };
  std::vector<std::string> keys;
  for (unsigned i = 0; i < 300; ++i) {
    const std::string key = "key" + std::to_string(i);
    if (i % 64 > 1 && i % 64 <= 8) continue;  // our own
    begin_proxy(i % 64, {"GET", key});
    keys.push_back(key);
  }
  world.run();
  for (std::size_t i = 0; i < keys.size(); ++i)
    EXPECT_EQ(world.letters.to(i + 1),
              "$" + std::to_string(keys[i].size()) + "\r\n" + keys[i] + "\r\n");
  expect_nothing_left();
}

TEST_F(PaperRing, ProxyOfOurOwnKeyIsRefused) {
  EXPECT_EQ(proxy(5, {"GET", "x"}),
            "-ERR lookup: the key is this node's own\r\n");
  EXPECT_EQ(world.open(), 0U);
  expect_nothing_left();
}

TEST_F(PaperRing, CommandsThatWaitAreBounded) {
  remote(14).silent = true;
  const std::string value(20 << 20, 'v');
  for (int i = 0; i < 4; ++i) begin_proxy(10, {"SET", "x", value});
  EXPECT_EQ(world.letters.to(4),
            "-ERR lookup: too many bytes wait for other nodes\r\n");
  begin(10);  // needs no room
  world.run();
  EXPECT_EQ(world.letters.count(), 1U);
  world.pass(1000 * millisecond);
  EXPECT_EQ(world.letters.count(), 5U);
  begin_proxy(10, {"SET", "x", value});  // there is room again
  world.run();
  EXPECT_EQ(world.lookups.running(), 1U);
}

// Each argument takes memory, even one without bytes.
TEST_F(PaperRing, ArgumentsWithoutBytesCountToo) {
  remote(14).silent = true;
  Command many(900'000);
  many[0] = "DEL";
  for (int i = 0; i < 4; ++i) begin_proxy(10, many);
  EXPECT_EQ(world.letters.to(4),
            "-ERR lookup: too many bytes wait for other nodes\r\n");
}

TEST_F(PaperRing, ACommandLargerThanTheBoundGoesAlone) {
  remote(14).silent = true;
  const std::string value(65 << 20, 'v');
  begin_proxy(10, {"SET", "x", value});
  begin_proxy(10, {"SET", "x", "small"});
  world.run();
  EXPECT_EQ(world.letters.count(), 1U);
  EXPECT_EQ(world.letters.to(2),
            "-ERR lookup: too many bytes wait for other nodes\r\n");
}

TEST_F(PaperRing, ANodeThatDoesNotReadIsNotWrittenToWithoutEnd) {
  look_up(10);
  const std::string value(100 << 10, 'v');
  remote(14).script = [&](Arguments arguments, protocol::Reply&) {
    if (arguments[0] == "DHT.NEXT") remote(14).deaf = true;
    return false;
  };
  for (int i = 0; i < 20; ++i) begin_proxy(10, {"SET", "x", value});
  world.run();
  EXPECT_EQ(world.letters.count(), 1U);
  EXPECT_EQ(remote(14).requests.size(), 21U);  // no command has gone out
  remote(14).deaf = false;
  remote(14).script = nullptr;
  world.run();
  EXPECT_EQ(world.letters.count(), 21U);
  EXPECT_EQ(remote(14).requests.size(), 61U);
}

// --- the agenda -------------------------------------------------------------

TEST_F(PaperRing, TheBellRingsForNewWork) {
  begin(54);
  EXPECT_EQ(world.letters.rings(), 1U);
  world.run();
  begin(54);  // over connections that stand
  EXPECT_EQ(world.letters.rings(), 2U);
  world.run();
  // The thread that asks the agenda needs no bell for the steps it makes.
  EXPECT_EQ(world.letters.rings(), 2U);
}

TEST_F(PaperRing, TheBellRingsWhenAnotherThreadMakesAStep) {
  begin(54);
  protocol::Peer* peer = world.lookups.next();
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  world.lookups.connected(*peer);
  world.lookups.say(*peer, world.now);
  const std::string answer = step_to(51);
  const std::size_t rings = world.letters.rings();
  std::thread holder([&] {
    peer->session.receive(std::as_bytes(std::span(answer)));
    world.lookups.hand_over(*peer, world.now);
  });
  holder.join();
  EXPECT_EQ(world.letters.rings(), rings + 1);
  EXPECT_LE(world.lookups.next_due(), world.now);
  protocol::Peer* next = world.lookups.next();
  ASSERT_NE(next, nullptr);
  EXPECT_EQ(next->address, address_of(51));
}

TEST_F(PaperRing, APeerIsHandedOutOnceAndIsDueOnce) {
  begin(54);
  begin(55);
  protocol::Peer* peer = world.lookups.next();
  ASSERT_NE(peer, nullptr);
  EXPECT_EQ(world.lookups.next(), nullptr);
  EXPECT_EQ(world.lookups.due(world.now),
            nullptr);  // it says it when connected
  world.lookups.connected(*peer);
  begin(54);
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  world.lookups.say(*peer, world.now);
  begin(54);
  EXPECT_EQ(world.lookups.due(world.now), peer);
  begin(54);
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  world.lookups.say(*peer, world.now);
  EXPECT_EQ(peer->session.owed(), 5U);
}

TEST_F(PaperRing, ANextStepToAConnectedPeerIsDueAtOnce) {
  begin(54);
  protocol::Peer& first = *connect();
  hear(first, step_to(51));
  protocol::Peer& second = *connect();
  EXPECT_EQ(second.address, address_of(51));
  begin(54);
  EXPECT_EQ(world.lookups.due(world.now), &first);
  world.lookups.say(first, world.now);
  EXPECT_GT(world.lookups.next_due(), world.now);
  hear(first, step_to(51));
  EXPECT_LE(world.lookups.next_due(), world.now);
  EXPECT_EQ(world.lookups.due(world.now), &second);
}

TEST_F(PaperRing, ALookupThatFollowsOthersIsDueAtOnceToo) {
  begin(54);
  protocol::Peer* peer = world.lookups.next();
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  EXPECT_GT(world.lookups.next_due(), world.now);
  begin(54);  // nobody new to connect to, but its time begins
  EXPECT_LE(world.lookups.next_due(), world.now);
  world.lookups.connected(*peer);
}

TEST_F(PaperRing, WhatIsSaidInAHandOverIsNotDueAgain) {
  begin_proxy(10, {"GET", "x"});
  protocol::Peer& peer = *connect();
  hear(peer, step_to(14, "here"));
  EXPECT_EQ(peer.session.owed(), 2U);  // to ASKING and the command
  EXPECT_GT(world.lookups.next_due(), world.now);
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
}

TEST_F(PaperRing, APeerThatIsGoneIsNotDue) {
  begin(10);
  protocol::Peer& peer = *connect();
  hear(peer, step_to(14, "here"));
  begin(10);
  world.lookups.closed(peer, "");
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  EXPECT_EQ(world.lookups.next(), &peer);
}

TEST_F(PaperRing, WhatIsGivenUpBeforeItIsDueDoesNotHideWhatFollows) {
  begin(10);
  protocol::Peer& peer = *connect();
  hear(peer, step_to(14, "here"));
  begin(54);
  protocol::Peer& other = *connect();
  begin(10);
  world.lookups.say(other, world.now);  // time passes here too
  world.now += 1000 * millisecond;
  world.lookups.looked(world.now);
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  EXPECT_TRUE(world.letters.has(3));
  begin(10);
  EXPECT_EQ(world.lookups.due(world.now), &peer);
}

TEST_F(PaperRing, WhatIsGivenUpIsNeverHandedOut) {
  begin(54);
  world.now += millisecond;
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  world.now += 1000 * millisecond;
  world.lookups.looked(world.now);
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  EXPECT_TRUE(world.letters.has(1));
  EXPECT_EQ(world.lookups.next(), nullptr);
  EXPECT_EQ(hops(look_up(54)).size(), 4U);  // and it can be handed out later
}

TEST_F(PaperRing, WhatIsGivenUpIsNeverDue) {
  look_up(10);
  begin(10);
  begin(10);
  world.now += millisecond;
  protocol::Peer* peer = world.lookups.due(world.now);
  ASSERT_NE(peer, nullptr);
  world.now += 1000 * millisecond;
  world.lookups.looked(world.now);
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  world.lookups.say(*peer, world.now);
  EXPECT_FALSE(peer->session.has_output());
  EXPECT_EQ(hops(look_up(10)).size(), 2U);
  expect_nothing_left();
}

TEST_F(PaperRing, NothingIsDueWhenNothingRuns) {
  EXPECT_EQ(world.lookups.next_due(), protocol::never);
  EXPECT_EQ(world.lookups.next(), nullptr);
  EXPECT_EQ(world.lookups.due(world.now), nullptr);
  EXPECT_FALSE(world.lookups.over());
}

// --- the end ----------------------------------------------------------------

TEST_F(PaperRing, StopAnswersEverythingOnceAndThenItIsOver) {
  remote(51).silent = true;
  for (int i = 0; i < 100; ++i)
    i % 2 == 0 ? begin(54) : begin_proxy(54, {"GET", "x"});
  world.run();
  for (int i = 0; i < 10; ++i) begin(34);  // not begun yet
  EXPECT_EQ(world.lookups.running(), 110U);
  const std::size_t rings = world.letters.rings();
  world.lookups.stop();
  EXPECT_GT(world.letters.rings(), rings);
  EXPECT_TRUE(world.lookups.over());
  for (std::uint64_t i = 1; i <= 110; ++i)
    EXPECT_EQ(world.letters.to(i),
              "-ERR lookup: this node is shutting down\r\n");
  world.lookups.stop();
  begin(54);
  begin(5);
  begin_proxy(54, {"GET", "x"});
  for (std::uint64_t i = 111; i <= 113; ++i)
    EXPECT_EQ(world.letters.to(i),
              "-ERR lookup: this node is shutting down\r\n");
  // What still comes is for nobody.
  remote(51).silent = false;
  world.run();
  world.end(address_of(42));
  world.pass(2000 * millisecond);
  EXPECT_TRUE(world.lookups.over());
  expect_nothing_left();
}

// --- without memory ---------------------------------------------------------

// Only what is called here fails.
template <class Work>
auto failing(Work work) {
  struct Switch {
    Switch() { suspend_refusals(false); }
    ~Switch() { suspend_refusals(true); }
  } const on;
  return work();
}

// A node whose allocations fail now and then, wherever they are made on the
// side of the lookups: whoever was not told so at once gets one letter, be it
// an error, and nothing else happens.
class WithoutMemory {
 public:
  void scenario() {
    for (int i = 0; i < 2; ++i) {
      look_up(10);  // 14 is asked
      order(10);
      look_up(5);  // is ours
      order(5);
      look_up(54);  // 42 is asked, then 51, which owns nothing
      talk();
    }
    look_up(10);
    look_up(54);
    say_what_there_is();
    if (!connected_.empty()) close(*connected_[0], "Connection reset by peer");
    say_what_there_is();
    world_.now += 1000 * millisecond;
    failing([&] { world_.lookups.looked(world_.now); });
    while (protocol::Peer* peer =
               failing([&] { return world_.lookups.given_up(); }))
      close(*peer, "given up");
    look_up(10);
    order(10);
    failing([&] { world_.lookups.stop(); });
    EXPECT_TRUE(world_.lookups.over());
    EXPECT_EQ(world_.lookups.running(), 0U);
  }

  // What could not be posted is tried again, soon.
  void expect_one_letter_each() {
    const bool kept = world_.letters.count() < begun_.size();
    EXPECT_TRUE(!kept ||
                world_.lookups.next_due() <= world_.now + 10 * millisecond);
    world_.now += 10 * millisecond;
    world_.lookups.due(world_.now);
    EXPECT_EQ(world_.letters.count(), begun_.size());
    for (const std::uint64_t conversation : begun_) {
      const std::string letter = world_.letters.to(conversation);
      EXPECT_TRUE(letter.starts_with("*") || letter.starts_with("+OK") ||
                  letter.starts_with("-ERR lookup: "))
          << letter;
    }
  }

 private:
  template <class Begin>
  void begin(Begin begin) {
    const auto to = world_.letters.address(++conversations_);
    try {
      failing([&] { begin(to); });
      begun_.push_back(conversations_);
    } catch (const std::bad_alloc&) {
      EXPECT_FALSE(world_.letters.has(conversations_));
    }
  }
  void look_up(unsigned key) {
    begin([&](auto to) { world_.lookups.lookup(dht::id_from(key), to, 2); });
  }
  void order(unsigned key) {
    const Command set{"SET", "x", "something that needs memory"};
    begin(
        [&](auto to) { world_.lookups.proxy(dht::id_from(key), set, to, 2); });
  }

  void say_what_there_is() {
    while (protocol::Peer* peer =
               failing([&] { return world_.lookups.next(); })) {
      // Its own buffers have what they need: this is about ours.
      for (int i = 0; i < 8; ++i)
        peer->session.request({"ECHO", std::string(100, 'x')});
      peer->session.reset();
      connected_.push_back(peer);
      failing([&] {
        world_.lookups.connected(*peer);
        world_.lookups.say(*peer, world_.now);
      });
    }
    while (protocol::Peer* peer =
               failing([&] { return world_.lookups.due(world_.now); }))
      failing([&] { world_.lookups.say(*peer, world_.now); });
  }

  // Until nobody owes anything: each request is answered by what it is.
  void talk() {
    for (int turn = 0; turn < 4; ++turn) {
      say_what_there_is();
      for (protocol::Peer* peer : connected_) {
        const std::string answers = answer(*peer);
        peer->session.receive(std::as_bytes(std::span(answers)));
        failing([&] { world_.lookups.hand_over(*peer, world_.now); });
      }
    }
  }
  static std::string answer(protocol::Peer& peer) {
    std::string requests;
    while (peer.session.has_output()) {
      const auto bytes = peer.session.output();
      requests.append(reinterpret_cast<const char*>(bytes.data()),
                      bytes.size());
      peer.session.sent(bytes.size());
    }
    const bool owner = peer.address == address_of(14);
    std::string answers;
    for (std::size_t at = requests.find('*'); at != requests.npos;
         at = requests.find('*', at + 1))
      answers += requests.compare(at, 12, "*3\r\n$8\r\nDHT") != 0 ? "+OK\r\n"
                 : owner ? step_to(14, "here")
                         : step_to(51);
    return answers;
  }

  void close(protocol::Peer& peer, const std::string& why) {
    std::erase(connected_, &peer);
    failing([&] { world_.lookups.closed(peer, why); });
  }

  World world_{members_of(paper), dht::id_from(8)};
  std::uint64_t conversations_ = 0;
  std::vector<std::uint64_t> begun_;
  std::vector<protocol::Peer*> connected_;
};

TEST(LookupsWithoutMemory, EveryLookupThatHasBegunIsAnsweredOnce) {
  for (const std::uint64_t failures : {0, 1, 2, 3, 10}) {
    std::uint64_t before = 0;
    for (std::uint64_t left = 0; left == 0 && before < 10'000; ++before) {
      SCOPED_TRACE(std::to_string(failures) + " after " +
                   std::to_string(before));
      WithoutMemory node;
      refuse_allocations(before, failures);
      suspend_refusals(true);
      node.scenario();
      node.expect_one_letter_each();
      left = failures == 0 ? 1 : failures - serve_allocations();
      if (testing::Test::HasFailure()) return;
    }
    EXPECT_LT(before, 10'000U);
  }
}

// Or the replies that come would be taken for those to other questions.
TEST_F(PaperRing, WhatThereIsNoMemoryToSayIsNotOwed) {
  look_up(10);
  begin(10);
  begin(10);
  protocol::Peer* peer = world.lookups.due(world.now);
  ASSERT_NE(peer, nullptr);
  refuse_allocations(0, 1);
  world.lookups.say(*peer, world.now);
  EXPECT_EQ(serve_allocations(), 1U);
  EXPECT_EQ(world.letters.to(2), "-ERR lookup: out of memory\r\n");
  world.run();
  EXPECT_EQ(hops(world.letters.to(3)).size(), 2U);
  expect_nothing_left();
}

// --- threads ----------------------------------------------------------------

// What the blocking model does: a thread to each peer, which connects, says,
// waits for the replies and hands them over; another one asks the agenda.
class ThreadedConverse {
 public:
  ThreadedConverse(Lookups& lookups, Letters& bell,
                   const std::vector<Member>& members)
      : lookups_(lookups), bell_(bell) {
    for (const Member& member : members)
      remotes_.emplace(member.address,
                       std::make_unique<Remote>(std::make_unique<Chord>(
                           dht::Space{}, members, member.id)));
  }

  void run() {
    while (!lookups_.over()) {
      const std::size_t rings = bell_.rings();
      while (protocol::Peer* peer = lookups_.next()) begin(*peer);
      while (protocol::Peer* peer = lookups_.due(tick())) wake(*peer);
      if (lookups_.next_due() > tick_ && !bell_.wait(rings)) {
        ADD_FAILURE() << "not rung";
        lookups_.stop();
      }
    }
    for (auto& [peer, holder] : holders_) {
      wake(*peer);
      holder->thread.join();
    }
  }

 private:
  struct Holder {
    std::thread thread;
    std::mutex mutex;
    std::condition_variable woken;
    bool wanted = false;
  };

  Nanoseconds tick() { return tick_ += microsecond; }

  void begin(protocol::Peer& peer) {
    auto& holder = holders_[&peer];
    if (holder) holder->thread.join();
    holder = std::make_unique<Holder>();
    holder->thread = std::thread([&, h = holder.get()] { converse(peer, *h); });
  }

  void wake(protocol::Peer& peer) {
    Holder& holder = *holders_.at(&peer);
    const std::lock_guard lock(holder.mutex);
    holder.wanted = true;
    holder.woken.notify_one();
  }

  void converse(protocol::Peer& peer, Holder& holder) {
    Connection c(peer, *remotes_.at(peer.address));
    lookups_.connected(peer);
    lookups_.say(peer, tick());
    for (int exchanges = 0; !lookups_.over(); ++exchanges) {
      if (exchanges == 100) {  // now and then a connection breaks
        lookups_.closed(peer, "Connection reset by peer");
        return;
      }
      while (peer.session.has_output()) exchange(c);
      std::unique_lock lock(holder.mutex);
      holder.woken.wait(lock, [&] { return holder.wanted || lookups_.over(); });
      holder.wanted = false;
      lock.unlock();
      lookups_.say(peer, tick());
    }
    lookups_.closed(peer, "");
  }

  void exchange(Connection& c) {
    const auto request = c.peer.session.output();
    c.session.receive(request);
    c.peer.session.sent(request.size());
    while (c.session.has_output()) {
      const auto bytes = c.session.output();
      c.peer.session.receive(bytes);
      c.session.sent(bytes.size());
      lookups_.hand_over(c.peer, tick());
    }
  }

  Lookups& lookups_;
  Letters& bell_;
  std::map<std::string, std::unique_ptr<Remote>> remotes_;
  std::map<protocol::Peer*, std::unique_ptr<Holder>> holders_;
  std::atomic<Nanoseconds> tick_{0};
};

// Asks from three threads at once; returns how many lookups were begun.
std::uint64_t ask_from_threads(Lookups& lookups, Letters& letters,
                               std::uint64_t each) {
  std::vector<std::thread> askers;
  for (std::uint64_t asker = 0; asker < 3; ++asker)
    askers.emplace_back([&, asker] {
      const Command command{"GET", "x"};
      for (std::uint64_t i = 0; i < each; ++i) {
        const Id key = dht::id_from((asker * 31 + i * 7) % 64);
        const auto to = letters.address(asker * each + i);
        if (i % 2 == 0)
          lookups.lookup(key, to, 2);
        else
          lookups.proxy(key, command, to, 3);
      }
    });
  for (std::thread& asker : askers) asker.join();
  return 3 * each;
}

void expect_one_letter_each(const Letters& letters, std::uint64_t count) {
  EXPECT_EQ(letters.count(), count);
  for (std::uint64_t i = 0; i < count; ++i) letters.to(i);
}

TEST(LookupsInThreads, EveryLookupHasExactlyOneLetterWhenStoppedMidway) {
  for (int round = 0; round < 5; ++round) {
    World world(members_of(paper), dht::id_from(8));
    std::thread driver([&] {
      while (!world.lookups.over()) {
        world.run();
        world.pass(microsecond);
      }
    });
    std::thread stopper([&] {
      while (world.lookups.ended() < 300) std::this_thread::yield();
      world.lookups.stop();
    });
    const std::uint64_t begun =
        ask_from_threads(world.lookups, world.letters, 200);
    stopper.join();
    driver.join();
    EXPECT_EQ(world.lookups.ended(), begun);
    expect_one_letter_each(world.letters, begun);
  }
}

TEST(LookupsInThreads, HoldersInThreadsOfTheirOwnAreRung) {
  const auto members = members_of(paper);
  const Chord overlay(dht::Space{}, members, dht::id_from(8));
  Letters letters;
  Lookups lookups(overlay, letters, 10'000ms, value_max);
  ThreadedConverse converse(lookups, letters, members);
  std::thread driver([&] { converse.run(); });
  const std::uint64_t begun = ask_from_threads(lookups, letters, 1000);
  while (lookups.running() != 0) std::this_thread::yield();
  lookups.stop();
  driver.join();
  EXPECT_EQ(lookups.ended(), begun);
  expect_one_letter_each(letters, begun);
}

}  // namespace
