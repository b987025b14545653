// Words, patterns and addresses.

#include "node/text.hpp"

#include <gtest/gtest.h>

#include <string>

namespace node {
namespace {

TEST(Words, AreTheSameInAnyCase) {
  EXPECT_TRUE(same_word("GeT", "gEt"));
  EXPECT_TRUE(same_word("", ""));
  EXPECT_FALSE(same_word("get", "gets"));
  EXPECT_FALSE(same_word("get", "got"));
  // Only letters have a case: '@' and '`', '[' and '{' are 32 apart too.
  EXPECT_FALSE(same_word("@", "`"));
  EXPECT_FALSE(same_word("[", "{"));
  EXPECT_EQ(upper("client|setName 1{"), "CLIENT|SETNAME 1{");
}

struct Case {
  std::string_view pattern, text;
  bool matches;
};

// The answers of Redis 7.0 to CONFIG GET, and the corners of its
// stringmatchlen.
constexpr Case cases[] = {
    {"", "", true},
    {"", "a", false},
    {"*", "", true},
    {"*", "anything", true},
    {"**", "a", true},
    {"save", "save", true},
    {"SAVE", "save", true},
    {"save", "saved", false},
    {"saved", "save", false},
    {"s*e", "save", true},
    {"s*x", "save", false},
    {"*a*e", "save", true},
    {"*a*b*c", "aXbYbZc", true},
    {"*ab", "aab", true},
    {"sa*", "sa", true},
    {"max*cl?ents", "maxclients", true},
    {"?", "", false},
    {"?", "a", true},
    {"[abc]", "b", true},
    {"[abc]", "d", false},
    {"[a-c]x", "Bx", true},
    {"[c-a]x", "bx", true},
    {"[a-c]", "d", false},
    {"[^a-c]", "d", true},
    {"[^a-c]", "a", false},
    {"[\\]]", "]", true},
    {"[\\^a]", "^", true},
    {"[a-]", "-", false},  // from a to the bracket
    {"[", "[", false},
    {"[a", "a", true},
    {"[\\", "\\", true},
    {"\\*", "*", true},
    {"\\*", "a", false},
    {"a\\", "a\\", true},
    {"a\\", "ab", false},
};

TEST(Patterns, MatchAsRedisMatchesThem) {
  for (const auto& [pattern, text, expected] : cases) {
    std::size_t steps = 0;
    EXPECT_EQ(matches(pattern, text, steps), expected)
        << pattern << " on " << text;
  }
}

std::string repeated(std::string_view part, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += part;
  return all;
}

// Exponential if every star is tried anew; and a set is read to its end for
// every byte, however long it is.
TEST(Patterns, HostileOnesTakeAtMostTheirLengthForEachByte) {
  const std::string text(200, 'a');
  for (const auto& pattern :
       {repeated("*a", 300) + "b", repeated("*[", 300), repeated("*", 300),
        "*[" + repeated("b-c", 200), "*" + repeated("[^a]", 100),
        repeated("a", 150) + "*" + repeated("a", 40) + "b",
        "*" + repeated("?", 100) + "b", repeated("\\a", 300),
        repeated("*a", 100) + "[a"}) {
    std::size_t steps = 0;
    matches(pattern, text, steps);
    EXPECT_GT(steps, 0u) << pattern;
    EXPECT_LE(steps, pattern.size() * (text.size() + 1)) << pattern;
  }
}

TEST(Words, OfAPeerAreShortenedAsRedisDoes) {
  EXPECT_EQ(shortened("short"), "short");
  EXPECT_EQ(shortened(std::string(500, 'x')), std::string(128, 'x'));
  EXPECT_EQ(shortened({"a\0b", 3}), "a");
  EXPECT_EQ(shortened("abc", 2), "ab");
}

TEST(Endpoints, AreHostAndPort) {
  const auto expect = [](std::string_view address, std::string_view host,
                         std::string_view port) {
    const auto at = split(address);
    EXPECT_EQ(at.host, host);
    EXPECT_EQ(at.port, port);
  };
  expect("127.0.0.1:7000", "127.0.0.1", "7000");
  expect("[::1]:7000", "::1", "7000");
  expect("[::1:7000", "[::1", "7000");
  expect("/run/a:1", "/run/a:1", "0");
  expect("nothing", "nothing", "0");
}

}  // namespace
}  // namespace node
