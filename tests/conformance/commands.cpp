// Every command, to the byte, as a client without a ring sees them.

#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

class Commands : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    if (!IsSkipped() && !HasFailure()) {
      server_ = &start();
      peer_.emplace(server_->connect());
    }
  }
  std::string ask(const std::vector<std::string>& arguments) {
    return peer_->ask(arguments);
  }
  void TearDown() override {
    peer_.reset();
    ServerTest::TearDown();
  }

  Server* server_ = nullptr;
  std::optional<Peer> peer_;
};

TEST_P(Commands, EchoAndPingReturnWhatTheyGet) {
  EXPECT_EQ(ask({"PING"}), pong);
  EXPECT_EQ(ask({"PING", "you there"}), bulk("you there"));
  EXPECT_EQ(ask({"ECHO", "hello"}), bulk("hello"));
  EXPECT_EQ(ask({"ECHO", ""}), bulk(""));
  EXPECT_EQ(ask({"eChO", "Hello"}), bulk("Hello"));
}

// Keys and values are bytes: an end of line or a zero inside means nothing.
TEST_P(Commands, AnyByteMayStandInAKeyAndAValue) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  bytes += "\r\n$3\r\n*1\r\n";
  EXPECT_EQ(ask({"SET", bytes, bytes}), ok);
  EXPECT_EQ(ask({"GET", bytes}), bulk(bytes));
  EXPECT_EQ(ask({"GET", bytes + bytes}), null);
}

TEST_P(Commands, TheStoreKeepsCountsAndForgets) {
  EXPECT_EQ(ask({"DBSIZE"}), integer(0));
  EXPECT_EQ(ask({"GET", "a"}), null);
  EXPECT_EQ(ask({"SET", "a", "1"}), ok);
  EXPECT_EQ(ask({"SET", "b", "2"}), ok);
  EXPECT_EQ(ask({"SET", "a", "longer than before"}), ok);
  EXPECT_EQ(ask({"GET", "a"}), bulk("longer than before"));
  EXPECT_EQ(ask({"EXISTS", "a", "b", "c", "a"}), integer(3));
  EXPECT_EQ(ask({"DBSIZE"}), integer(2));
  EXPECT_EQ(ask({"DEL", "a", "c"}), integer(1));
  EXPECT_EQ(ask({"GET", "a"}), null);
  EXPECT_EQ(ask({"FLUSHALL"}), ok);
  EXPECT_EQ(ask({"DBSIZE"}), integer(0));
}

TEST_P(Commands, WhatASavedKeyHoldsIsTheSameForEveryPeer) {
  EXPECT_EQ(ask({"SET", "shared", "by all"}), ok);
  peer_.reset();
  EXPECT_EQ(server_->ask({"GET", "shared"}), bulk("by all"));
}

TEST_P(Commands, MistakesAreAnsweredInRedissWords) {
  EXPECT_EQ(ask({"GET"}),
            "-ERR wrong number of arguments for 'get' command\r\n");
  EXPECT_EQ(ask({"ECHO", "a", "b"}),
            "-ERR wrong number of arguments for 'echo' command\r\n");
  EXPECT_EQ(ask({"NoSuch", "a", "b"}),
            "-ERR unknown command 'NoSuch', with args beginning with: "
            "'a' 'b' \r\n");
  EXPECT_EQ(ask({"SELECT", "0"}), ok);
  EXPECT_TRUE(ask({"SELECT", "99"}).starts_with("-ERR "));
  EXPECT_TRUE(ask({"SELECT", "x"}).starts_with("-ERR "));
  // A mistake of this kind does not end the conversation.
  EXPECT_EQ(ask({"PING"}), pong);
}

TEST_P(Commands, InlineRequestsAreTakenToo) {
  peer_->send("PING\r\n\r\nSET key \"a b\\x41\\n\"\r\nGET 'key'\necho  x \r\n");
  EXPECT_EQ(peer_->frame(), pong);
  EXPECT_EQ(peer_->frame(), ok);
  EXPECT_EQ(peer_->frame(), bulk("a bA\n"));
  EXPECT_EQ(peer_->frame(), bulk("x"));
}

TEST_P(Commands, HelloChoosesTheVersion) {
  EXPECT_TRUE(ask({"HELLO"}).starts_with("*"));
  EXPECT_TRUE(ask({"HELLO", "9"}).starts_with("-NOPROTO "));
  EXPECT_EQ(ask({"GET", "missing"}), null);
  const Reply hello = decode(ask({"HELLO", "3"}));
  EXPECT_EQ(hello.type, '%');
  std::map<std::string, std::string> fields;
  for (std::size_t i = 0; i + 1 < hello.items.size(); i += 2)
    fields[hello.items[i].text] = hello.items[i + 1].text;
  EXPECT_EQ(fields["proto"], "3");
  EXPECT_TRUE(fields.contains("server") && fields.contains("version"));
  EXPECT_EQ(ask({"GET", "missing"}), "_\r\n");
  EXPECT_TRUE(ask({"HELLO", "2"}).starts_with("*"));
  EXPECT_EQ(ask({"GET", "missing"}), null);
}

