// CLUSTER, taken to pieces as redis-benchmark and the libraries do it.

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "node/commands.hpp"
#include "node/shards.hpp"
#include "tests/node/fixed_overlay.hpp"
#include "tests/node/ring.hpp"

namespace node {
namespace {

using Type = protocol::Value::Type;

// ---- ranges of identifiers as ranges of slots

struct Shards : testing::Test {
  const dht::Member a{id_at(0x10, 1), "127.0.0.1:7000"};
  const dht::Member b{id_at(0x80), "127.0.0.1:7001"};
  FixedOverlay overlay{a};

  std::vector<Slots> slots_of(const dht::Member& member) {
    for (const auto& shard : shards(overlay))
      if (shard.node == &member) return shard.slots;
    return {};
  }
};

TEST_F(Shards, ARangePastTheEndGoesOnAtTheBeginning) {
  overlay.all_ranges = {{b.id, a.id, &a}, {a.id, b.id, &b}};
  // b's own slot begins with b, which is b's; the next one is a's.
  EXPECT_EQ(slots_of(a),
            (std::vector<Slots>{{0, 0x10 << 6}, {(0x80 << 6) + 1, 16383}}));
  EXPECT_EQ(slots_of(b), (std::vector<Slots>{{(0x10 << 6) + 1, 0x80 << 6}}));
}

TEST_F(Shards, OneNodeHasAllSlots) {
  overlay.all_ranges = {{a.id, a.id, &a}};
  EXPECT_EQ(slots_of(a), (std::vector<Slots>{{0, 16383}}));
}

TEST_F(Shards, ANodeCanBeWithoutASlot) {
  const dht::Member c{id_at(0x80, 1), "127.0.0.1:7002"};
  overlay.all_ranges = {{c.id, a.id, &a}, {a.id, b.id, &b}, {b.id, c.id, &c}};
  EXPECT_EQ(slots_of(c), std::vector<Slots>{});
  EXPECT_EQ(shards(overlay).size(), 3u);
  EXPECT_NE(slots_of(a), slots_of(b));
  EXPECT_NE((Slots{1, 2}), (Slots{1, 3}));
  EXPECT_NE((Slots{1, 2}), (Slots{2, 2}));
}

// Two nodes in one slot: the second has nothing, the first the whole circle.
TEST_F(Shards, OfOneSlotMeetAroundTheCircle) {
  const dht::Member c{id_at(0x80, 1), "127.0.0.1:7002"};
  overlay.all_ranges = {{c.id, b.id, &b}, {b.id, c.id, &c}};
  EXPECT_EQ(slots_of(b), (std::vector<Slots>{{0, 16383}}));
}

TEST_F(Shards, TheLastSlotIsNotPassed) {
  const dht::Member last{id_at(0xff, 0xfc), "127.0.0.1:7002"};
  overlay.all_ranges = {{last.id, a.id, &a}, {a.id, last.id, &last}};
  EXPECT_EQ(slots_of(a), (std::vector<Slots>{{0, 0x10 << 6}}));
  EXPECT_EQ(slots_of(last), (std::vector<Slots>{{(0x10 << 6) + 1, 16383}}));
}

TEST_F(Shards, AdjacentRangesOfOneNodeAreOne) {
  overlay.all_ranges = {{id_at(0x20), id_at(0x30), &a},
                        {id_at(0x10), id_at(0x20), &a},
                        {id_at(0x40), id_at(0x50), &a}};
  EXPECT_EQ(slots_of(a),
            (std::vector<Slots>{{0x401, 0xc00}, {0x1001, 0x1400}}));
}

// ---- exactly

struct Exact : Shards {
  Exact() { change({{b.id, a.id, &a}, {a.id, b.id, &b}}); }
  // The ring of a node does not change, so another ring is another node.
  void change(std::vector<dht::Range> ranges) {
    overlay.all_ranges = std::move(ranges);
    auto setup = Host::setup();
    setup.overlay = &overlay;
    client = std::make_unique<Conversation>(setup);
  }
  std::string ask(std::string_view command) {
    return client->ask({"cluster", command});
  }
  const std::string id_a = "1001" + std::string(36, '0');
  const std::string id_b = "8000" + std::string(36, '0');
  std::unique_ptr<Conversation> client;
};

TEST_F(Exact, Slots) {
  const auto node_a = "*3\r\n$9\r\n127.0.0.1\r\n:7000\r\n" + bulk(id_a);
  const auto node_b = "*3\r\n$9\r\n127.0.0.1\r\n:7001\r\n" + bulk(id_b);
  EXPECT_EQ(ask("slots"), "*3\r\n*3\r\n:0\r\n:1024\r\n" + node_a +
                              "*3\r\n:1025\r\n:8192\r\n" + node_b +
                              "*3\r\n:8193\r\n:16383\r\n" + node_a);
}

TEST_F(Exact, Nodes) {
  EXPECT_EQ(
      ask("nodes"),
      bulk(id_a +
           " 127.0.0.1:7000@0 myself,master - 0 0 1 connected 0-1024 "
           "8193-16383\n" +
           id_b + " 127.0.0.1:7001@0 master - 0 0 1 connected 1025-8192\n"));
  change({{id_at(0, 4), id_at(0, 8), &b}});
  EXPECT_EQ(ask("nodes"),
            bulk(id_b + " 127.0.0.1:7001@0 master - 0 0 1 connected 2\n"));
}

TEST_F(Exact, InfoAndMyid) {
  EXPECT_EQ(ask("myid"), bulk(id_a));
  EXPECT_EQ(ask("info"),
            bulk("cluster_state:ok\r\ncluster_slots_assigned:16384\r\n"
                 "cluster_slots_ok:16384\r\ncluster_slots_pfail:0\r\n"
                 "cluster_slots_fail:0\r\ncluster_known_nodes:2\r\n"
                 "cluster_size:2\r\ncluster_current_epoch:1\r\n"
                 "cluster_my_epoch:1\r\ncluster_stats_messages_sent:0\r\n"
                 "cluster_stats_messages_received:0\r\n"));
  client->ask({"hello", "3"});
  EXPECT_NE(ask("info").find("\r\ntxt:cluster_state:ok\r\n"),
            std::string::npos);
  EXPECT_TRUE(ask("nodes").starts_with("="));
}

TEST_F(Exact, ShardsInBothVersions) {
  const auto node = [](const std::string& id, int port) {
    return "$2\r\nid\r\n" + bulk(id) +
           "$4\r\nport\r\n:" + std::to_string(port) +
           "\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$8\r\nendpoint\r\n"
           "$9\r\n127.0.0.1\r\n$4\r\nrole\r\n$6\r\nmaster\r\n"
           "$18\r\nreplication-offset\r\n:0\r\n$6\r\nhealth\r\n"
           "$6\r\nonline\r\n";
  };
  const std::string slots_a =
      "$5\r\nslots\r\n*4\r\n:0\r\n:1024\r\n:8193\r\n:16383\r\n";
  const std::string slots_b = "$5\r\nslots\r\n*2\r\n:1025\r\n:8192\r\n";
  const std::string nodes = "$5\r\nnodes\r\n*1\r\n";
  EXPECT_EQ(ask("shards"), "*2\r\n*4\r\n" + slots_a + nodes + "*14\r\n" +
                               node(id_a, 7000) + "*4\r\n" + slots_b + nodes +
                               "*14\r\n" + node(id_b, 7001));
  client->ask({"hello", "3"});
  EXPECT_EQ(ask("shards"), "*2\r\n%2\r\n" + slots_a + nodes + "%7\r\n" +
                               node(id_a, 7000) + "%2\r\n" + slots_b + nodes +
                               "%7\r\n" + node(id_b, 7001));
}

TEST_F(Exact, InfoTellsNodesWithoutASlot) {
  const dht::Member c{id_at(0x80, 1), "127.0.0.1:7002"};
  change({{c.id, a.id, &a}, {a.id, b.id, &b}, {b.id, c.id, &c}});
  const auto text = ask("info");
  EXPECT_NE(text.find("cluster_known_nodes:3\r\ncluster_size:2\r\n"),
            text.npos);
  EXPECT_NE(text.find("cluster_state:ok\r\n"), text.npos);
}

// ---- written once

/// Counts how often the ring is asked for its ranges.
class CountingOverlay final : public dht::Overlay {
 public:
  explicit CountingOverlay(const dht::Overlay& real) : real_(real) {}
  const char* name() const override { return real_.name(); }
  const dht::Member& self() const override { return real_.self(); }
  bool owns(const dht::Id& key) const override { return real_.owns(key); }
  dht::Hop next_hop(const dht::Id& key, unsigned level) const override {
    return real_.next_hop(key, level);
  }
  bool nearer(const dht::Id& next, const dht::Id& than,
              const dht::Id& key) const override {
    return real_.nearer(next, than, key);
  }
  std::vector<dht::Range> ranges() const override {
    ++asked;
    return real_.ranges();
  }
  std::vector<dht::TableRow> table() const override {
    ++asked;
    return real_.table();
  }
  mutable std::size_t asked = 0;

