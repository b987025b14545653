#include "protocol/parser.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/protocol/fixture.hpp"

namespace {

using namespace std::string_literals;
using protocol::Limits;
using protocol::Parsed;
using protocol::Scratch;
using Arguments = std::vector<std::string>;
using Kind = Parsed::Kind;

Parsed parse(std::string_view bytes, Scratch& scratch,
             const Limits& limits = {}) {
  protocol::Progress progress;
  return parse_request(fixture::as_bytes(bytes), limits, scratch, progress);
}

Arguments arguments_of(const Scratch& scratch) {
  const auto arguments = scratch.arguments();
  return {arguments.begin(), arguments.end()};
}

protocol::Pool& pool() {
  static protocol::Budget budget(64 << 20);
  static protocol::Pool all(budget, 0);
  return all;
}

// No prefix is more than incomplete, and each says how many bytes are worth
// another look: more than there are, and never more than the frame.
void expect_patience(std::string_view frame, const Limits& limits) {
  Scratch scratch(pool());
  for (std::size_t size = 0; size < frame.size(); ++size) {
    const Parsed parsed = parse(frame.substr(0, size), scratch, limits);
    ASSERT_EQ(parsed.kind, Kind::incomplete) << frame << " cut at " << size;
    ASSERT_GT(parsed.needed, size) << frame;
    ASSERT_LE(parsed.needed, frame.size()) << frame;
  }
}

// Byte by byte, each look going on where the last one ended.
void expect_same_in_pieces(std::string_view bytes, const Parsed& whole,
                           const Arguments& arguments, const Limits& limits) {
  Scratch scratch(pool());
  protocol::Progress progress;
  Parsed parsed;
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    parsed = parse_request(fixture::as_bytes(bytes.substr(0, size)), limits,
                           scratch, progress);
    if (parsed.kind != Kind::incomplete) break;
  }
  EXPECT_EQ(parsed.kind, whole.kind) << bytes;
  EXPECT_EQ(parsed.consumed, whole.consumed) << bytes;
  EXPECT_EQ(protocol_error(parsed), protocol_error(whole)) << bytes;
  if (parsed.kind == Kind::error) return;
  EXPECT_EQ(arguments_of(scratch), arguments) << bytes;
  EXPECT_EQ(progress.at, 0u) << bytes;
}

void expect_frame(std::string_view frame, const Arguments& arguments,
                  const Limits& limits = {}) {
  const Kind kind = arguments.empty() ? Kind::nothing : Kind::request;
  expect_patience(frame, limits);
  // Whole, and with something attached: the same frame.
  for (const std::string& next :
       {""s, "*1\r\n$4\r\nPING\r\n"s, "PING\r\n"s, "\r\n"s, "x"s, "\0"s}) {
    const std::string bytes = std::string(frame) + next;
    Scratch scratch(pool());
    const Parsed parsed = parse(bytes, scratch, limits);
    EXPECT_EQ(parsed.kind, kind) << frame << " then " << next;
    EXPECT_EQ(parsed.consumed, frame.size()) << frame << " then " << next;
    EXPECT_EQ(arguments_of(scratch), arguments) << frame << " then " << next;
    expect_same_in_pieces(bytes, parsed, arguments, limits);
  }
}

// The last byte of `bytes` is the one that makes the error certain.
void expect_error(std::string_view bytes, std::string_view error,
                  const Limits& limits = {}) {
  expect_patience(bytes.substr(0, bytes.size() - 1), limits);
  for (const std::string& next : {""s, "x"s, "\r\n*1\r\n"s}) {
    Scratch scratch(pool());
    const Parsed parsed = parse(std::string(bytes) + next, scratch, limits);
    EXPECT_EQ(parsed.kind, Kind::error) << bytes << next;
    EXPECT_EQ(protocol_error(parsed), "ERR Protocol error: "s.append(error))
        << bytes << next;
    expect_same_in_pieces(std::string(bytes) + next, parsed, {}, limits);
  }
}

