// DHT.*: the ring as it is. What other nodes answer is Lookups' matter; here it
// is how commands come to it and back.

#include <gtest/gtest.h>

#include "tests/node/fixed_overlay.hpp"
#include "tests/node/ring.hpp"

namespace node {
namespace {

using Type = protocol::Value::Type;

struct WithoutARing : testing::Test, Conversation {
  const std::string id = dht::to_hex(test_hash("127.0.0.1:7000"));
  const std::string us = bulk(id) + bulk("127.0.0.1:7000");
};

TEST_F(WithoutARing, EverythingIsHere) {
  EXPECT_EQ(ask({"dht.next", "key"}),
            "*4\r\n" + bulk("here") + us + bulk("owner"));
  EXPECT_EQ(ask({"dht.owner", "key"}), "*2\r\n" + us);
  EXPECT_EQ(ask({"DHT.LOOKUP", "key"}),
            "*1\r\n*4\r\n" + us + bulk("start") + ":0\r\n");
  EXPECT_TRUE(ask({"dht.table"})
                  .starts_with("*162\r\n*4\r\n" + bulk("predecessor") +
                               bulk("") + us + "*4\r\n" + bulk("successor") +
                               bulk("") + us + "*4\r\n" + bulk("finger 1")));
  EXPECT_EQ(ask({"dht.mode", "proxy"}), "+OK\r\n");
  EXPECT_EQ(ask({"get", "key"}), "$-1\r\n");
}

TEST_F(WithoutARing, NextTakesAnIdentifierToo) {
  const auto here = "*4\r\n" + bulk("here") + us + bulk("owner");
  EXPECT_EQ(ask({"dht.next", "ID", std::string(40, 'f')}), here);
  EXPECT_EQ(ask({"dht.next", "id", std::string(40, 'A')}), here);
  EXPECT_EQ(ask({"dht.next", "ID"}), here);  // a key of this name
  const std::string bad = "-ERR an identifier has 40 hexadecimal digits\r\n";
  EXPECT_EQ(ask({"dht.next", "id", "abc"}), bad);
  EXPECT_EQ(ask({"dht.next", "id", std::string(40, 'g')}), bad);
  EXPECT_EQ(ask({"dht.next", "key", "other"}), "-ERR syntax error\r\n");
  EXPECT_EQ(ask({"dht.next", "id", std::string(40, 'f'), "x"}),
            "-ERR syntax error\r\n");
}

TEST_F(WithoutARing, ModeTakesTwoWords) {
  EXPECT_EQ(ask({"dht.mode", "PROXY"}), "+OK\r\n");
  EXPECT_TRUE(chosen(asker.session().client())->proxy);
  EXPECT_EQ(ask({"dht.mode", "nosuch"}), "-ERR syntax error\r\n");
  EXPECT_TRUE(chosen(asker.session().client())->proxy);
  EXPECT_EQ(ask({"dht.mode", "redirect"}), "+OK\r\n");
  EXPECT_FALSE(chosen(asker.session().client())->proxy);
}

// ---- on a ring

TEST(DhtCommands, NextIsTheStepOfTheTable) {
  Ring ring(16);
  for (const auto& seat : ring.seats)
    for (int i = 0; i < 50; ++i) {
      const auto key = std::to_string(i);
      const auto hop = seat->chord.next_hop(seat->host.node.place(key), 0);
      const bool here = hop.kind == dht::Hop::Kind::here;
      const auto& at = here ? seat->chord.self() : *hop.next;
      EXPECT_EQ(seat->asker.ask({"dht.next", key}),
                "*4\r\n" + bulk(here ? "here" : "forward") +
                    bulk(dht::to_hex(at.id)) + bulk(at.address) +
                    bulk(hop.rule));
      EXPECT_EQ(seat->asker.ask({"dht.next", "id",
                                 dht::to_hex(seat->host.node.place(key))}),
                seat->asker.ask({"dht.next", key}));
    }
}

TEST(DhtCommands, OwnerIsTheSameFromEveryNode) {
  Ring ring(8);
  for (int i = 0; i < 50; ++i) {
    const auto key = std::to_string(i);
    const auto& owner = ring.owner(key).chord.self();
    for (const auto& seat : ring.seats)
      EXPECT_EQ(seat->asker.ask({"dht.owner", key}),
                "*2\r\n" + bulk(dht::to_hex(owner.id)) + bulk(owner.address));
  }
}

TEST(DhtCommands, TableIsTheOverlays) {
  Ring ring(8);
  auto& seat = *ring.seats[2];
  const auto rows = seat.chord.table();
  const Decoded table(seat.asker.ask({"dht.table"}));
  ASSERT_TRUE(table.all());
  ASSERT_EQ(table->elements.size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto& row = table->elements[i].elements;
    EXPECT_EQ(row.at(0).text, rows[i].rule);
    EXPECT_EQ(row.at(1).text, rows[i].start);
    EXPECT_EQ(row.at(2).text, dht::to_hex(rows[i].member.id));
    EXPECT_EQ(row.at(3).text, rows[i].member.address);
  }
}

const std::string nobody =
    "-ERR this server cannot ask other nodes, it can only redirect to them"
    "\r\n";

// A key of our own, and one of somebody else.
struct Keys {
  explicit Keys(Ring& ring) {
    for (int i = 0; ours.empty() || others.empty(); ++i) {
      const auto key = std::to_string(i);
      (&ring.owner(key) == ring.seats[0].get() ? ours : others) = key;
    }
  }
  std::string ours, others;
};

TEST(DhtCommands, WithoutLookupsOnlyOurOwnKeysAreLookedUp) {
  Ring ring(4);
  const Keys keys(ring);
  auto& asker = ring.seats[0]->asker;
  EXPECT_TRUE(asker.ask({"dht.lookup", keys.ours}).starts_with("*1\r\n"));
  EXPECT_EQ(asker.ask({"dht.lookup", keys.others}), nobody);
  asker.ask({"dht.mode", "proxy"});
  EXPECT_EQ(asker.ask({"set", keys.ours, "v"}), "+OK\r\n");
  EXPECT_EQ(asker.ask({"set", keys.others, "v"}), nobody);
}

/// A node whose lookups can be begun, and end when they are stopped.
struct WithLookups : testing::Test {
  static node::Setup setup(const dht::Chord& chord, Lookups& lookups) {
    auto setup = Seat::setup_for(chord, dht::Placement::slots);
    setup.lookups = &lookups;
    return setup;
  }
  std::string finish() {
    EXPECT_TRUE(client.asker.session().pending());
    lookups.stop();
    EXPECT_EQ(client.asker.postbox.letters.size(), 1u);
    const auto letter = client.asker.postbox.letters.at(0);
    EXPECT_EQ(letter.conversation, 7u);
    return client.asker.deliver(letter.answer);
  }