 private:
  const dht::Overlay& real_;
};

// In a ring of 2 000 nodes it would take ten milliseconds to put an answer
// together, in which nobody else is served.
TEST(Constants, AreNotPutTogetherAgainHoweverLargeTheRing) {
  const auto members = test_members(300);
  const dht::Chord chord({}, members, members[7].id);
  const CountingOverlay overlay(chord);
  auto setup = Host::setup();
  setup.overlay = &overlay;
  Conversation client(setup);
  const auto asked = overlay.asked;
  for (const auto* version : {"2", "3"}) {
    client.ask({"hello", version});
    for (const auto* what : {"info", "nodes", "shards", "slots"})
      EXPECT_EQ(client.ask({"cluster", what}), client.ask({"cluster", what}));
    EXPECT_FALSE(client.ask({"dht.table"}).empty());
    EXPECT_FALSE(client.ask({"dht.owner", "key"}).empty());
  }
  EXPECT_EQ(overlay.asked, asked);
}

TEST(Constants, AreTheSameBytesInTheirVersion) {
  Conversation client;
  for (const auto* version : {"2", "3", "2"}) {
    client.ask({"hello", version});
    for (const auto& row : table.commands()) {
      const auto bar = row.name.find('|');
      if (!row.cost.constant) continue;
      std::vector<std::string_view> words = {row.name.substr(0, bar)};
      if (bar != row.name.npos) words.push_back(row.name.substr(bar + 1));
      protocol::StringSink sink;
      protocol::Client nobody;
      nobody.version = static_cast<std::int8_t>(*version - '0');
      protocol::Reply reply(sink, nobody, {});
      row.answer({client.node, words, reply});
      EXPECT_EQ(client.asker.ask(words), sink.text) << row.name;
    }
  }
}

TEST(OwnersOfKeys, AreThoseOfTheRing) {
  const auto members = test_members(50);
  const dht::Chord chord({}, members, members[7].id);
  const Owners owners(chord);
  for (int i = 0; i < 1000; ++i) {
    const auto key = test_hash(std::to_string(i));
    ASSERT_TRUE(owners.of(key));
    EXPECT_EQ(*owners.of(key), chord.owner_of(key));
  }
  for (const auto& member : members) EXPECT_EQ(*owners.of(member.id), member);
}

TEST_F(Shards, KeysOfNobodyHaveNoOwner) {
  EXPECT_EQ(Owners(overlay).of(a.id), nullptr);
  overlay.all_ranges = {{id_at(0x20), id_at(0x30), &a}};
  EXPECT_EQ(Owners(overlay).of(id_at(0x25)), &a);
  EXPECT_EQ(Owners(overlay).of(id_at(0x20)), nullptr);
  EXPECT_EQ(Owners(overlay).of(id_at(0x31)), nullptr);
}

// ---- as clients read them

// redis-benchmark's fetchClusterConfiguration: eight fields, then the slots.
std::map<std::string, std::set<int>> read_nodes(const std::string& text,
                                                std::string& myself) {
  std::map<std::string, std::set<int>> result;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string name, address, flags, master, ping, pong, epoch, link;
    fields >> name >> address >> flags >> master >> ping >> pong >> epoch >>
        link;
    EXPECT_EQ(name.size(), 40u);
    EXPECT_NE(address.find('@'), address.npos);
    EXPECT_EQ(master, "-");
    EXPECT_EQ(link, "connected");
    if (flags.find("myself") != flags.npos) {
      EXPECT_EQ(myself, "") << "twice";
      myself = name;
    }
    auto& slots = result[name];
    for (std::string range; fields >> range;) {
      const auto dash = range.find('-');
      const int from = std::stoi(range);
      const int upto =
          dash == range.npos ? from : std::stoi(range.substr(dash + 1));
      for (int slot = from; slot <= upto; ++slot) slots.insert(slot);
    }
  }
  return result;
}

TEST(ClusterClients, ReadOneMapFromEveryNode) {
  Ring ring(5);
  for (const auto& seat : ring.seats) {
    std::string myself;
    const Decoded nodes(seat->asker.ask({"cluster", "nodes"}));
    const auto map = read_nodes(std::string(nodes->text), myself);
    EXPECT_EQ(myself, dht::to_hex(seat->chord.self().id));
    EXPECT_EQ(map.size(), 5u);
    std::size_t slots = 0;
    for (const auto& [name, owned] : map) slots += owned.size();
    EXPECT_EQ(slots, 16384u);
    const Decoded ranges(seat->asker.ask({"cluster", "slots"}));
    ASSERT_TRUE(ranges.all());
    for (const auto& range : ranges->elements)
      for (auto slot = range.elements[0].integer;
           slot <= range.elements[1].integer; ++slot)
        EXPECT_TRUE(map.at(std::string(range.elements[2].elements[2].text))
                        .contains(static_cast<int>(slot)));
  }
}

// With the map in its hands a client never sees a redirect.
TEST(ClusterClients, FindEveryKeyByTheMap) {
  Ring ring(16);
  const Decoded ranges(ring.seats[3]->asker.ask({"cluster", "slots"}));
  for (int i = 0; i < 500; ++i) {
    const auto key = "key:" + std::to_string(i);
    const auto slot = dht::slot_of(key);
    const auto range =
        std::ranges::find_if(ranges->elements, [&](const auto& one) {
          return one.elements[0].integer <= slot &&
                 slot <= one.elements[1].integer;
        });
    ASSERT_NE(range, ranges->elements.end());
    const auto& at = range->elements[2].elements;
    auto& seat =
        ring.at(std::string(at[0].text) + ":" + std::to_string(at[1].integer));
    EXPECT_EQ(seat.asker.ask({"set", key, "v"}), "+OK\r\n");
  }
}

// ---- keys and slots

struct KeySlots : testing::Test, Conversation {};

TEST_F(KeySlots, AreRedissOwn) {
  const std::pair<std::string_view, int> goldens[] = {
      {"foo", 12182}, {"bar", 5061},        {"hello", 866},
      {"x", 16287},   {"123456789", 12739}, {"{user1000}.following", 3443},
      {"", 0}};
  for (const auto& [key, slot] : goldens)
    EXPECT_EQ(ask({"cluster", "keyslot", key}),
              ":" + std::to_string(slot) + "\r\n");
}

// However keys came and went, as many are in each slot as a scan would find.
TEST(CountKeysInSlot, IsWhatAScanWouldFind) {
  for (const auto placement : {dht::Placement::slots, dht::Placement::sha1}) {
    Ring ring(1, placement);
    Seat& seat = *ring.seats[0];
    std::set<std::string> keys;
    for (unsigned i = 0; i < 3000; ++i) {
      const auto key =
          "{" + std::to_string(i * i % 50) + "}" + std::to_string(i * i % 7);
      if (i == 1500) seat.asker.ask({"flushall"}), keys.clear();
      if (i % 5 == 0) seat.asker.ask({"del", key}), keys.erase(key);
      if (i % 5 != 0) seat.asker.ask({"set", key, "v"}), keys.insert(key);
      if (i % 300 != 299) continue;
      std::map<std::uint16_t, int> counts = {{1, 0}};
      for (const auto& known : keys) ++counts[seat.host.node.slot(known)];
      for (const auto& [slot, count] : counts)
        EXPECT_EQ(seat.asker.ask(
                      {"cluster", "countkeysinslot", std::to_string(slot)}),
                  ":" + std::to_string(count) + "\r\n");
    }
  }
}

TEST_F(KeySlots, OfKeysCanBeCounted) {
  for (const auto* key : {"foo", "{foo}1", "{foo}2", "bar"})
    ask({"set", key, "v"});
  EXPECT_EQ(ask({"cluster", "countkeysinslot", "12182"}), ":3\r\n");
  EXPECT_EQ(ask({"cluster", "countkeysinslot", "5061"}), ":1\r\n");
  EXPECT_EQ(ask({"cluster", "countkeysinslot", "0"}), ":0\r\n");
  EXPECT_EQ(ask({"cluster", "countkeysinslot", "16384"}),
            "-ERR Invalid slot\r\n");
  EXPECT_EQ(ask({"cluster", "countkeysinslot", "-1"}), "-ERR Invalid slot\r\n");
  EXPECT_EQ(ask({"cluster", "countkeysinslot", "x"}),
            "-ERR value is not an integer or out of range\r\n");
}

TEST(KeySlotsBySha1, AreTheTopOfTheIdentifier) {
  auto setup = Host::setup();
  setup.placement = dht::Placement::sha1;
  Conversation client(setup);
  const auto slot = dht::slot_of_id(test_hash("foo"));
  EXPECT_EQ(client.ask({"cluster", "keyslot", "foo"}),
            ":" + std::to_string(slot) + "\r\n");
  client.ask({"set", "foo", "v"});
  EXPECT_EQ(client.ask({"cluster", "countkeysinslot", std::to_string(slot)}),
            ":1\r\n");
}

TEST_F(KeySlots, WithoutARingWeAreARingOfOne) {
  const auto id = dht::to_hex(test_hash("127.0.0.1:7000"));
  EXPECT_EQ(ask({"cluster", "slots"}),
            "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:7000\r\n" +
                bulk(id));
  EXPECT_EQ(ask({"cluster", "myid"}), bulk(id));
  EXPECT_NE(ask({"cluster", "info"}).find("cluster_size:1\r\n"),
            std::string::npos);
}

TEST(Addresses, WithoutAPortHaveThePortZero) {
  auto setup = Host::setup();
  setup.self.address = "/run/node.socket";
  Conversation client(setup);
  const Decoded slots(client.ask({"cluster", "slots"}));
  const auto& at = slots->elements[0].elements[2].elements;
  EXPECT_EQ(at[0].text, "/run/node.socket");
  EXPECT_EQ(at[1].integer, 0);
  setup.self.address = "127.0.0.1:port";
  Conversation other(setup);
  EXPECT_EQ(Decoded(other.ask({"cluster", "slots"}))
                ->elements[0]
                .elements[2]
                .elements[1]
                .integer,
            0);
}

}  // namespace
}  // namespace node
