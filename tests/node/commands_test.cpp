// Every command to the byte, without a ring. The words are those of Redis
// 7.0.15, to whom the same was said.

#include "node/commands.hpp"

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>

#include "node/text.hpp"
#include "tests/node/asker.hpp"

namespace node {
namespace {

const std::string ok = "+OK\r\n";
const std::string null = "$-1\r\n";

struct Commands : testing::Test, Conversation {};

std::string arity_error(const std::string& name) {
  return "-ERR wrong number of arguments for '" + name + "' command\r\n";
}

// ---- the table

TEST(Table, FindsEveryRowInAnyCase) {
  std::set<const Command*> rows;
  for (const auto& row : table.commands()) {
    const auto bar = row.name.find('|');
    const auto name = upper(row.name);
    const auto* found = bar == row.name.npos ? table.find(name)
                                             : table.find(name.substr(0, bar),
                                                          name.substr(bar + 1));
    EXPECT_EQ(found, &row) << row.name;
    rows.insert(found);
    EXPECT_TRUE(row.answer || !table.subcommands(row).empty()) << row.name;
  }
  EXPECT_EQ(rows.size(), table.commands().size());
}

TEST(Table, FindsNothingElse) {
  for (const auto* name :
       {"", "gett", "ge", "client|id", "clientsetname", "dht.", "set|",
        "a name that is longer than every one of the table"})
    EXPECT_EQ(table.find(name), nullptr) << name;
  EXPECT_EQ(table.find("client", ""), nullptr);
  EXPECT_EQ(table.find("client|", "id"), nullptr);
  EXPECT_EQ(table.find("clien", "t|id"), nullptr);
  EXPECT_EQ(table.find("cluster", "a name that is longer than all"), nullptr);
}

// What a peer could send to be taken for another name: bytes that differ from
// a letter in the bit of its case, and names that fall into a taken place.
TEST(Table, ComparesNamesAndNotOnlyTheirHashes) {
  std::size_t found = 0;
  for (int i = 0; i < 20'000; ++i)
    found += table.find("x" + std::to_string(i)) ? 1 : 0;
  EXPECT_EQ(found, 0u);
  EXPECT_EQ(table.find("dht\016next"), nullptr);
  for (int i = 0; i < 20'000; ++i)
    found += table.find("client", std::to_string(i)) ? 1 : 0;
  EXPECT_EQ(found, 0u);
}

TEST(Table, ContainersKnowTheirSubcommands) {
  EXPECT_EQ(table.subcommands(*table.find("client")).size(), 5u);
  EXPECT_EQ(table.subcommands(*table.find("client")).front().name,
            "client|getname");
  EXPECT_TRUE(table.subcommands(*table.find("get")).empty());
  EXPECT_TRUE(table.subcommands(*table.find("client", "id")).empty());
  EXPECT_TRUE(table.subcommands(table.commands().back()).empty());
}

// ---- what no command is

TEST_F(Commands, UnknownOnesAreNamedWithTheirArguments) {
  EXPECT_EQ(ask({"foo", "a", "b"}),
            "-ERR unknown command 'foo', with args beginning with: "
            "'a' 'b' \r\n");
  EXPECT_EQ(ask({"FOO"}),
            "-ERR unknown command 'FOO', with args beginning with: \r\n");
  EXPECT_EQ(ask({"f\r\noo", "a\r\n"}),
            "-ERR unknown command 'f  oo', with args beginning with: "
            "'a  ' \r\n");
  EXPECT_EQ(ask({""}),
            "-ERR unknown command '', with args beginning with: \r\n");
}

TEST_F(Commands, UnknownOnesAreCutAsRedisCutsThem) {
  const std::string long_one(200, 'x');
  EXPECT_EQ(ask({"foo", {"a\0b", 3}, long_one, "unseen"}),
            "-ERR unknown command 'foo', with args beginning with: 'a' '" +
                long_one.substr(0, 124) + "' \r\n");
  EXPECT_EQ(ask({long_one}), "-ERR unknown command '" +
                                 long_one.substr(0, 128) +
                                 "', with args beginning with: \r\n");
}

TEST_F(Commands, UnknownSubcommandsPointToHelp) {
  EXPECT_EQ(ask({"client", "foo", "bar"}),
            "-ERR unknown subcommand 'foo'. Try CLIENT HELP.\r\n");
  EXPECT_EQ(ask({"CoMMand", "foo"}),
            "-ERR unknown subcommand 'foo'. Try COMMAND HELP.\r\n");
  EXPECT_EQ(ask({"config", "set", "a", "b"}),
            "-ERR unknown subcommand 'set'. Try CONFIG HELP.\r\n");
}

TEST_F(Commands, EveryRowRefusesTooFewAndTooManyArguments) {
  for (const auto& row : table.commands()) {
    std::vector<std::string_view> words;
    const auto bar = row.name.find('|');
    words.push_back(row.name.substr(0, bar));
    if (bar != row.name.npos) words.push_back(row.name.substr(bar + 1));
    const auto least = static_cast<std::size_t>(std::abs(row.arity));
    std::string name(row.name);
    if (least > words.size()) {
      words.resize(least - 1, "x");
      // A container takes its first argument for a subcommand.
      if (row.answer || words.size() == 1) {
        EXPECT_EQ(asker.ask(words), arity_error(name));
      }
    }
    if (row.arity > 0) {
      words.resize(least + 1, "x");
      EXPECT_EQ(asker.ask(words), arity_error(name));
    }
  }
}

TEST_F(Commands, HttpGetsNoAnswer) {
  for (const auto* word : {"POST", "post", "Host:"}) {
    Asker other(node);
    EXPECT_EQ(other.say(std::string(word) + " /set HTTP/1.1\r\nPING\r\n"), "");
    EXPECT_TRUE(other.session().finished()) << word;
  }
}

// ---- connection

TEST_F(Commands, PingAndEcho) {
  EXPECT_EQ(ask({"PING"}), "+PONG\r\n");
  EXPECT_EQ(ask({"ping", ""}), "$0\r\n\r\n");
  EXPECT_EQ(ask({"ping", "a\r\nb"}), "$4\r\na\r\nb\r\n");
  EXPECT_EQ(ask({"ping", "a", "b"}), arity_error("ping"));
  EXPECT_EQ(ask({"ECHO", "hello"}), bulk("hello"));
}

TEST_F(Commands, HelloTellsWhoWeAreInBothVersions) {
  const auto second = ask({"HELLO"});
  const std::string fields =
      "$6\r\nserver\r\n$8\r\niomodels\r\n$7\r\nversion\r\n$5\r\n1.0.0\r\n"
      "$5\r\nproto\r\n";
  const std::string rest =
      "$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n"
      "$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n";
  EXPECT_EQ(second, "*14\r\n" + fields + ":2\r\n" + rest);
  EXPECT_EQ(ask({"hello", "3"}), "%7\r\n" + fields + ":3\r\n" + rest);
  EXPECT_EQ(ask({"get", "missing"}), "_\r\n");
  EXPECT_EQ(ask({"hello"}), "%7\r\n" + fields + ":3\r\n" + rest);
  EXPECT_EQ(ask({"hello", "2"}), second);
  EXPECT_EQ(ask({"get", "missing"}), null);
}

TEST_F(Commands, HelloRefusesWhatItCannotDo) {
  const std::string range =
      "-ERR Protocol version is not an integer or out of range\r\n";
  const std::string no_version = "-NOPROTO unsupported protocol version\r\n";
  EXPECT_EQ(ask({"hello", "4"}), no_version);
  EXPECT_EQ(ask({"hello", "1"}), no_version);
  EXPECT_EQ(ask({"hello", "x"}), range);
  EXPECT_EQ(ask({"hello", "3", "SETNAME"}),
            "-ERR Syntax error in HELLO option 'SETNAME'\r\n");
  EXPECT_EQ(ask({"hello", "3", "AUTH", "a"}),
            "-ERR Syntax error in HELLO option 'AUTH'\r\n");
  EXPECT_EQ(ask({"hello", "3", "FOO"}),
            "-ERR Syntax error in HELLO option 'FOO'\r\n");
  EXPECT_EQ(
      ask({"hello", "3", "auth", "other", "secret"}),
      "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
  EXPECT_EQ(ask({"hello", "3", "setname", "good", "bad"}),
            "-ERR Syntax error in HELLO option 'bad'\r\n");
  // None of them has changed anything.
  EXPECT_EQ(ask({"client", "getname"}), null);
}

TEST_F(Commands, HelloTakesAnyPasswordOfTheDefaultUser) {
  EXPECT_TRUE(ask({"hello", "3", "AUTH", "default", "", "setname", "alice"})
                  .starts_with("%7\r\n"));
  EXPECT_EQ(ask({"client", "getname"}), bulk("alice"));
  EXPECT_TRUE(ask({"hello", "2", "auth", "default", "anything"})
                  .starts_with("*14\r\n"));
  EXPECT_TRUE(ask({"hello", "3", "auth", "DEFAULT", "anything"})
                  .starts_with("-WRONGPASS "));
  EXPECT_EQ(asker.session().client().version, 2);
}

// What a peer that idles has left here is in no budget, so it is short.
TEST_F(Commands, NamesHaveALimitOfTheirOwn) {
  const std::string most(128, 'n'), more(129, 'n');
  const std::string refused = " cannot be longer than 128 bytes.\r\n";
  EXPECT_EQ(ask({"client", "setname", most}), ok);
  EXPECT_EQ(ask({"client", "setname", more}), "-ERR Client names" + refused);
  EXPECT_EQ(ask({"hello", "3", "setname", more}),
            "-ERR Client names" + refused);
  EXPECT_EQ(ask({"client", "getname"}), bulk(most));
  EXPECT_EQ(ask({"client", "setinfo", "lib-name", most}), ok);
  EXPECT_EQ(ask({"client", "setinfo", "lib-name", more}),
            "-ERR lib-name" + refused);
  EXPECT_EQ(ask({"client", "setinfo", "LIB-VER", more}),
            "-ERR LIB-VER" + refused);
}

// ---- what an answer costs the others

/// What one request took, in steps.
std::size_t steps_of(Node& node, std::vector<std::string_view> arguments) {
  protocol::StringSink sink;
  protocol::Client client;
  protocol::Reply reply(sink, client, {});
  node.answer(arguments, reply);
  return reply.steps();
}

TEST_F(Commands, EachSaysWhatItTakes) {
  EXPECT_EQ(steps_of(node, {"ping"}), 1u);
  EXPECT_EQ(steps_of(node, {"get", "key"}), 1u);
  EXPECT_EQ(steps_of(node, {"nosuch"}), 4u);
  EXPECT_EQ(steps_of(node, {"del", "a", "b", "c"}), 3u);
  EXPECT_EQ(steps_of(node, {"exists", "a", "a"}), 2u);
  for (const auto& row : table.commands())
    EXPECT_GE(row.cost.steps, 1u) << row.name;
}

TEST_F(Commands, KeysCountForWhatItTakesToPlaceThem) {
  const std::string key(12'800, 'k');
  for (const auto* command : {"dht.next", "dht.owner", "dht.lookup"})
    EXPECT_EQ(steps_of(node, {command, key}), 101u) << command;
  EXPECT_EQ(steps_of(node, {"cluster", "keyslot", key}), 101u);
}

// An answer that is refused for what is wrong with it repeats 128 bytes of it
// at most, whatever was sent.
TEST_F(Commands, ErrorsAreShortWhateverWasSent) {
  const std::string word(100'000, 'x');
  const std::vector<std::vector<std::string_view>> requests = {
      {word, word},
      {"client", word},
      {"hello", word},
      {"hello", "3", word},
      {"hello", "3", "auth", word, word},
      {"hello", "3", "setname", word},
      {"client", "setname", word},
      {"client", "setinfo", word, "x"},
      {"client", "setinfo", "lib-ver", word},
      {"select", word},
      {"flushall", word},
      {"config", "get", word},
      {"cluster", "countkeysinslot", word},
      {"dht.mode", word},
      {"dht.next", "id", word},
      {"dht.next", word, word}};
  for (const auto& request : requests) {
    const auto answer = asker.ask(request);
    EXPECT_TRUE(answer.starts_with("-")) << request[0] << ' ' << request[1];
    EXPECT_LE(answer.size(), 320u) << request[0] << ' ' << request[1];
  }
  EXPECT_EQ(steps_of(node, {word, word}), 4u);
}

// Ten thousand names of commands would be a hundred times as many bytes of
// answer.
TEST_F(Commands, NamesToAskForAreCounted) {
  const std::string refused =
      "-ERR at most 128 names can be asked for at once\r\n";
  for (const auto& begin :
       std::vector<std::vector<std::string_view>>{{"command", "info"},
                                                  {"command", "docs"},
                                                  {"config", "get"},
                                                  {"info"}}) {
    auto request = begin;
    request.resize(begin.size() + 128, "keyspace");
    EXPECT_FALSE(asker.ask(request).starts_with("-")) << begin[0];
    request.push_back("keyspace");
    EXPECT_EQ(asker.ask(request), refused) << begin[0];
  }
}

// ---- what is timed

// Of each thread the first 64 requests of a kind, then each 64th for all of
// them.
TEST_F(Commands, TimeIsTakenBySamples) {
  surroundings.each_ns = 1000;
  for (int i = 0; i < 63; ++i) ask({"ping"});
  EXPECT_EQ(surroundings.total("time.ping"), 63'000u);
  ask({"ping"});
  EXPECT_EQ(surroundings.total("time.ping"), 64'000u);
  for (int i = 0; i < 63; ++i) ask({"ping"});
  EXPECT_EQ(surroundings.total("time.ping"), 64'000u);
  ask({"ping"});
  EXPECT_EQ(surroundings.total("time.ping"), 128'000u);
  ask({"nosuch"});
  EXPECT_EQ(surroundings.total("time.unknown"), 1'000u);
}

TEST_F(Commands, ClientsHaveNames) {
  const std::string refused =
      "-ERR Client names cannot contain spaces, newlines or special "
      "characters.\r\n";
  EXPECT_EQ(ask({"client", "getname"}), null);
  EXPECT_EQ(ask({"CLIENT", "SETNAME", "alice"}), ok);
  EXPECT_EQ(ask({"client", "getname"}), bulk("alice"));
  for (const auto* name : {"a b", "a\n", "\x7f", "\xc3\xa4"})
    EXPECT_EQ(ask({"client", "setname", name}), refused);
  EXPECT_EQ(ask({"hello", "2", "setname", "a b"}), refused);
  EXPECT_EQ(ask({"client", "getname"}), bulk("alice"));
  EXPECT_EQ(ask({"client", "setname", ""}), ok);
  EXPECT_EQ(ask({"client", "getname"}), null);
  ask({"hello", "3", "setname", "bob"});
  EXPECT_EQ(ask({"client", "getname"}), bulk("bob"));
  ask({"client", "setname", ""});
  EXPECT_EQ(ask({"client", "getname"}), "_\r\n");
}

TEST_F(Commands, ClientsHaveNumbersOfTheirOwn) {
  EXPECT_EQ(ask({"client", "id"}), ":1\r\n");
  Asker other(node);
  EXPECT_EQ(other.ask({"client", "id"}), ":2\r\n");
  EXPECT_EQ(ask({"client", "id"}), ":1\r\n");
}

TEST_F(Commands, ClientLibrariesMayIntroduceThemselves) {
  EXPECT_EQ(ask({"client", "setinfo", "LIB-NAME", "redis-py"}), ok);
  EXPECT_EQ(ask({"client", "setinfo", "lib-ver", "5.0"}), ok);
  EXPECT_EQ(ask({"client", "setinfo", "lib-ver", "a b"}),
            "-ERR lib-ver cannot contain spaces, newlines or special "
            "characters.\r\n");
  EXPECT_EQ(ask({"client", "setinfo", "foo", "x"}),
            "-ERR Unrecognized option 'foo'\r\n");
}

TEST_F(Commands, ThereIsOneDatabase) {
  const std::string range = "-ERR value is not an integer or out of range\r\n";
  EXPECT_EQ(ask({"select", "0"}), ok);
  EXPECT_EQ(ask({"select", "1"}), "-ERR DB index is out of range\r\n");
  EXPECT_EQ(ask({"select", "-1"}), "-ERR DB index is out of range\r\n");
  EXPECT_EQ(ask({"select", "x"}), range);
  EXPECT_EQ(ask({"select", ""}), range);
  EXPECT_EQ(ask({"select", "99999999999"}),
            "-ERR value is out of range, value must between -2147483648 and "
            "2147483647\r\n");
}

TEST_F(Commands, QuitEndsTheConversationAfterItsAnswer) {
  EXPECT_EQ(asker.say("QUIT now\r\nPING\r\n"), ok);
  EXPECT_TRUE(asker.session().output_ended());
}

TEST_F(Commands, ReadonlyAndAskingAreAnsweredWithoutARing) {
  EXPECT_EQ(ask({"READONLY"}), ok);
  EXPECT_EQ(ask({"ASKING"}), ok);
  EXPECT_TRUE(chosen(asker.session().client())->asking);
  EXPECT_EQ(ask({"GET", "a"}), null);
  EXPECT_FALSE(chosen(asker.session().client())->asking);
}

// One of 170 000 held up all others for half a second.
TEST_F(Commands, KeysOfOneRequestHaveALimit) {
  for (const char* name : {"del", "exists"}) {
    std::vector<std::string_view> words(10'001, "k");
    words[0] = name;
    EXPECT_EQ(asker.ask(words), ":0\r\n") << name;
    words.push_back("k");
    EXPECT_EQ(asker.ask(words),
              "-ERR at most 10000 keys can be asked for at once\r\n");
  }
}

// ---- keys and values

TEST_F(Commands, ValuesAreSetAndGot) {
  EXPECT_EQ(ask({"get", "key"}), null);
  EXPECT_EQ(ask({"SET", "key", "value"}), ok);
  EXPECT_EQ(ask({"get", "key"}), bulk("value"));
  EXPECT_EQ(ask({"set", "key", ""}), ok);
  EXPECT_EQ(ask({"get", "key"}), bulk(""));
  EXPECT_EQ(ask({"set", "", {"\0\r\n", 3}}), ok);
  EXPECT_EQ(ask({"get", ""}), bulk({"\0\r\n", 3}));
}

TEST_F(Commands, OptionsOfSetAreASyntaxError) {
  EXPECT_EQ(ask({"set", "k", "v", "ex", "10"}), "-ERR syntax error\r\n");
  EXPECT_EQ(ask({"set", "k", "v", "nx"}), "-ERR syntax error\r\n");
  EXPECT_EQ(ask({"exists", "k"}), ":0\r\n");
}

TEST_F(Commands, LargeValuesAreWrittenWhole) {
  const std::string large(500'000, 'x');
  EXPECT_EQ(ask({"set", "key", large}), ok);
  EXPECT_EQ(ask({"get", "key"}), bulk(large));
}

TEST_F(Commands, KeysAreDeletedAndCounted) {
  for (const auto* key : {"a", "b", "c"}) ask({"set", key, "v"});
  EXPECT_EQ(ask({"dbsize"}), ":3\r\n");
  EXPECT_EQ(ask({"exists", "a", "a", "b", "x"}), ":3\r\n");
  EXPECT_EQ(ask({"del", "a", "a", "x", "b"}), ":2\r\n");
  EXPECT_EQ(ask({"dbsize"}), ":1\r\n");
  EXPECT_EQ(ask({"flushall"}), ok);
  EXPECT_EQ(ask({"dbsize"}), ":0\r\n");
}

TEST_F(Commands, FlushallTakesRedissWordsOnly) {
  EXPECT_EQ(ask({"flushall", "ASYNC"}), ok);
  EXPECT_EQ(ask({"flushall", "sync"}), ok);
  EXPECT_EQ(ask({"flushall", "now"}), "-ERR syntax error\r\n");
  EXPECT_EQ(ask({"flushall", "sync", "async"}), "-ERR syntax error\r\n");
}

TEST(CommandsAtTheLimit, MemoryThatIsUsedUpIsSaid) {
  Conversation one(Host::setup(), 16 << 10);
  EXPECT_EQ(one.ask({"set", "key", std::string(20'000, 'x')}),
            "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
  EXPECT_EQ(one.ask({"set", "key", std::string(10'000, 'x')}), ok);
}

// ---- what is counted

TEST_F(Commands, EachIsCountedOnceUnderItsName) {
  ask({"get", "a"});
  ask({"GET", "b"});
  ask({"get"});
  ask({"client", "id"});
  ask({"command"});
  ask({"nosuch"});
  ask({"client", "nosuch"});
  EXPECT_EQ(surroundings.total("cmd.get"), 3u);
  EXPECT_EQ(surroundings.total("cmd.client|id"), 1u);
  EXPECT_EQ(surroundings.total("cmd.client"), 0u);
  EXPECT_EQ(surroundings.total("cmd.command"), 1u);
  EXPECT_EQ(surroundings.total("cmd.unknown"), 2u);
}

TEST_F(Commands, BrokenProtocolIsCountedByName) {
  Asker(node).say("*1\r\nx\r\n");
  Asker(node).say("*x\r\n");
  Asker(node).say("\"\r\n");
  node.protocol_error("something new");
  EXPECT_EQ(surroundings.total("err.expected_bulk"), 1u);
  EXPECT_EQ(surroundings.total("err.invalid_multibulk_length"), 1u);
  EXPECT_EQ(surroundings.total("err.unbalanced_quotes"), 1u);
  EXPECT_EQ(surroundings.total("err.other"), 1u);
}

}  // namespace
}  // namespace node
