#include "dht/chord.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>

#include "tests/tools/allocations.hpp"

namespace {

using dht::Chord;
using dht::Hop;
using dht::Id;
using dht::Member;
using dht::Routing;
using Numbers = std::vector<unsigned>;

// The ring of the papers' figures (ToN 2003, figures 2 to 7), m = 6.
const Numbers paper{1, 8, 14, 21, 32, 38, 42, 48, 51, 56};
const Numbers paper_with_26{1, 8, 14, 21, 26, 32, 38, 42, 48, 51, 56};

Member member(unsigned number) {
  return {dht::id_from(number), "N" + std::to_string(number)};
}

std::vector<Member> members(const Numbers& numbers) {
  std::vector<Member> all;
  for (unsigned number : numbers) all.push_back(member(number));
  return all;
}

unsigned number(const Member& member) {
  return static_cast<unsigned>(std::stoul(member.address.substr(1)));
}

// All nodes of a ring, each with its own overlay.
class Ring {
 public:
  Ring(dht::Space space, const std::vector<Member>& members,
       Routing routing = Routing::fingers) {
    for (const Member& self : members)
      nodes_.push_back(
          std::make_unique<Chord>(space, members, self.id, routing));
    for (const auto& node : nodes_) pointers_.push_back(node.get());
  }
  Ring(unsigned bits, const Numbers& numbers,
       Routing routing = Routing::fingers)
      : Ring(dht::Space{bits}, members(numbers), routing) {}

  const Chord& at(unsigned number) const {
    for (const Chord* node : pointers_)
      if (node->self().id == dht::id_from(number)) return *node;
    throw std::out_of_range("no such node");
  }
  std::span<const Chord* const> nodes() const { return pointers_; }

  Numbers fingers(unsigned node) const {
    Numbers all;
    for (const dht::TableRow& row : at(node).table())
      if (row.rule.starts_with("finger")) all.push_back(number(row.member));
    return all;
  }
  Numbers path(unsigned from, unsigned key) const {
    Numbers all;
    for (const Member& hop :
         dht::route(pointers_, dht::id_from(from), dht::id_from(key)))
      all.push_back(number(hop));
    return all;
  }
  unsigned owner(unsigned key) const {
    return number(pointers_.front()->owner_of(dht::id_from(key)));
  }

