#include "protocol/reply_parser.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace {

using namespace std::string_literals;
using protocol::read_reply;
using protocol::ReplyScanner;
using protocol::Value;
using State = ReplyScanner::State;
using Type = Value::Type;

constexpr std::size_t reply_max = 1 << 20;

// Whole, byte by byte, cut at every boundary, and with the next one attached.
void expect_whole(std::string_view reply) {
  for (const std::string& next : {""s, "+OK\r\n"s, "x"s}) {
    ReplyScanner scanner(reply_max);
    const std::string bytes = std::string(reply) + next;
    ASSERT_EQ(scanner.scan(bytes), State::whole) << reply;
    ASSERT_EQ(scanner.size(), reply.size()) << reply;
  }
  ReplyScanner patient(reply_max);
  for (std::size_t size = 0; size < reply.size(); ++size) {
    ReplyScanner scanner(reply_max);
    ASSERT_EQ(scanner.scan(reply.substr(0, size)), State::incomplete) << size;
    ASSERT_EQ(scanner.scan(reply), State::whole) << reply << size;
    ASSERT_EQ(scanner.size(), reply.size()) << reply << size;
    ASSERT_EQ(patient.scan(reply.substr(0, size)), State::incomplete) << size;
  }
  ASSERT_EQ(patient.scan(reply), State::whole) << reply;
}

Value read(std::string_view reply) {
  expect_whole(reply);
  Value value;
  EXPECT_EQ(read_reply(reply, value), reply.size()) << reply;
  return value;
}

void expect_value(std::string_view reply, Type type, std::string_view text = {},
                  std::int64_t integer = 0) {
  const Value value = read(reply);
  EXPECT_EQ(value.type, type) << reply;
  EXPECT_EQ(value.text, text) << reply;
  EXPECT_EQ(value.integer, integer) << reply;
  EXPECT_TRUE(value.elements.empty()) << reply;
}

void expect_error(std::string_view reply, std::string_view why) {
  ReplyScanner whole(reply_max);
  EXPECT_EQ(whole.scan(reply), State::error) << reply;
  EXPECT_EQ(whole.error(), why) << reply;
  ReplyScanner patient(reply_max);
  std::size_t size = 0;
  while (patient.scan(reply.substr(0, size)) == State::incomplete) {
    ASSERT_LT(size++, reply.size()) << reply;
  }
  EXPECT_EQ(patient.error(), why) << reply;
}

TEST(ReplyParser, reads_lines) {
  expect_value("+OK\r\n", Type::simple, "OK");
  expect_value("+\r\n", Type::simple);
  expect_value("-ERR no such thing\r\n", Type::error, "ERR no such thing");
  expect_value("_\r\n", Type::null);
  expect_value("#t\r\n", Type::boolean, {}, 1);
  expect_value("#f\r\n", Type::boolean, {}, 0);
  for (const char* real :
       {"1.5", "-1e10", "10", "inf", "-inf", "nan", "1e999", "-0.0"}) {
    expect_value(","s + real + "\r\n", Type::real, real);
  }
  for (const char* number :
       {"0", "-1", "+1", "3492890328409238509324850943850943825024385"}) {
    expect_value("("s + number + "\r\n", Type::big_number, number);
  }
}

TEST(ReplyParser, reads_integers) {
  expect_value(":0\r\n", Type::integer, {}, 0);
  expect_value(":-12\r\n", Type::integer, {}, -12);
  expect_value(":+12\r\n", Type::integer, {}, 12);
  expect_value(":9223372036854775807\r\n", Type::integer, {},
               std::numeric_limits<std::int64_t>::max());
  expect_value(":-9223372036854775808\r\n", Type::integer, {},
               std::numeric_limits<std::int64_t>::min());
}

TEST(ReplyParser, reads_bulks) {
  expect_value("$0\r\n\r\n", Type::bulk);
  expect_value("$5\r\na\r\n\0b\r\n"s, Type::bulk, "a\r\n\0b"s);
  expect_value("$-1\r\n", Type::null);
  expect_value("!6\r\nERR\r\nx\r\n", Type::error, "ERR\r\nx");
  expect_value("=7\r\ntxt:abc\r\n", Type::verbatim, "abc");
  expect_value("=4\r\nmkd:\r\n", Type::verbatim);
}

// By their size they are read in one way or the other.
TEST(ReplyParser, reads_long_bulks) {
  for (const std::size_t size : {99'999u, 999'999u, 1'000'000u, 9'999'999u}) {
    const std::string line = "$" + std::to_string(size) + "\r\n";
    const std::string text(size, 'x');
    const std::string reply = line + text + "\r\n";
    ReplyScanner scanner(16 << 20);
    EXPECT_EQ(scanner.scan(line), State::incomplete);
    EXPECT_EQ(scanner.scan(line + text + '\r'), State::incomplete);
    EXPECT_EQ(scanner.scan(reply), State::whole);
    Value value;
    EXPECT_EQ(read_reply(reply, value), reply.size());
    EXPECT_EQ(value.text, text);
  }
}

TEST(ReplyParser, reads_what_holds_others) {
  expect_value("*0\r\n", Type::array);
  expect_value("*-1\r\n", Type::null);
  expect_value("%0\r\n", Type::map);
  expect_value("~0\r\n", Type::set);
  const Value value = read(
      "*4\r\n%2\r\n+a\r\n*0\r\n$1\r\nb\r\n~1\r\n:1\r\n*1\r\n*1\r\n$-1\r\n"
      "+end\r\n_\r\n");
  ASSERT_EQ(value.type, Type::array);
  ASSERT_EQ(value.elements.size(), 4u);
  const Value& map = value.elements[0];
  EXPECT_EQ(map.type, Type::map);
  ASSERT_EQ(map.elements.size(), 4u);
  EXPECT_EQ(map.elements[0].text, "a");
  EXPECT_EQ(map.elements[1].type, Type::array);
  EXPECT_EQ(map.elements[2].text, "b");
  EXPECT_EQ(map.elements[3].type, Type::set);
  EXPECT_EQ(map.elements[3].elements.at(0).integer, 1);
  EXPECT_EQ(value.elements[1].elements.at(0).elements.at(0).type, Type::null);
  EXPECT_EQ(value.elements[2].text, "end");
  EXPECT_EQ(value.elements[3].type, Type::null);
}

