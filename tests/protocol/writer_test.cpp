#include "protocol/writer.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "protocol/reply_parser.hpp"
#include "protocol/value.hpp"

namespace {

using namespace std::string_literals;
using protocol::StringSink;
using protocol::Value;
using protocol::Writer;

template <class Write>
std::string written(int version, Write write) {
  StringSink sink;
  Writer writer(sink, version);
  EXPECT_EQ(writer.version(), version);
  write(writer);
  return sink.text;
}

TEST(Writer, writes_lines) {
  EXPECT_EQ(written(2, [](Writer& to) { to.simple("OK"); }), "+OK\r\n");
  EXPECT_EQ(written(2, [](Writer& to) { to.simple(""); }), "+\r\n");
  EXPECT_EQ(written(3, [](Writer& to) { to.error("ERR no"); }), "-ERR no\r\n");
  EXPECT_EQ(written(3, [](Writer& to) { to.raw("+raw\r\n"); }), "+raw\r\n");
}

TEST(Writer, lets_no_text_break_its_line) {
  EXPECT_EQ(written(2, [](Writer& to) { to.error("ERR '\r\n+OK\r\n'"); }),
            "-ERR '  +OK  '\r\n");
  EXPECT_EQ(written(2, [](Writer& to) { to.simple("a\nb"); }), "+a b\r\n");
  const std::string long_text(10'000, '\n');
  EXPECT_EQ(written(2, [&](Writer& to) { to.error(long_text); }),
            "-" + std::string(10'000, ' ') + "\r\n");
}

TEST(Writer, writes_numbers) {
  for (const std::int64_t number :
       {std::numeric_limits<std::int64_t>::min(), std::int64_t{-10},
        std::int64_t{-1}, std::int64_t{0}, std::int64_t{9}, std::int64_t{10},
        std::numeric_limits<std::int64_t>::max()}) {
    EXPECT_EQ(written(2, [&](Writer& to) { to.integer(number); }),
              ":" + std::to_string(number) + "\r\n");
  }
}

TEST(Writer, writes_bulks_of_every_size) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{9}, std::size_t{10},
        std::size_t{4084}, std::size_t{4085}, std::size_t{4086},
        std::size_t{4087}, std::size_t{4088}, std::size_t{4089},
        std::size_t{5000}, std::size_t{1} << 20}) {
    const std::string bytes(size, '\n');
    EXPECT_EQ(written(2, [&](Writer& to) { to.bulk(bytes); }),
              "$" + std::to_string(size) + "\r\n" + bytes + "\r\n");
    EXPECT_EQ(written(3, [&](Writer& to) { to.verbatim(bytes); }),
              "=" + std::to_string(size + 4) + "\r\ntxt:" + bytes + "\r\n");
  }
}

TEST(Writer, writes_bulks_in_pieces_as_in_one) {
  for (const std::size_t size : {0, 1, 64, 4000, 4064, 4065, 100'000})
    for (const std::size_t piece : {1, 64, 1000, 1'000'000}) {
      std::string bytes;
      while (bytes.size() < size) bytes += std::to_string(bytes.size());
      bytes.resize(size);
      const auto each_piece = [&](auto visit) {
        for (std::size_t at = 0; at < size; at += piece)
          visit(std::string_view(bytes).substr(at, piece));
      };
      EXPECT_EQ(written(2, [&](Writer& to) { to.bulk(size, each_piece); }),
                written(2, [&](Writer& to) { to.bulk(bytes); }))
          << size << " by " << piece;
    }
}

TEST(Writer, speaks_both_versions) {
  const auto write = [](Writer& to) {
    to.null();
    to.array(2);
    to.map(3);
    to.set(4);
    to.verbatim("v");
  };
  EXPECT_EQ(written(2, write), "$-1\r\n*2\r\n*6\r\n*4\r\n$1\r\nv\r\n");
  EXPECT_EQ(written(3, write), "_\r\n*2\r\n%3\r\n~4\r\n=5\r\ntxt:v\r\n");
}

// What a peer has said in RESP3 is passed on, as far as RESP2 can say it.
TEST(Writer, passes_on_every_type) {
  const std::string reply =
      "*14\r\n+OK\r\n-ERR no\r\n:-5\r\n$2\r\n\r\n\r\n_\r\n#t\r\n#f\r\n,1.5\r\n"
      "(123\r\n=5\r\ntxt:v\r\n%1\r\n+a\r\n:1\r\n~2\r\n:1\r\n:2\r\n*0\r\n"
      "!4\r\na\r\nb\r\n";
  Value value;
  ASSERT_EQ(protocol::read_reply(reply, value), reply.size());
  EXPECT_EQ(written(3, [&](Writer& to) { to.value(value); }),
            "*14\r\n+OK\r\n-ERR no\r\n:-5\r\n$2\r\n\r\n\r\n_\r\n#t\r\n#f\r\n"
            ",1.5\r\n(123\r\n=5\r\ntxt:v\r\n%1\r\n+a\r\n:1\r\n~2\r\n:1\r\n"
            ":2\r\n*0\r\n-a  b\r\n");
  EXPECT_EQ(written(2, [&](Writer& to) { to.value(value); }),
            "*14\r\n+OK\r\n-ERR no\r\n:-5\r\n$2\r\n\r\n\r\n$-1\r\n:1\r\n:0\r\n"
            "$3\r\n1.5\r\n$3\r\n123\r\n$1\r\nv\r\n*2\r\n+a\r\n:1\r\n*2\r\n"
            ":1\r\n:2\r\n*0\r\n-a  b\r\n");
}

}  // namespace