TEST(Parser, takes_arrays_of_bulk_strings) {
  expect_frame("*1\r\n$4\r\nPING\r\n", {"PING"});
  expect_frame("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", {"ECHO", ""});
  expect_frame("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nline\r\n\0 end \r\n"s,
               {"SET", "k", "line\r\n\0 end"s + " "});
  const std::string long_one(12'345, 'x');
  expect_frame(fixture::request({"ECHO", long_one}), {"ECHO", long_one});
}

TEST(Parser, takes_as_many_arguments_as_it_may) {
  Limits limits;
  limits.arguments_max = 12;
  std::string frame = "*12\r\n";
  for (int i = 0; i < 12; ++i) frame += "$1\r\na\r\n";
  expect_frame(frame, Arguments(12, "a"), limits);
  expect_error("*13\r\n", "invalid multibulk length", limits);
}

// Like Redis it does not look at the byte behind '\r', nor at the two bytes
// behind a bulk.
TEST(Parser, ends_lines_where_redis_ends_them) {
  expect_frame("*1\rx$4\r\nPINGxy", {"PING"});
  expect_frame("*2\r\n$1\r?a\r\n$1\r\nb\n\r", {"a", "b"});
}

TEST(Parser, takes_empty_frames_for_nothing) {
  for (const char* frame : {"*0\r\n", "*-1\r\n", "*-1024\r\n", "\r\n", "\n",
                            "  \t \r\n", "*-9223372036854775808\r\n"}) {
    expect_frame(frame, {});
  }
}

TEST(Parser, takes_inline_requests) {
  expect_frame("PING\r\n", {"PING"});
  expect_frame("PING\n", {"PING"});
  expect_frame("  SET\tkey  value \r\n", {"SET", "key", "value"});
  expect_frame("$4\r\n", {"$4"});
  expect_frame("a\rb\r\n", {"a", "b"});
  expect_frame("a\vb\fc \v d\r\n", {"a\vb\fc", "d"});
  expect_frame("\0 a\0b\r\n"s, {"\0"s, "a\0b"s});
}

TEST(Parser, resolves_quotes_as_redis_does) {
  expect_frame(R"(a "b c" 'd e' "" '')"
               "\r\n",
               {"a", "b c", "d e", "", ""});
  expect_frame(R"("\x41\x4a\x4A\xfF\x00\xg0\x4")"
               "\r\n",
               {"AJJ\xff\0xg0x4"s});
  expect_frame(R"("\n\r\t\b\a\"\\\q" "\x")"
               "\r\n",
               {"\n\r\t\b\a\"\\q", "x"});
  expect_frame(R"('it\'s \n "so"' a'b' c"d")"
               "\r\n",
               {"it's \\n \"so\"", "ab", "cd"});
}

TEST(Parser, wants_quotes_closed_where_a_word_ends) {
  for (const char* line :
       {"\"", "'", "\"abc", "'abc", "\"a\"b", "'a'b", "\"abc\\\"", "'abc\\'",
        "\"abc\\", "'abc\\", "ok \"", "a\"b\"c", "a\"b\"'c'", "\"\\x4"}) {
    expect_error(line + "\n"s, "unbalanced quotes in request");
  }
}

TEST(Parser, wants_counts_that_are_numbers) {
  for (const char* count :
       {"", "a", "1a", " 1", "1 ", "+1", "01", "-0", "-", "1048577", "12345678",
        "123456789", "4294967297", "9223372036854775807", "9223372036854775808",
        "-9223372036854775809", "$1", "*1"}) {
    expect_error("*"s + count + "\r\n", "invalid multibulk length");
  }
  for (const char* size : {"", "a", "1a", " 1", "+1", "01", "-1", "-0", "-",
                           "1048577", "9999999", "99999999", "2147483648",
                           "18446744073709551617", "9223372036854775807"}) {
    expect_error("*1\r\n$"s + size + "\r\n", "invalid bulk length");
  }
}

TEST(Parser, wants_a_dollar_where_a_bulk_begins) {
  expect_error("*1\r\nfoo\r\n", "expected '$', got 'f'");
  expect_error("*1\r\n*1\r\n", "expected '$', got '*'");
  expect_error("*2\r\n$1\r\na\r\n:1\r\n", "expected '$', got ':'");
  expect_error("*1\r\n\r\n", "expected '$', got '\r'");
  expect_error("*1\r\n\0\r\n"s, "expected '$', got '\0'"s);
}

TEST(Parser, limits_lines) {
  Limits limits;
  limits.inline_max = 100;
  const std::string full(100, 'a');
  expect_frame(full + "\n", {full}, limits);
  expect_error(full + "a", "too big inline request", limits);
  const std::string digits(99, '0');
  expect_error("*" + digits + "\r\n", "invalid multibulk length", limits);
  expect_error("*" + digits + "0", "too big mbulk count string", limits);
  expect_error("*1\r\n$" + digits + "\r\n", "invalid bulk length", limits);
  expect_error("*1\r\n$" + digits + "0", "too big bulk count string", limits);
}

TEST(Parser, limits_the_words_of_a_line) {
  Limits limits;
  limits.arguments_max = 3;
  expect_frame("a b c \r\n", {"a", "b", "c"}, limits);
  expect_error("a b c d\n", "too big inline request", limits);
}

TEST(Parser, limits_bulks) {
  Limits limits;
  limits.bulk_max = 10;
  expect_frame("*1\r\n$10\r\n0123456789\r\n", {"0123456789"}, limits);
  expect_error("*1\r\n$11\r\n", "invalid bulk length", limits);
}

TEST(Parser, limits_frames) {
  Limits limits;
  limits.frame_max = 30;
  expect_frame("*2\r\n$5\r\n01234\r\n$9\r\n012345678\r\n",
               {"01234", "012345678"}, limits);
  expect_error("*2\r\n$6\r\n012345\r\n$9\r\n", "too big request", limits);
  expect_frame(std::string(29, 'a') + "\n", {std::string(29, 'a')}, limits);
  expect_error(std::string(30, 'a') + "\n", "too big request", limits);
}

TEST(Parser, asks_for_a_large_bulk_once) {
  const std::string head = "*2\r\n$4\r\nECHO\r\n$1048576\r\n";
  Scratch scratch(pool());
  const Parsed parsed = parse(head, scratch);
  EXPECT_EQ(parsed.kind, Kind::incomplete);
  EXPECT_EQ(parsed.needed, head.size() + (1 << 20) + 2);
  // The last bulk of two is not asked for before the first has come.
  EXPECT_EQ(parse("*2\r\n$10\r\n", scratch).needed, 9u + 12u);
}

}  // namespace