TEST(ReplyParser, reads_one_reply_after_the_other) {
  const std::string first = "*2\r\n:1\r\n:2\r\n";
  ReplyScanner scanner(reply_max);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(scanner.scan("*2\r\n:1\r\n"), State::incomplete);
    EXPECT_EQ(scanner.scan(first + first), State::whole);
    EXPECT_EQ(scanner.size(), first.size());
  }
  EXPECT_EQ(scanner.scan("*2\r\n:1\r\n"), State::incomplete);
  scanner.reset();
  EXPECT_EQ(scanner.scan(first), State::whole);
}

TEST(ReplyParser, reads_into_the_same_value_again) {
  Value value;
  read_reply("*2\r\n*2\r\n:1\r\n:2\r\n+x\r\n", value);
  read_reply("*1\r\n:7\r\n", value);
  ASSERT_EQ(value.elements.size(), 1u);
  EXPECT_EQ(value.elements[0].type, Type::integer);
  EXPECT_TRUE(value.elements[0].elements.empty());
  read_reply("_\r\n", value);
  EXPECT_EQ(value.type, Type::null);
  EXPECT_TRUE(value.elements.empty());
  EXPECT_TRUE(value.text.empty());
}

TEST(ReplyParser, refuses_what_is_not_resp) {
  for (const char* reply :
       {"\n", "\r\n", "+\n", "+OK\n", "+O\rK\r\n", "+OK\r\r\n", "x\n", "$1\n",
        "$1\rxa\r\n", "$1x\na\r\n", "$12345678\rx\r\n"}) {
    expect_error(reply, "a line that does not end as a line does");
  }
  for (const char* reply : {"?\r\n", "PONG\r\n", ">2\r\n", "|1\r\n", ".\r\n"}) {
    expect_error(reply, "an unexpected type of reply");
  }
}

TEST(ReplyParser, refuses_wrong_numbers) {
  for (const char* reply :
       {":\r\n", ":x\r\n", ":1.5\r\n", ":++1\r\n", ":9223372036854775808\r\n",
        ",\r\n", ",x\r\n", ",1.5x\r\n", ", 1\r\n", "(\r\n", "(-\r\n", "(+\r\n",
        "(1x\r\n", "(--1\r\n"}) {
    expect_error(reply, "not a number");
  }
  for (const char* reply :
       {"$\r\n", "$x\r\n", "$-2\r\n", "$01\r\n", "$?\r\n", "$1 \r\n\r\n",
        "!-1\r\n", "=-1\r\n", "*\r\n", "*-2\r\n", "*?\r\n", "%-1\r\n",
        "~-1\r\n", "%x\r\n"}) {
    expect_error(reply, "invalid length");
  }
}

TEST(ReplyParser, refuses_values_that_are_none) {
  expect_error("#\r\n", "neither true nor false");
  expect_error("#true\r\n", "neither true nor false");
  expect_error("_x\r\n", "a null that says something");
  for (const char* reply : {"=3\r\ntxt\r\n", "=0\r\n\r\n", "=4\r\ntxt.\r\n"}) {
    expect_error(reply, "a verbatim string without its kind");
  }
  for (const char* reply :
       {"$1\r\nab\r\n", "$1\r\na\rb\n", "$0\r\n+O", "!1\r\na\n\r"}) {
    expect_error(reply, "a bulk that does not end where it should");
  }
}

TEST(ReplyParser, limits_the_depth) {
  std::string deep;
  for (std::size_t i = 0; i < ReplyScanner::depth_max; ++i) deep += "*1\r\n";
  expect_whole(deep + ":1\r\n");
  expect_whole(deep + "*0\r\n");
  expect_error(deep + "*1\r\n", "too deep a reply");
}

TEST(ReplyParser, limits_the_elements) {
  expect_error("*1048577\r\n", "too many elements");
  expect_error("%524289\r\n", "too many elements");
  expect_error("*9223372036854775807\r\n", "too many elements");
  expect_error("*2\r\n*1048575\r\n", "too many elements");
  ReplyScanner scanner(reply_max);
  EXPECT_EQ(scanner.scan("*2\r\n*1048574\r\n"), State::incomplete);
}

TEST(ReplyParser, limits_the_size) {
  expect_error("$1048577\r\n", "too large a reply");
  expect_error("$9223372036854775807\r\n", "too large a reply");
  ReplyScanner scanner(20);
  EXPECT_EQ(scanner.scan("+" + std::string(17, 'a') + "\r\n"), State::whole);
  EXPECT_EQ(scanner.scan("+" + std::string(18, 'a') + "\r\n"), State::error);
  ReplyScanner bulks(20);
  EXPECT_EQ(bulks.scan("$13\r\n" + std::string(13, 'a') + "\r\n"),
            State::whole);
  EXPECT_EQ(bulks.scan("$14\r\n" + std::string(14, 'a') + "\r\n"),
            State::error);
  ReplyScanner patient(20);
  EXPECT_EQ(patient.scan("+" + std::string(19, 'a')), State::incomplete);
  EXPECT_EQ(patient.scan("+" + std::string(20, 'a')), State::error);
  EXPECT_EQ(patient.error(), "too large a reply");
}

}  // namespace
