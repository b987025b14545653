// COMMAND and HELP, as clients take them to pieces.

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "node/commands.hpp"
#include "node/text.hpp"
#include "tests/node/asker.hpp"

namespace node {
namespace {

using Type = protocol::Value::Type;

struct TableCommands : testing::Test, Conversation {
  Decoded decode(std::initializer_list<std::string_view> arguments) {
    return Decoded(ask(arguments));
  }
};

// The value of a key in a map, which RESP2 writes as an array.
const protocol::Value* at(const protocol::Value& map, std::string_view key) {
  for (std::size_t i = 0; i + 1 < map.elements.size(); i += 2)
    if (map.elements[i].text == key) return &map.elements[i + 1];
  return nullptr;
}

void expect_row(const protocol::Value& row) {
  ASSERT_EQ(row.elements.size(), 10u);
  EXPECT_EQ(row.elements[0].type, Type::bulk);
  EXPECT_EQ(row.elements[1].type, Type::integer);
  for (const auto& flag : row.elements[2].elements)
    EXPECT_EQ(flag.type, Type::simple);
  for (int i = 3; i < 6; ++i)
    EXPECT_EQ(row.elements[static_cast<std::size_t>(i)].type, Type::integer);
  for (const auto& subcommand : row.elements[9].elements)
    expect_row(subcommand);
}

TEST_F(TableCommands, CommandDescribesAllOfThem) {
  const auto all = decode({"command"});
  ASSERT_TRUE(all.all());
  std::set<std::string_view> names;
  for (const auto& row : all->elements) {
    expect_row(row);
    names.insert(row.elements[0].text);
  }
  EXPECT_EQ(names.size(), all->elements.size());
  EXPECT_TRUE(names.contains("get") && names.contains("dht.lookup"));
  EXPECT_FALSE(names.contains("client|id"));
  EXPECT_EQ(ask({"command", "count"}),
            ":" + std::to_string(names.size()) + "\r\n");
  EXPECT_EQ(ask({"command", "info"}), ask({"command"}));
}

TEST_F(TableCommands, CommandInfoIsToTheByte) {
  EXPECT_EQ(ask({"command", "info", "get", "nosuch", "DEL"}),
            "*3\r\n"
            "*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n"
            ":1\r\n:1\r\n:1\r\n*0\r\n*0\r\n*0\r\n*0\r\n"
            "$-1\r\n"
            "*10\r\n$3\r\ndel\r\n:-2\r\n*1\r\n+write\r\n"
            ":1\r\n:-1\r\n:1\r\n*0\r\n*0\r\n*0\r\n*0\r\n");
  EXPECT_EQ(ask({"command", "info", "config|get"}),
            "*1\r\n*10\r\n$10\r\nconfig|get\r\n:-3\r\n*1\r\n+admin\r\n"
            ":0\r\n:0\r\n:0\r\n*0\r\n*0\r\n*0\r\n*0\r\n");
  const auto set = decode({"command", "info", "set"});
  EXPECT_EQ(set->elements[0].elements[2].elements[1].text, "denyoom");
  const auto container = decode({"command", "info", "config"});
  EXPECT_EQ(container->elements[0].elements[9].elements.size(), 2u);
}

// As Redis's: flags, categories, tips and key specifications are sets, and so
// is what has no subcommands.
TEST_F(TableCommands, SetsAreSetsInTheThirdVersion) {
  ask({"hello", "3"});
  EXPECT_EQ(ask({"command", "info", "get", "nosuch"}),
            "*2\r\n*10\r\n$3\r\nget\r\n:2\r\n~2\r\n+readonly\r\n+fast\r\n"
            ":1\r\n:1\r\n:1\r\n~0\r\n~0\r\n~0\r\n~0\r\n_\r\n");
  const auto container = decode({"command", "info", "config"});
  EXPECT_EQ(container->elements[0].elements[9].type, Type::array);
  const auto docs = decode({"command", "docs", "del"});
  const auto& second = at(docs->elements[1], "arguments")->elements.at(1);
  EXPECT_EQ(at(second, "flags")->type, Type::set);
}

// As redis-cli does it: types are asserted there, and it would end.
void expect_documented(const protocol::Value& documents) {
  for (const auto* key : {"summary", "since", "group"}) {
    ASSERT_TRUE(at(documents, key)) << key;
    EXPECT_EQ(at(documents, key)->type, Type::bulk);
  }
  const auto* arguments = at(documents, "arguments");
  ASSERT_TRUE(arguments && arguments->type == Type::array);
  for (const auto& argument : arguments->elements) {
    EXPECT_EQ(at(argument, "name")->type, Type::bulk);
    EXPECT_TRUE(at(argument, "type")->text == "key" ||
                at(argument, "type")->text == "string");
    if (const auto* flags = at(argument, "flags")) {
      EXPECT_EQ(flags->elements.at(0).type, Type::simple);
    }
  }
  if (const auto* below = at(documents, "subcommands"))
    for (std::size_t i = 1; i < below->elements.size(); i += 2)
      expect_documented(below->elements[i]);
}

TEST_F(TableCommands, DocsHaveTheFieldsThatRedisCliReads) {
  for (const auto* version : {"2", "3"}) {
    ask({"hello", version});
    const auto all = decode({"command", "docs"});
    ASSERT_TRUE(all.all());
    EXPECT_EQ(all->type, *version == '3' ? Type::map : Type::array);
    for (std::size_t i = 0; i < all->elements.size(); i += 2) {
      EXPECT_EQ(all->elements[i].type, Type::bulk);
      expect_documented(all->elements[i + 1]);
    }
  }
}

TEST_F(TableCommands, DocsOfNamedCommandsLeaveOutUnknownOnes) {
  const auto two = decode({"command", "docs", "DEL", "nosuch", "client|id"});
  ASSERT_EQ(two->elements.size(), 4u);
  EXPECT_EQ(two->elements[0].text, "del");
  EXPECT_EQ(two->elements[2].text, "client|id");
  const auto& arguments = at(two->elements[1], "arguments")->elements;
  ASSERT_EQ(arguments.size(), 2u);
  EXPECT_EQ(at(arguments[0], "name")->text, "key");
  EXPECT_EQ(at(arguments[0], "type")->text, "key");
  EXPECT_EQ(at(arguments[1], "name")->text, "key ...");
  EXPECT_EQ(at(arguments[1], "flags")->elements.at(0).text, "optional");
  EXPECT_EQ(ask({"command", "docs", "nosuch"}), "*0\r\n");
  const auto hello = decode({"command", "docs", "hello"});
  EXPECT_EQ(at(hello->elements[1], "arguments")->elements.size(), 1u);
}

TEST_F(TableCommands, HelpListsTheSubcommands) {
  EXPECT_EQ(ask({"Config", "HELP"}),
            "*5\r\n"
            "+CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands "
            "are:\r\n"
            "+GET pattern [pattern ...]\r\n"
            "+    Answers the settings whose names match a pattern.\r\n"
            "+HELP\r\n"
            "+    Lists the subcommands.\r\n");
  for (const auto* container : {"client", "command", "cluster"})
    EXPECT_EQ(decode({container, "help"})->elements.size(),
              1 + 2 * table.subcommands(*table.find(container)).size());
}

// "CLIENT SETNAME name", as a cell of a table: a bar would end it.
std::string usage(const Command& command) {
  std::string name = upper(command.name);
  std::ranges::replace(name, '|', ' ');
  if (!command.syntax.empty()) name += ' ';
  for (const char letter : command.syntax) {
    if (letter == '|') name += '\\';
    name += letter;
  }
  return name;
}

// The command table as a page of documentation, in Markdown.
std::string commands_page() {
  std::string page;
  std::string_view group;
  for (const auto& command : table.commands()) {
    if (!command.answer) continue;
    if (command.group != group) {
      group = command.group;
      page.append(page.empty() ? "" : "\n").append("### ").append(group);
      page +=
          "\n\n| command | arity | keys | what it does |\n"
          "| --- | --- | --- | --- |\n";
    }
    page.append("| `").append(usage(command)).append("` | ");
    page.append(std::to_string(command.arity)).append(" | ");
    page += command.first_key == 0 ? "none"
            : command.last_key < 0 ? "all"
                                   : "1";
    page.append(" | ").append(command.summary).append(" |\n");
  }
  return page;
}

// The page for students holds the table.
TEST(ProtocolPage, HasTheTableOfCommands) {
  std::ifstream file("docs/protocol.md");
  ASSERT_TRUE(file) << "run from the root of the tree";
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  EXPECT_NE(page.find("\n" + commands_page()), page.npos)
      << "docs/protocol.md should hold:\n"
      << commands_page();
}

}  // namespace
}  // namespace node