 private:
  std::vector<std::unique_ptr<Chord>> nodes_;
  std::vector<const Chord*> pointers_;
};

TEST(ChordPaper, C1KeysBelongToTheirSuccessor) {
  const Ring ring(6, paper);
  const std::pair<unsigned, unsigned> figure[] = {{10, 14}, {24, 32}, {30, 32},
                                                  {38, 38}, {54, 56}, {57, 1},
                                                  {0, 1},   {63, 1},  {1, 1}};
  for (const auto& [key, owner] : figure) {
    EXPECT_EQ(ring.owner(key), owner) << key;
    for (const Chord* node : ring.nodes())
      EXPECT_EQ(node->owns(dht::id_from(key)), number(node->self()) == owner);
  }
}

TEST(ChordPaper, C2FingerTables) {
  const Ring ring(6, paper);
  EXPECT_EQ(ring.fingers(1), (Numbers{8, 8, 8, 14, 21, 38}));
  EXPECT_EQ(ring.fingers(8), (Numbers{14, 14, 14, 21, 32, 42}));
  EXPECT_EQ(ring.fingers(14), (Numbers{21, 21, 21, 32, 32, 48}));
  EXPECT_EQ(ring.fingers(21), (Numbers{32, 32, 32, 32, 38, 56}));
  EXPECT_EQ(ring.fingers(32), (Numbers{38, 38, 38, 42, 48, 1}));
  EXPECT_EQ(ring.fingers(38), (Numbers{42, 42, 42, 48, 56, 8}));
  EXPECT_EQ(ring.fingers(42), (Numbers{48, 48, 48, 51, 1, 14}));
  EXPECT_EQ(ring.fingers(48), (Numbers{51, 51, 56, 56, 1, 21}));
  EXPECT_EQ(ring.fingers(51), (Numbers{56, 56, 56, 1, 8, 21}));
  EXPECT_EQ(ring.fingers(56), (Numbers{1, 1, 1, 1, 8, 32}));
}

TEST(ChordPaper, C2StartsOfFingersAndTheRestOfTheTable) {
  const Ring ring(6, paper);
  const Chord& eight = ring.at(8);
  const auto rows = eight.table();
  ASSERT_EQ(rows.size(), 8U);
  EXPECT_EQ(rows[0].rule, "predecessor");
  EXPECT_EQ(rows[0].member, member(1));
  EXPECT_EQ(rows[1].rule, "successor");
  EXPECT_EQ(rows[1].member, member(14));
  const Numbers starts{9, 10, 12, 16, 24, 40};
  for (unsigned i = 1; i <= 6; ++i) {
    EXPECT_EQ(rows[i + 1].rule, "finger " + std::to_string(i));
    EXPECT_EQ(rows[i + 1].start, dht::to_hex(dht::id_from(starts[i - 1])));
    EXPECT_EQ(rows[i + 1].member, eight.finger(i));
  }
  EXPECT_EQ(eight.finger(1), eight.successor());
}

TEST(ChordPaper, C3LookupBySuccessors) {
  const Ring ring(6, paper, Routing::successors);
  EXPECT_EQ(ring.path(8, 54), (Numbers{8, 14, 21, 32, 38, 42, 48, 51, 56}));
}

TEST(ChordPaper, C4LookupByFingers) {
  const Ring ring(6, paper);
  EXPECT_EQ(ring.path(8, 54), (Numbers{8, 42, 51, 56}));
  EXPECT_EQ(ring.path(8, 34), (Numbers{8, 32, 38}));
  const Numbers table = ring.fingers(8);
  EXPECT_EQ(std::ranges::count(table, 38U), 0);
}

TEST(ChordPaper, C4EachStepSaysWhichRuleChose) {
  const Ring ring(6, paper);
  const Id key = dht::id_from(54);
  const Hop first = ring.at(8).next_hop(key, 0);
  EXPECT_EQ(first.kind, Hop::Kind::forward);
  EXPECT_EQ(*first.next, member(42));
  EXPECT_EQ(first.rule, "finger 6");
  const Hop second = ring.at(42).next_hop(key, 1);
  EXPECT_EQ(*second.next, member(51));
  EXPECT_EQ(second.rule, "finger 4");
  const Hop third = ring.at(51).next_hop(key, 2);
  EXPECT_EQ(*third.next, member(56));
  EXPECT_EQ(third.rule, "successor");
  const Hop last = ring.at(56).next_hop(key, 3);
  EXPECT_EQ(last.kind, Hop::Kind::here);
  EXPECT_EQ(last.next, nullptr);
  EXPECT_EQ(last.rule, "owner");
}

TEST(ChordPaper, C5TwentySixTakesItsKeysFromThirtyTwo) {
  const Ring before(6, paper), after(6, paper_with_26);
  for (unsigned key = 0; key < 64; ++key) {
    const bool moves = key > 21 && key <= 26;
    EXPECT_EQ(before.owner(key) != after.owner(key), moves) << key;
    if (moves) {
      EXPECT_EQ(before.owner(key), 32U);
      EXPECT_EQ(after.owner(key), 26U);
    }
  }
  EXPECT_EQ(after.owner(24), 26U);
  for (unsigned key : {10, 30, 38, 54})
    EXPECT_EQ(after.owner(key), before.owner(key));
}

TEST(ChordPaper, C5FingersWithTwentySix) {
  const Ring ring(6, paper_with_26);
  EXPECT_EQ(ring.fingers(26), (Numbers{32, 32, 32, 38, 42, 1}));
  EXPECT_EQ(ring.fingers(21), (Numbers{26, 26, 26, 32, 38, 56}));
  EXPECT_EQ(ring.fingers(8), (Numbers{14, 14, 14, 21, 26, 42}));
  EXPECT_EQ(number(ring.at(32).predecessor()), 26U);
  EXPECT_EQ(number(ring.at(21).successor()), 26U);
}

TEST(ChordPaper, C6ALeavingNodesKeysGoToItsSuccessorAndNoOthersMove) {
  for (unsigned leaver : paper_with_26) {
    Numbers rest = paper_with_26;
    std::erase(rest, leaver);
    const Ring before(6, paper_with_26), after(6, rest);
    const unsigned heir = number(before.at(leaver).successor());
    for (unsigned key = 0; key < 64; ++key)
      EXPECT_EQ(after.owner(key),
                before.owner(key) == leaver ? heir : before.owner(key))
          << leaver << " leaves, key " << key;
  }
}

TEST(ChordPaper, C11TheSmallRingOfSigcomm) {
  const Ring ring(3, {0, 1, 3});
  EXPECT_EQ(ring.fingers(0), (Numbers{1, 3, 0}));
  EXPECT_EQ(ring.fingers(1), (Numbers{3, 3, 0}));
  EXPECT_EQ(ring.fingers(3), (Numbers{0, 0, 0}));
  EXPECT_EQ(ring.owner(1), 1U);
  EXPECT_EQ(ring.owner(2), 3U);
  EXPECT_EQ(ring.owner(6), 0U);
}

// Every ring there is in a space of up to three bits.
TEST(ChordExhaustive, SmallRingsRouteEveryKeyFromEveryNode) {
  for (unsigned bits : {1U, 2U, 3U})
    for (unsigned set = 1; set < 1U << (1U << bits); ++set) {
      Numbers numbers;
      for (unsigned n = 0; n < 1U << bits; ++n)
        if ((set >> n & 1) != 0) numbers.push_back(n);
      for (Routing routing : {Routing::fingers, Routing::successors}) {
        const Ring ring(bits, numbers, routing);
        for (unsigned key = 0; key < 1U << bits; ++key) {
          unsigned owner = key;
          while ((set >> owner & 1) == 0) owner = (owner + 1) % (1U << bits);
          ASSERT_EQ(ring.owner(key), owner);
          for (unsigned from : numbers) {
            const Numbers path = ring.path(from, key);
            ASSERT_EQ(path.front(), from);
            ASSERT_EQ(path.back(), owner);
            ASSERT_LE(path.size(), numbers.size());
          }
        }
      }
    }
}

TEST(Chord, OfOneOwnsEverything) {
  for (Routing routing : {Routing::fingers, Routing::successors}) {
    const Chord alone(dht::Space{6}, members({21}), dht::id_from(21), routing);
    EXPECT_STREQ(alone.name(), "chord");
    EXPECT_EQ(alone.successor(), member(21));
    EXPECT_EQ(alone.predecessor(), member(21));
    for (unsigned key = 0; key < 64; ++key) {
      EXPECT_TRUE(alone.owns(dht::id_from(key)));
      EXPECT_EQ(alone.next_hop(dht::id_from(key), 0).kind, Hop::Kind::here);
      EXPECT_EQ(alone.owner_of(dht::id_from(key)), member(21));
    }
    const auto ranges = alone.ranges();
    ASSERT_EQ(ranges.size(), 1U);
    EXPECT_EQ(ranges[0].after, dht::id_from(21));
    EXPECT_EQ(ranges[0].upto, dht::id_from(21));
    EXPECT_EQ(alone.table().size(), 8U);
  }
}

TEST(Member, IsItsIdentifierAndItsAddress) {
  EXPECT_EQ(member(8), member(8));
  EXPECT_NE(member(8), member(14));
  EXPECT_NE(member(8), (Member{dht::id_from(8), "N14"}));
}

TEST(Chord, RangesAreTheRingInOrder) {
  const Chord node(dht::Space{6}, members({51, 8, 32}), dht::id_from(32));
  const auto ranges = node.ranges();
  ASSERT_EQ(ranges.size(), 3U);
  const unsigned expected[3][2] = {{51, 8}, {8, 32}, {32, 51}};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(ranges[i].after, dht::id_from(expected[i][0]));
    EXPECT_EQ(ranges[i].upto, dht::id_from(expected[i][1]));
    EXPECT_EQ(*ranges[i].owner, member(expected[i][1]));
  }
}