TEST_P(Commands, APeerHasANameAndANumber) {
  EXPECT_EQ(ask({"CLIENT", "GETNAME"}), null);
  EXPECT_EQ(ask({"CLIENT", "SETNAME", "alice"}), ok);
  EXPECT_EQ(ask({"CLIENT", "GETNAME"}), bulk("alice"));
  EXPECT_EQ(ask({"CLIENT", "SETINFO", "LIB-NAME", "suite"}), ok);
  const std::string own = ask({"CLIENT", "ID"});
  EXPECT_EQ(ask({"CLIENT", "ID"}), own);
  EXPECT_TRUE(ask({"CLIENT", "NOSUCH"}).starts_with("-ERR "));
  peer_.reset();
  const std::string other = server_->ask({"CLIENT", "ID"});
  EXPECT_EQ(decode(other).type, ':');
  EXPECT_NE(other, own);
}

TEST_P(Commands, TheCommandTableDescribesItself) {
  const auto count =
      number_of(decode(ask({"COMMAND", "COUNT"})).text, "COMMAND COUNT");
  const Reply table = decode(ask({"COMMAND"}));
  EXPECT_EQ(table.items.size(), count);
  EXPECT_GE(count, 20u);
  bool has_get = false;
  for (const Reply& row : table.items) {
    ASSERT_GE(row.items.size(), 6u);
    if (row.items[0].text != "get") continue;
    has_get = true;
    EXPECT_EQ(row.items[1].text, "2");  // arity, its own name included
    EXPECT_EQ(row.items[3].text, "1");  // where its first key stands
  }
  EXPECT_TRUE(has_get);
  EXPECT_TRUE(ask({"COMMAND", "DOCS", "get"}).starts_with("*"));
}

// redis-benchmark asks for these two before it begins.
TEST_P(Commands, ConfigurationCanBeAskedFor) {
  const Reply save = decode(ask({"CONFIG", "GET", "save"}));
  EXPECT_EQ(save.type, '*') << save.text;
  EXPECT_TRUE(save.items.empty() || save.items.size() == 2);
  EXPECT_EQ(ask({"CONFIG", "GET", "no-such-thing"}), "*0\r\n");
}

TEST_P(Commands, InfoHasItsSections) {
  ask({"GET", "key"});
  const std::string text = decode(ask({"INFO", "everything"})).text;
  for (const char* section :
       {"# Server\r\n", "# Clients\r\n", "# Memory\r\n", "# Stats\r\n",
        "# Commandstats\r\n", "# Cluster\r\n", "# Keyspace\r\n"})
    EXPECT_NE(text.find(section), std::string::npos) << section << text;
  const auto fields = fields_of(text, ':');
  EXPECT_EQ(fields.at("process_id"), std::to_string(server_->process().pid()));
  EXPECT_EQ(fields.at("tcp_port"), server_->port());
  EXPECT_EQ(fields.at("connected_clients"), "1");
  EXPECT_TRUE(fields.at("cmdstat_get").starts_with("calls=1"));
}

// Without a ring a node is a ring of one: every key is its own.
TEST_P(Commands, ANodeAloneIsARingOfOne) {
  const Reply owner = decode(ask({"DHT.OWNER", "key"}));
  ASSERT_EQ(owner.items.size(), 2u);
  const std::string id = owner.items[0].text;
  EXPECT_EQ(id.size(), 40u);
  EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos) << id;
  EXPECT_EQ(owner.items[1].text, server_->address());
  EXPECT_EQ(decode(ask({"CLUSTER", "MYID"})).text, id);

  const Reply next = decode(ask({"DHT.NEXT", "key"}));
  ASSERT_EQ(next.items.size(), 4u);
  EXPECT_EQ(next.items[0].text, "here");
  EXPECT_EQ(next.items[1].text, id);
  EXPECT_EQ(next.items[2].text, server_->address());
  EXPECT_EQ(next.items[3].text, "owner");

  const Reply hops = decode(ask({"DHT.LOOKUP", "key"}));
  ASSERT_EQ(hops.items.size(), 1u);
  EXPECT_EQ(hops.items[0].items.at(0).text, id);
  EXPECT_EQ(hops.items[0].items.at(2).text, "start");
}

