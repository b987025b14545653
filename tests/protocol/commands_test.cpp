// A table over a context of its own, as a service that is no node would have
// it.

#include "protocol/commands.hpp"

#include <gtest/gtest.h>

namespace {

struct Counter {
  int value = 0;
};
using Call = protocol::Call<Counter>;
using Command = protocol::Command<Counter>;

void add(const Call& call) {
  call.context.value += static_cast<int>(call.arguments.size()) - 1;
  call.reply.integer(call.context.value);
}
void say(const Call& call) { call.reply.bulk(call.arguments.back()); }

constexpr auto rows = std::to_array<Command>({
    {"add", -2, {}, 0, 0, "", "thing [thing ...]", "", add, {.steps = 7}},
    {"dda", 1, {}, 0, 0, "", "", "", say},  // of the same letters
    {"say", -2, {}, 0, 0, "", "", "", nullptr},
    {"say|word", 3, {}, 0, 0, "", "word", "", say},
    {"say|it", 2, {}, 0, 0, "", "", "", say},
});
constexpr protocol::CommandTable<Counter> table(rows);

struct Answer {
  std::string text;
  std::size_t steps;
  bool dropping;
};

Answer ask(const std::vector<std::string_view>& words) {
  static Counter counter;
  counter.value = 0;
  protocol::StringSink sink;
  protocol::Client client;
  protocol::Reply reply(sink, client, {});
  protocol::answer(table, counter, words, reply);
  return {sink.text, reply.steps(), reply.dropping()};
}

TEST(CommandTable, FindsRowsInAnyCase) {
  EXPECT_EQ(table.commands().size(), 5u);
  EXPECT_EQ(table.find("ADD"), &table.commands()[0]);
  EXPECT_EQ(table.find("dda"), &table.commands()[1]);
  EXPECT_EQ(table.find("say", "Word"), &table.commands()[3]);
  for (const char* name : {"", "ad", "adx", "say|word", "nosuch"})
    EXPECT_EQ(table.find(name), nullptr) << name;
  EXPECT_EQ(table.find("say", "nothing"), nullptr);
  EXPECT_EQ(table.find("nosuch", "word"), nullptr);
  EXPECT_EQ(table.subcommands(table.commands()[2]).size(), 2u);
  EXPECT_TRUE(table.subcommands(table.commands()[0]).empty());
}

TEST(CommandTable, AnswersByItsRows) {
  EXPECT_EQ(ask({"Add", "a", "b"}).text, ":2\r\n");
  EXPECT_EQ(ask({"Add", "a", "b"}).steps, 7u);
  EXPECT_EQ(ask({"say", "WORD", "hello"}).text, "$5\r\nhello\r\n");
  EXPECT_EQ(ask({"say", "it"}).text, "$2\r\nit\r\n");
}

TEST(CommandTable, RefusesInRedisWords) {
  const std::string arity = "-ERR wrong number of arguments for ";
  EXPECT_EQ(ask({"add"}).text, arity + "'add' command\r\n");
  EXPECT_EQ(ask({"say"}).text, arity + "'say' command\r\n");
  EXPECT_EQ(ask({"say", "word"}).text, arity + "'say|word' command\r\n");
  EXPECT_EQ(ask({"say", "what"}).text,
            "-ERR unknown subcommand 'what'. Try SAY HELP.\r\n");
  EXPECT_EQ(ask({"nosuch", "a", "b"}).text,
            "-ERR unknown command 'nosuch', with args beginning with: 'a' 'b' "
            "\r\n");
  const std::string much(200, 'x');
  EXPECT_EQ(ask({"nosuch", much, "b"}).text,
            "-ERR unknown command 'nosuch', with args beginning with: '" +
                much.substr(0, 128) + "' \r\n");
}

TEST(CommandTable, DropsWhatABrowserSays) {
  EXPECT_TRUE(ask({"POST", "/", "HTTP/1.1"}).dropping);
  EXPECT_TRUE(ask({"Host:", "localhost"}).dropping);
  EXPECT_FALSE(ask({"GET", "/"}).dropping);
}

}  // namespace