  Ring ring{4};
  const Keys keys{ring};
  TestPostbox bell;
  Lookups lookups{ring.seats[0]->chord, bell, std::chrono::seconds(1), 1 << 20};
  Conversation client{setup(ring.seats[0]->chord, lookups)};
};

TEST_F(WithLookups, ALookupIsPendingUntilItsLetter) {
  EXPECT_EQ(client.ask({"dht.lookup", keys.others}), "");
  EXPECT_EQ(client.ask({"ping"}), "") << "behind the lookup";
  EXPECT_EQ(lookups.running(), 1u);
  Asker other(client.node);
  EXPECT_NE(other.ask({"info", "clients"}).find("\r\nblocked_clients:1\r\n"),
            std::string::npos);
  const auto answers = finish();
  EXPECT_TRUE(answers.starts_with("-"));
  EXPECT_TRUE(answers.ends_with("\r\n+PONG\r\n"));
  const auto stats = client.ask({"info", "stats"});
  EXPECT_NE(stats.find("\r\nlookups_running:0\r\nlookups_ended:1\r\n"),
            stats.npos);
}

TEST_F(WithLookups, AProxiedCommandIsPendingUntilItsLetter) {
  EXPECT_TRUE(client.ask({"get", keys.others}).starts_with("-MOVED "));
  client.ask({"dht.mode", "proxy"});
  EXPECT_EQ(client.ask({"get", keys.ours}), "$-1\r\n");
  EXPECT_EQ(client.ask({"get", keys.others}), "");
  EXPECT_TRUE(finish().starts_with("-"));
}

TEST_F(WithLookups, AskingGoesBeforeTheMode) {
  client.ask({"dht.mode", "proxy"});
  client.ask({"asking"});
  EXPECT_EQ(client.ask({"set", keys.others, "v"}), "+OK\r\n");
}

}  // namespace
}  // namespace node
