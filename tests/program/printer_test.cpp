// What redis-cli 7.0.15 printed for the same replies.

#include "program/printer.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "program/answer.hpp"
#include "tests/program/values.hpp"

namespace {

using namespace values;

struct Printed {
  Value value;
  std::string formatted, raw;
};

void expect(const std::vector<Printed>& cases) {
  for (const Printed& c : cases) {
    EXPECT_EQ(program::print_formatted(c.value), c.formatted);
    EXPECT_EQ(program::print_raw(c.value), c.raw);
  }
}

TEST(Printer, PrintsOneValue) {
  expect({
      {simple("OK"), "OK\n", "OK\n"},
      {error("ERR no"), "(error) ERR no\n", "ERR no\n\n"},
      {integer(-7), "(integer) -7\n", "-7\n"},
      {bulk("hello"), "\"hello\"\n", "hello\n"},
      {bulk(""), "\"\"\n", "\n"},
      {null(), "(nil)\n", "\n"},
      {boolean(true), "(true)\n", "(true)\n"},
      {boolean(false), "(false)\n", "(false)\n"},
      {text(Type::real, "3.25"), "(double) 3.25\n", "3.25\n"},
      {text(Type::real, "inf"), "(double) inf\n", "inf\n"},
      {text(Type::verbatim, "a\nb\"c"), "a\nb\"c\n", "a\nb\"c\n"},
  });
}

// redis-cli gives up on it: "Unknown reply type: 13".
TEST(Printer, PrintsABigNumber) {
  expect({{text(Type::big_number, "12345678901234567890"),
           "12345678901234567890\n", "12345678901234567890\n"}});
}

TEST(Printer, QuotesBytes) {
  const std::string_view bytes("a\"b\\c\n\r\t\a\b\0\xff ~", 14);
  expect({
      {bulk(bytes), "\"a\\\"b\\\\c\\n\\r\\t\\a\\b\\x00\\xff ~\"\n",
       std::string(bytes) + "\n"},
      {bulk("\xc3\xa4"), "\"\\xc3\\xa4\"\n", "\xc3\xa4\n"},
      {bulk("\x1f\x7f"), "\"\\x1f\\x7f\"\n", "\x1f\x7f\n"},
  });
}

TEST(Printer, NumbersElements) {
  std::string ten, ten_raw;
  for (int i = 1; i <= 10; ++i) {
    ten += (i < 10 ? " " : "") + std::to_string(i) + ") (integer) 1\n";
    ten_raw += "1\n";
  }
  expect({
      {array({}), "(empty array)\n", "\n"},
      {set({}), "(empty set)\n", "\n"},
      {map({}), "(empty hash)\n", "\n"},
      {array({bulk("a"), integer(2), simple("OK")}),
       "1) \"a\"\n2) (integer) 2\n3) OK\n", "a\n2\nOK\n"},
      {array({error("ERR x"), integer(1)}),
       "1) (error) ERR x\n2) (integer) 1\n", "ERR x\n\n1\n"},
      {set({bulk("a"), bulk("b")}), "1~ \"a\"\n2~ \"b\"\n", "a\nb\n"},
      {array(std::vector<Value>(10, integer(1))), ten, ten_raw},
  });
}

TEST(Printer, IndentsWhatIsNested) {
  std::string ten, ten_raw;
  for (int i = 1; i <= 10; ++i) {
    ten += (i < 10 ? " " : "") + std::to_string(i) +
           ") 1) (integer) 1\n    2) (integer) 2\n";
    ten_raw += "1\n2\n";
  }
  const Value two = array({integer(1), integer(2)});
  expect({
      {array({array({bulk("a"), array({bulk("b"), null()})}), array({})}),
       "1) 1) \"a\"\n"
       "   2) 1) \"b\"\n"
       "      2) (nil)\n"
       "2) (empty array)\n",
       "a\nb\n\n\n"},
      {array(std::vector<Value>(10, two)), ten, ten_raw},
      {set({two, integer(3)}),
       "1~ 1) (integer) 1\n   2) (integer) 2\n2~ (integer) 3\n", "1\n2\n3\n"},
  });
}

TEST(Printer, PutsAValueBehindItsKey) {
  const Value two = array({integer(1), integer(2)});
  expect({
      {map({bulk("a"), integer(1), bulk("b"), two}),
       "1# \"a\" => (integer) 1\n"
       "2# \"b\" => \n"
       "   1) (integer) 1\n"
       "   2) (integer) 2\n",
       "a 1\nb 1\n2\n"},
      {map({bulk("a"), array({integer(1)})}), "1# \"a\" => 1) (integer) 1\n",
       "a 1\n"},
      {map({bulk("a"), array({})}), "1# \"a\" => (empty array)\n", "a \n"},
      {map({bulk("a"), null()}), "1# \"a\" => (nil)\n", "a \n"},
      {map({bulk("a"), text(Type::verbatim, "a\nb")}), "1# \"a\" => a\nb\n",
       "a a\nb\n"},
      {map({two, integer(9)}),
       "1# 1) (integer) 1\n   2) (integer) 2 => (integer) 9\n", "1\n2 9\n"},
      {array({map({bulk("k"), map({bulk("x"), integer(1)})})}),
       "1) 1# \"k\" => 1# \"x\" => (integer) 1\n", "k x 1\n"},
      {map({bulk("a"), map({bulk("b"), two})}),
       "1# \"a\" => \n"
       "   1# \"b\" => \n"
       "      1) (integer) 1\n"
       "      2) (integer) 2\n",
       "a b 1\n2\n"},
  });
}

TEST(Printer, KnowsWhatIsTextAlready) {
  EXPECT_TRUE(program::answers_with_text({"info"}));
  EXPECT_TRUE(program::answers_with_text({"INFO", "server"}));
  EXPECT_TRUE(program::answers_with_text({"Cluster", "NODES"}));
  EXPECT_TRUE(program::answers_with_text({"cluster", "info"}));
  EXPECT_FALSE(program::answers_with_text({"cluster", "slots"}));
  EXPECT_FALSE(program::answers_with_text({"cluster"}));
  EXPECT_FALSE(program::answers_with_text({"get", "info"}));
  EXPECT_FALSE(program::answers_with_text({}));
}

// What it was made of may go, and it may be moved.
TEST(Answer, OwnsItsBytes) {
  std::string bytes = "abcdef";
  const std::string_view lent = bytes;
  program::Answer answer(
      array({bulk(lent.substr(0, 3)), array({simple(lent.substr(3))})}));
  bytes.assign(bytes.size(), 'x');
  const program::Answer moved = std::move(answer);
  EXPECT_EQ(program::print_raw(moved.value()), "abc\ndef\n");
  EXPECT_FALSE(moved.is_error());
  EXPECT_TRUE(program::Answer(error("ERR")).is_error());
  EXPECT_EQ(program::Answer(error("ERR")).text(), "ERR");
}

}  // namespace