TEST(Chord, RefusesAListThatIsNoRing) {
  const auto make = [](unsigned bits, const Numbers& numbers, unsigned self) {
    return Chord(dht::Space{bits}, members(numbers), dht::id_from(self));
  };
  EXPECT_THROW(make(6, {}, 1), std::invalid_argument);
  EXPECT_THROW(make(6, {1, 8}, 14), std::invalid_argument);
  EXPECT_THROW(make(6, {1, 8}, 2), std::invalid_argument);
  EXPECT_THROW(make(6, {1, 8, 1}, 8), std::invalid_argument);
  EXPECT_THROW(make(6, {1, 64}, 1), std::invalid_argument);
  EXPECT_THROW(make(0, {0}, 0), std::invalid_argument);
  EXPECT_THROW(make(161, {0}, 0), std::invalid_argument);
  EXPECT_NO_THROW(make(160, {1, 64}, 1));
}

TEST(Chord, RouteNamesTheNodeThatIsMissing) {
  const Ring ring(6, paper);
  EXPECT_THROW(dht::route(ring.nodes(), dht::id_from(9), dht::id_from(54)),
               std::invalid_argument);
  EXPECT_THROW(
      dht::route(ring.nodes().first(6), dht::id_from(8), dht::id_from(54)),
      std::invalid_argument);
}