// Hash slots as the cluster specification gives them; {...} chooses the part.
TEST_P(Commands, SlotsAreRedissSlots) {
  EXPECT_EQ(ask({"CLUSTER", "KEYSLOT", "123456789"}), integer(12739));
  EXPECT_EQ(ask({"CLUSTER", "KEYSLOT", "foo"}), integer(12182));
  EXPECT_EQ(ask({"CLUSTER", "KEYSLOT", "x{foo}y"}), integer(12182));
  EXPECT_EQ(ask({"SET", "foo", "1"}), ok);
  EXPECT_EQ(ask({"CLUSTER", "COUNTKEYSINSLOT", "12182"}), integer(1));
  EXPECT_EQ(ask({"CLUSTER", "COUNTKEYSINSLOT", "12183"}), integer(0));
  const Reply slots = decode(ask({"CLUSTER", "SLOTS"}));
  ASSERT_GE(slots.items.size(), 1u);
  EXPECT_EQ(slots.items[0].items.at(2).items.at(1).text, server_->port());
  EXPECT_NE(ask({"CLUSTER", "INFO"}).find("cluster_state:ok"),
            std::string::npos);
  EXPECT_NE(ask({"CLUSTER", "NODES"}).find("myself,master"), std::string::npos);
  EXPECT_GE(decode(ask({"CLUSTER", "SHARDS"})).items.size(), 1u);
  EXPECT_EQ(ask({"ASKING"}), ok);
  EXPECT_EQ(ask({"READONLY"}), ok);
}

TEST_P(Commands, QuitIsAnsweredAndEndsTheConversation) {
  peer_->send(request({"ECHO", "last"}) + request({"QUIT"}) +
              request({"ECHO", "too late"}));
  EXPECT_EQ(peer_->rest(), bulk("last") + ok);
}

// As a Redis without passwords does.
TEST_P(Commands, TheDefaultUserMayHaveAnyPassword) {
  EXPECT_EQ(decode(ask({"HELLO", "3", "AUTH", "default", "anything"})).type,
            '%');
  EXPECT_EQ(ask({"HELLO", "3", "AUTH", "other", "anything"}),
            "-WRONGPASS invalid username-password pair or user is "
            "disabled.\r\n");
}

// What is kept of a peer that idles is in no budget, so it is short.
TEST_P(Commands, LongNamesAreRefusedAndNotKept) {
  const std::string name(1'000'000, 'n');
  const std::string refused = " cannot be longer than 128 bytes.\r\n";
  EXPECT_EQ(ask({"CLIENT", "SETNAME", name}), "-ERR Client names" + refused);
  EXPECT_EQ(ask({"HELLO", "2", "SETNAME", name}),
            "-ERR Client names" + refused);
  EXPECT_EQ(ask({"CLIENT", "SETINFO", "lib-name", name}),
            "-ERR lib-name" + refused);
  EXPECT_EQ(ask({"CLIENT", "GETNAME"}), null);
  EXPECT_EQ(ask({"CLIENT", "SETNAME", std::string(128, 'n')}), ok);
  EXPECT_EQ(ask({"CLIENT", "GETNAME"}), bulk(std::string(128, 'n')));
}

TEST_P(Commands, QuestionsWithManyNamesAreRefused) {
  for (const auto& begin : {std::vector<std::string>{"INFO"},
                            {"COMMAND", "INFO"},
                            {"COMMAND", "DOCS"},
                            {"CONFIG", "GET"}}) {
    auto names = begin;
    names.resize(begin.size() + 200, "client");
    EXPECT_EQ(ask(names),
              "-ERR at most 128 names can be asked for at once\r\n");
  }
  EXPECT_EQ(ask({"CONFIG", "GET", std::string(2000, '*')}),
            "-ERR all patterns together may have at most 1024 bytes\r\n");
}

TEST_P(Commands, TwoThousandKeysAreDeletedAtOnce) {
  std::vector<std::string> keys = {"DEL"};
  std::string requests;
  for (int i = 0; i < 2000; ++i) {
    keys.push_back("key:" + std::to_string(i));
    requests += request({"SET", keys.back(), "value"});
  }
  peer_->send(requests);
  for (int i = 0; i < 2000; ++i) ASSERT_EQ(peer_->frame(), ok);
  EXPECT_EQ(ask(keys), integer(2000));
  EXPECT_EQ(ask({"DBSIZE"}), integer(0));
}

INSTANTIATE_TEST_SUITE_P(Servers, Commands, testing::ValuesIn(models()),
                         name_of);

TEST(TheSuite, HasServersToTest) {
  EXPECT_FALSE(servers().empty())
      << "set BIN and SERVERS, or SERVER to a program";
}

}  // namespace
}  // namespace conformance
