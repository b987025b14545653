// A ring of nodes: redirects as redis-cli -c follows them, and what it costs to
// be on a ring.

#include <gtest/gtest.h>

#include <set>

#include "tests/node/fixed_overlay.hpp"
#include "tests/node/ring.hpp"
#include "tests/tools/allocations.hpp"

namespace node {
namespace {

using Words = std::vector<std::string_view>;

struct Moved {
  int slot;
  std::string address;
};

// As redis-cli does it: the slot by atoi, the host up to the last colon. And as
// libvalkey does: exactly three parts.
Moved parse_moved(const std::string& answer) {
  EXPECT_TRUE(answer.ends_with("\r\n"));
  EXPECT_EQ(std::ranges::count(answer, ' '), 2) << answer;
  const auto first = answer.find(' '), second = answer.find(' ', first + 1);
  return {std::atoi(answer.c_str() + first + 1),
          answer.substr(second + 1, answer.size() - second - 3)};
}

struct Walk {
  std::string answer;
  std::vector<std::string> path;
};

// Follows MOVED from node to node.
Walk walk(Ring& ring, std::size_t from, const Words& words) {
  Walk result{"", {ring.members[from].address}};
  for (;;) {
    auto& asker = ring.at(result.path.back()).asker;
    result.answer = asker.ask(words);
    if (!result.answer.starts_with("-MOVED ")) return result;
    const auto moved = parse_moved(result.answer);
    EXPECT_EQ(moved.slot, ring.seats[0]->host.node.slot(words[1]));
    result.path.push_back(moved.address);
    EXPECT_LE(result.path.size(), ring.seats.size()) << "in circles";
    if (testing::Test::HasFailure()) return result;
  }
}

class OnARing : public testing::TestWithParam<dht::Placement> {};

TEST_P(OnARing, EveryKeyIsReachedFromEveryNode) {
  Ring ring(8, GetParam());
  for (int i = 0; i < 100; ++i) {
    const auto key = "key " + std::to_string(i);
    for (std::size_t from = 0; from < 8; ++from) {
      const auto value = std::to_string(i) + " from " + std::to_string(from);
      const auto set = walk(ring, from, {"set", key, value});
      EXPECT_EQ(set.answer, "+OK\r\n");
      EXPECT_EQ(set.path.back(), ring.owner(key).chord.self().address);
      EXPECT_EQ(walk(ring, 7 - from, {"get", key}).answer, bulk(value));
    }
  }
  std::size_t keys = 0;
  for (const auto& seat : ring.seats) keys += seat->host.store.size();
  EXPECT_EQ(keys, 100u);
}

TEST_P(OnARing, TheWayIsTheOverlaysOwn) {
  Ring ring(32, GetParam());
  std::vector<const dht::Chord*> chords;
  for (const auto& seat : ring.seats) chords.push_back(&seat->chord);
  for (int i = 0; i < 200; ++i) {
    const auto key = std::to_string(i);
    const auto way = dht::route(chords, ring.members[0].id,
                                ring.seats[0]->host.node.place(key));
    std::vector<std::string> expected;
    for (const auto& member : way) expected.push_back(member.address);
    EXPECT_EQ(walk(ring, 0, {"get", key}).path, expected);
  }
}

// Whoever is asked first, the second is the owner; where it is not we, it is
// named by the first.
TEST_P(OnARing, AnOwnerIsNamedDirectly) {
  Ring ring(32, GetParam(), Redirect::owner);
  for (int i = 0; i < 200; ++i) {
    const auto key = std::to_string(i);
    const auto& owner = ring.owner(key).chord.self().address;
    const auto from = static_cast<std::size_t>(i % 32);
    std::vector<std::string> expected{ring.members[from].address};
    if (expected[0] != owner) expected.push_back(owner);
    EXPECT_EQ(walk(ring, from, {"get", key}).path, expected);
    // What a node is asked by others is a hop as ever.
    EXPECT_EQ(ring.seats[from]
                  ->host.node.next_hop(ring.seats[0]->host.node.place(key))
                  .next,
              ring.seats[from]
                  ->chord.next_hop(ring.seats[0]->host.node.place(key), 0)
                  .next);
  }
}

TEST_P(OnARing, CommandsWithoutKeysAreAnsweredAnywhere) {
  Ring ring(4, GetParam());
  for (auto& seat : ring.seats) {
    EXPECT_EQ(seat->asker.ask({"ping"}), "+PONG\r\n");
    EXPECT_EQ(seat->asker.ask({"dbsize"}), ":0\r\n");
    EXPECT_EQ(seat->asker.ask({"select", "1"}),
              "-ERR SELECT is not allowed in cluster mode\r\n");
    EXPECT_EQ(seat->asker.ask({"info", "cluster"}),
              bulk("# Cluster\r\ncluster_enabled:1\r\n"));
    EXPECT_NE(seat->asker.ask({"hello"}).find("\r\ncluster\r\n"),
              std::string::npos);
    EXPECT_NE(seat->asker.ask({"info", "server"}).find("overlay:chord"),
              std::string::npos);
    EXPECT_NE(seat->asker.ask({"config", "get", "cluster-enabled"})
                  .find("\r\nyes\r\n"),
              std::string::npos);
  }
}

TEST_P(OnARing, AskingHoldsForOneCommand) {
  Ring ring(4, GetParam());
  auto& owner = ring.owner("key");
  auto& other = *ring.seats[&owner == ring.seats[0].get() ? 1 : 0];
  EXPECT_EQ(other.asker.ask({"asking"}), "+OK\r\n");
  EXPECT_EQ(other.asker.ask({"set", "key", "here"}), "+OK\r\n");
  EXPECT_TRUE(other.asker.ask({"get", "key"}).starts_with("-MOVED "));
  EXPECT_EQ(other.asker.ask({"asking"}), "+OK\r\n");
  EXPECT_EQ(other.asker.ask({"nosuch"}).substr(0, 4), "-ERR");
  EXPECT_TRUE(other.asker.ask({"get", "key"}).starts_with("-MOVED "));
  other.asker.ask({"asking"});
  other.asker.ask({"asking"});
  EXPECT_EQ(other.asker.ask({"get", "key"}), bulk("here"));
}

class ARequestOnARing
    : public testing::TestWithParam<std::pair<dht::Placement, Redirect>> {};

TEST_P(ARequestOnARing, AllocatesNothing) {
  Ring ring(8, GetParam().first, GetParam().second);
  auto& seat = ring.owner("key");
  auto& other = *ring.seats[&seat == ring.seats[0].get() ? 1 : 0];
  protocol::Pool pool(seat.host.node.budget());
  protocol::Session here(seat.host.node, pool, {});
  protocol::Session there(other.host.node, pool, {});
  const std::string_view requests =
      "PING\r\n*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n"
      "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n"
      "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n*2\r\n$3\r\nGET\r\n$2\r\nno\r\n";
  const auto talk = [&] {
    for (auto* session : {&here, &there}) {
      session->receive(std::as_bytes(std::span(requests)));
      while (session->has_output()) session->sent(session->output().size());
    }
  };
  for (int i = 0; i < 4; ++i) talk();
  const auto before = allocations();
  for (int i = 0; i < 100; ++i) talk();
  EXPECT_EQ(allocations(), before);
  EXPECT_GT(seat.host.surroundings.total("cmd.get"), 100u);
}

INSTANTIATE_TEST_SUITE_P(
    All, ARequestOnARing,
    testing::Values(std::pair(dht::Placement::slots, Redirect::hop),
                    std::pair(dht::Placement::slots, Redirect::owner),
                    std::pair(dht::Placement::sha1, Redirect::hop),
                    std::pair(dht::Placement::sha1, Redirect::owner)));

INSTANTIATE_TEST_SUITE_P(Placements, OnARing,
                         testing::Values(dht::Placement::slots,
                                         dht::Placement::sha1),
                         [](const auto& info) {
                           return info.param == dht::Placement::slots ? "slots"
                                                                      : "sha1";
                         });

// ---- several keys

const std::string crossslot =
    "-CROSSSLOT Keys in request don't hash to the same slot\r\n";

TEST(SeveralKeys, HaveToBeOfOneSlot) {
  Ring ring(4);
  auto& here = ring.owner("{tag}1");
  EXPECT_EQ(here.asker.ask({"set", "{tag}1", "v"}), "+OK\r\n");
  EXPECT_EQ(here.asker.ask({"exists", "{tag}1", "{tag}2", "{tag}1"}), ":2\r\n");
  EXPECT_EQ(here.asker.ask({"del", "{tag}1", "foo"}), crossslot);
  EXPECT_EQ(here.asker.ask({"del", "foo", "bar"}), crossslot);
  EXPECT_EQ(here.asker.ask({"exists", "{tag}1"}), ":1\r\n");
  for (auto& seat : ring.seats)
    if (seat.get() != &here) {
      EXPECT_TRUE(
          seat->asker.ask({"del", "{tag}1", "{tag}2"}).starts_with("-MOVED "));
    }
}

// Two keys never have one identifier by SHA-1: it is enough to be of one node.
TEST(SeveralKeys, BySha1HaveToBeOfOneNode) {
  Ring ring(4, dht::Placement::sha1);
  auto& here = *ring.seats[0];
  std::string ours[2], others;
  for (int i = 0; others.empty() || ours[1].empty(); ++i) {
    const auto key = std::to_string(i);
    if (&ring.owner(key) != &here)
      others = key;
    else
      ours[ours[0].empty() ? 0 : 1] = key;
  }
  EXPECT_EQ(here.asker.ask({"exists", ours[0], ours[1]}), ":0\r\n");
  EXPECT_EQ(here.asker.ask({"exists", ours[0], others}), crossslot);
  EXPECT_EQ(here.asker.ask({"exists", others, ours[0]}), crossslot);
  EXPECT_TRUE(
      here.asker.ask({"exists", others, others}).starts_with("-MOVED "));
}

TEST(SeveralKeys, AreFreeWithoutARing) {
  Conversation alone;
  EXPECT_EQ(alone.ask({"exists", "foo", "bar"}), ":0\r\n");
}

// ---- an overlay that knows no way

struct Lost : testing::Test {
  static node::Setup setup(const dht::Overlay& overlay) {
    auto setup = Host::setup();
    setup.overlay = &overlay;
    return setup;
  }
  const dht::Member self{id_at(1), "127.0.0.1:7000"};
  const dht::Member next{id_at(2), "[::1]:7001"};
  FixedOverlay overlay{self};
  Conversation client{setup(overlay)};
};

TEST_F(Lost, AnAddressOfIPv6IsSentWithoutBrackets) {
  overlay.hop = {dht::Hop::Kind::forward, &next, "test"};
  EXPECT_EQ(client.ask({"get", "foo"}), "-MOVED 12182 ::1:7001\r\n");
}

TEST_F(Lost, AStepThatIsNotNearerIsNotTaken) {
  overlay.hop = {dht::Hop::Kind::forward, &next, "test"};
  overlay.is_nearer = false;
  EXPECT_EQ(client.ask({"get", "foo"}),
            "-CLUSTERDOWN Hash slot not served\r\n");
  EXPECT_EQ(client.ask({"dht.next", "foo"}),
            "-CLUSTERDOWN Hash slot not served\r\n");
}

// Strict progress holds for owners, too: who is not nearer is not named, and
// the overlay's own step is.
struct LostOwner : testing::Test {
  static node::Setup setup(FixedOverlay& overlay,
                           std::vector<dht::Range> ranges) {
    overlay.all_ranges = std::move(ranges);
    auto setup = Lost::setup(overlay);
    setup.redirect = Redirect::owner;
    return setup;
  }
  // The answer to a command on foo, whose identifier begins with 0xbe58.
  std::string ask(std::vector<dht::Range> ranges) {
    Conversation client(setup(overlay, std::move(ranges)));
    return client.ask({"get", "foo"});
  }
  const dht::Member self{id_at(1), "127.0.0.1:7000"};
  const dht::Member next{id_at(2), "127.0.0.1:7001"};
  const dht::Member owner{id_at(3), "127.0.0.1:7002"};
  FixedOverlay overlay{self};
};

TEST_F(LostOwner, IsFoundInTheListWhereverItBegins) {
  overlay.hop = {dht::Hop::Kind::forward, &next, "test"};
  const std::string named = "-MOVED 12182 127.0.0.1:7002\r\n";
  const std::string stepped = "-MOVED 12182 127.0.0.1:7001\r\n";
  EXPECT_EQ(ask({{id_at(0x10), id_at(0xff), &owner},
                 {id_at(0xff), id_at(0x10), &next}}),
            named);
  EXPECT_EQ(ask({{id_at(0x20), id_at(0x10), &owner},
                 {id_at(0x10), id_at(0x20), &next}}),
            named);
  // A list that has gaps, and none at all.
  EXPECT_EQ(ask({{id_at(0x10), id_at(0x20), &owner}}), stepped);
  EXPECT_EQ(ask({{id_at(0xc0), id_at(0xd0), &owner}}), stepped);
  EXPECT_EQ(ask({}), stepped);
}

TEST_F(LostOwner, IsNotNamedIfThatIsNoProgress) {
  overlay.hop = {dht::Hop::Kind::forward, &next, "test"};
  overlay.is_nearer = false;
  EXPECT_EQ(ask({{id_at(0x20), id_at(0x10), &owner}}),
            "-CLUSTERDOWN Hash slot not served\r\n");
}

TEST_F(Lost, NoStepIsSaid) {
  EXPECT_EQ(client.ask({"get", "foo"}),
            "-CLUSTERDOWN Hash slot not served\r\n");
  EXPECT_EQ(client.ask({"dht.owner", "foo"}),
            "-CLUSTERDOWN Hash slot not served\r\n");
  EXPECT_EQ(client.ask({"cluster", "slots"}), "*0\r\n");
  EXPECT_TRUE(client.ask({"cluster", "info"}).find("cluster_state:fail\r\n") !=
              std::string::npos);
}

}  // namespace
}  // namespace node