// --- rings of 160 bits at random -------------------------------------------

Id random_id(std::mt19937_64& random) {
  Id id;
  for (std::uint8_t& byte : id.bytes)
    byte = static_cast<std::uint8_t>(random());
  return id;
}

std::vector<Member> random_members(std::mt19937_64& random, std::size_t count) {
  std::vector<Member> all;
  for (std::size_t i = 0; i < count; ++i)
    all.push_back({random_id(random), "N" + std::to_string(i)});
  return all;
}

// Keys at random, and those at and beside the nodes, where mistakes live.
std::vector<Id> telling_keys(std::mt19937_64& random,
                             const std::vector<Member>& members) {
  std::vector<Id> keys{Id{}, dht::from_hex(std::string(40, 'f')).value()};
  for (const Member& member : members) {
    keys.push_back(member.id);
    Id beside = member.id;
    ++beside.bytes.back();  // wraps within the byte: still a neighbour
    keys.push_back(beside);
    beside.bytes.back() = static_cast<std::uint8_t>(beside.bytes.back() - 2);
    keys.push_back(beside);
  }
  for (int i = 0; i < 200; ++i) keys.push_back(random_id(random));
  return keys;
}

TEST(ChordProperty, EveryKeyHasExactlyOneOwner) {
  std::mt19937_64 random(1);
  for (std::size_t count : {1, 2, 3, 5, 16, 64}) {
    const auto all = random_members(random, count);
    const Ring ring(dht::Space{}, all);
    for (const Id& key : telling_keys(random, all)) {
      std::size_t owners = 0;
      for (const Chord* node : ring.nodes()) {
        owners += node->owns(key) ? 1 : 0;
        EXPECT_EQ(node->owns(key), node->owner_of(key) == node->self());
        EXPECT_EQ(node->owns(key),
                  node->next_hop(key, 0).kind == Hop::Kind::here);
      }
      EXPECT_EQ(owners, 1U);
      std::size_t ranges = 0;
      for (const dht::Range& range : ring.nodes().front()->ranges())
        if (dht::in_half_open(range.after, key, range.upto)) {
          ++ranges;
          EXPECT_EQ(*range.owner, ring.nodes().front()->owner_of(key));
        }
      EXPECT_EQ(ranges, 1U);
    }
  }
}

TEST(ChordProperty, EveryHopIsStrictlyNearerAndNeverOurselves) {
  std::mt19937_64 random(2);
  for (Routing routing : {Routing::fingers, Routing::successors})
    for (std::size_t count : {2, 3, 7, 32}) {
      const auto all = random_members(random, count);
      const Ring ring(dht::Space{}, all, routing);
      for (const Id& key : telling_keys(random, all))
        for (const Chord* node : ring.nodes()) {
          const Hop hop = node->next_hop(key, 0);
          if (hop.kind == Hop::Kind::here) continue;
          ASSERT_NE(hop.next, nullptr);
          ASSERT_NE(hop.next->id, node->self().id);
          ASSERT_TRUE(node->nearer(hop.next->id, node->self().id, key));
          ASSERT_FALSE(node->nearer(node->self().id, hop.next->id, key));
        }
    }
}

// "Nearer" by the definition: fewer nodes to pass on the way to the owner.
TEST(ChordProperty, NearerCountsTheWayThatIsLeft) {
  const Ring ring(6, paper);
  const auto left = [&](unsigned from, unsigned key) {
    unsigned steps = 0;
    while (from != ring.owner(key)) {
      from = number(ring.at(from).successor());
      ++steps;
    }
    return steps;
  };
  for (unsigned key = 0; key < 64; ++key)
    for (unsigned a : paper)
      for (unsigned b : paper)
        EXPECT_EQ(ring.at(8).nearer(dht::id_from(a), dht::id_from(b),
                                    dht::id_from(key)),
                  left(a, key) < left(b, key))
            << a << " than " << b << " to " << key;
}

TEST(ChordProperty, RoutesEndAtTheOwnerWithinLogarithmicallyManyHops) {
  std::mt19937_64 random(3);
  for (std::size_t count : {8, 64, 256}) {
    const auto all = random_members(random, count);
    const Ring ring(dht::Space{}, all);
    std::size_t hops = 0, routes = 0;
    for (int i = 0; i < 2000; ++i) {
      const Id key = random_id(random);
      const Member& from = all[random() % count];
      const auto path = dht::route(ring.nodes(), from.id, key);
      ASSERT_EQ(path.back(), ring.nodes().front()->owner_of(key));
      ASSERT_LE(path.size() - 1, 160U);
      hops += path.size() - 1;
      ++routes;
    }
    // Half of log2 N to the key's predecessor (ToN IV-C), and one to the owner.
    const double mean = static_cast<double>(hops) / static_cast<double>(routes);
    const double log2_n = std::log2(static_cast<double>(count));
    EXPECT_NEAR(mean, log2_n / 2 + 1, 0.5) << count << " nodes";
    EXPECT_LE(mean, log2_n);
  }
}

TEST(ChordProperty, RoutesBySuccessorsPassEveryNodeBetween) {
  std::mt19937_64 random(4);
  const auto all = random_members(random, 32);
  const Ring ring(dht::Space{}, all, Routing::successors);
  for (int i = 0; i < 200; ++i) {
    const Id key = random_id(random);
    const auto path = dht::route(ring.nodes(), all[0].id, key);
    std::set<Id> passed;
    for (const Member& hop : path) passed.insert(hop.id);
    std::size_t between = 1;  // the first is where the way begins
    for (const Member& member : all)
      if (member.id != all[0].id && path.size() > 1 &&
          dht::in_half_open(all[0].id, member.id, path.back().id))
        ++between;
    EXPECT_EQ(passed.size(), path.size());
    EXPECT_EQ(path.size(), between);
  }
}

TEST(Chord, NextHopAllocatesNothing) {
  std::mt19937_64 random(5);
  const auto all = random_members(random, 500);
  const Chord node(dht::Space{}, all, all[7].id);
  const auto keys = telling_keys(random, all);
  std::set<std::string> rules;
  const std::uint64_t before = allocations();
  std::size_t forwarded = 0;
  for (const Id& key : keys)
    if (node.next_hop(key, 0).kind == Hop::Kind::forward) ++forwarded;
  EXPECT_EQ(allocations(), before);
  EXPECT_GT(forwarded, keys.size() / 2);
  for (const Id& key : keys) rules.insert(node.next_hop(key, 0).rule);
  EXPECT_TRUE(rules.contains("finger 160"));
  EXPECT_TRUE(rules.contains("successor"));
  EXPECT_TRUE(rules.contains("owner"));
}

}  // namespace
