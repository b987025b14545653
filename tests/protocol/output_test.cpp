#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "tests/protocol/fixture.hpp"

namespace {

using fixture::as_text;
using protocol::Budget;
using protocol::Output;
using protocol::Pool;

constexpr std::size_t kibibyte = 1 << 10;

class OutputTest : public testing::Test {
 protected:
  std::string drain() {
    std::string all;
    while (output.size() != 0) {
      all += as_text(output.lend());
      output.sent(output.lend().size());
    }
    return all;
  }

  Budget budget{64 << 20};
  Pool pool{budget, 0};
  Output output{pool};
};

TEST_F(OutputTest, begins_small_and_ends_with_nothing) {
  EXPECT_TRUE(output.lend().empty());
  output.append("");
  EXPECT_EQ(output.held(), 0u);
  output.append("abc");
  EXPECT_EQ(output.held(), kibibyte);
  EXPECT_EQ(output.size(), 3u);
  EXPECT_EQ(drain(), "abc");
  EXPECT_EQ(output.held(), 0u);
  EXPECT_EQ(budget.used(), 0u);
}

// One call of send(2) is to carry all that fits into one block.
TEST_F(OutputTest, grows_in_one_piece_up_to_64_kibibytes) {
  std::string all;
  for (int i = 0; all.size() + 7 <= 64 * kibibyte; ++i) {
    const std::string piece = std::to_string(1'000'000 + i);
    output.append(piece);
    all += piece;
    ASSERT_LT(output.held(), std::max(kibibyte + 1, 4 * all.size()));
    ASSERT_EQ(budget.used(), output.held());
  }
  EXPECT_EQ(output.held(), 64 * kibibyte);
  EXPECT_EQ(as_text(output.lend()), all);
  output.sent(0);
  output.append(std::string(100, 'z'));
  EXPECT_EQ(drain(), all + std::string(100, 'z'));
}

TEST_F(OutputTest, large_pieces_take_blocks_of_their_size) {
  output.append(std::string(5000, 'a'));
  EXPECT_EQ(output.held(), 8 * kibibyte);
  drain();
  output.append("$100000\r\n");
  output.append(std::string(100'000, 'a'));
  output.append("\r\n");
  EXPECT_EQ(output.held(), (64 + 64) * kibibyte);
  EXPECT_EQ(output.lend().size(), 64 * kibibyte);
  EXPECT_EQ(drain(), "$100000\r\n" + std::string(100'000, 'a') + "\r\n");
}

// What comes in small pieces is in no more blocks, and is not moved again.
TEST_F(OutputTest, a_bulk_in_pieces_takes_the_blocks_of_one_in_one) {
  const std::string piece(64, 'a');
  protocol::Writer(output, 2).bulk(100'000, [&](auto visit) {
    for (std::size_t at = 0; at < 100'000; at += 64)
      visit(std::string_view(piece).substr(0, 100'000 - at));
    EXPECT_EQ(pool.allocations(), 3u);  // the line's, grown once, and a second
  });
  EXPECT_EQ(output.held(), (64 + 64) * kibibyte);
  EXPECT_EQ(drain(), "$100000\r\n" + std::string(100'000, 'a') + "\r\n");
}

TEST_F(OutputTest, what_is_lent_does_not_move) {
  output.append("abc");
  const auto lent = output.lend();
  output.append("def");  // fits behind it
  EXPECT_EQ(output.held(), kibibyte);
  EXPECT_EQ(output.lend().data(), lent.data());
  EXPECT_EQ(output.lend().size(), 3u);
  output.append(std::string(2000, 'g'));  // does not
  EXPECT_EQ(output.held(), 3 * kibibyte);
  output.append(std::string(30'000, 'h'));  // the second block may grow
  EXPECT_EQ(output.held(), 33 * kibibyte);
  EXPECT_EQ(as_text(lent), "abc");
  output.sent(2);
  EXPECT_EQ(drain(),
            "cdef" + std::string(2000, 'g') + std::string(30'000, 'h'));
}

TEST_F(OutputTest, a_full_block_that_is_lent_is_followed_by_another) {
  output.append(std::string(1024, 'a'));
  const auto lent = output.lend();
  EXPECT_EQ(lent.size(), kibibyte);
  std::memset(output.extend(10), 'b', 10);
  EXPECT_EQ(output.held(), 2 * kibibyte);
  EXPECT_EQ(as_text(lent), std::string(1024, 'a'));
  EXPECT_EQ(drain(), std::string(1024, 'a') + std::string(10, 'b'));
}

TEST_F(OutputTest, makes_place_of_what_was_sent) {
  output.append(std::string(1000, 'a'));
  output.lend();
  output.sent(990);
  output.append(std::string(100, 'b'));
  EXPECT_EQ(output.held(), kibibyte);
  EXPECT_EQ(drain(), std::string(10, 'a') + std::string(100, 'b'));
  // Where that is not much, the block is doubled all the same: else few bytes
  // would be won again and again, and all of them moved each time.
  output.append(std::string(1010, 'a'));
  output.lend();
  output.sent(10);
  output.append(std::string(20, 'b'));
  EXPECT_EQ(output.held(), 2 * kibibyte);
  EXPECT_EQ(drain(), std::string(1000, 'a') + std::string(20, 'b'));
}

TEST_F(OutputTest, takes_texts_of_every_length) {
  const std::string text(100'000, 'e');
  protocol::Writer(output, 2).error(text);
  protocol::Writer(output, 2).bulk(text);
  EXPECT_EQ(drain(), "-" + text + "\r\n$100000\r\n" + text + "\r\n");
}

TEST_F(OutputTest, extends_into_one_block) {
  output.append(std::string(64 * kibibyte - 10, 'a'));
  std::memset(output.extend(10), 'b', 10);
  EXPECT_EQ(output.held(), 64 * kibibyte);
  std::memset(output.extend(20), 'c', 20);
  EXPECT_EQ(output.held(), 65 * kibibyte);
  EXPECT_EQ(drain(), std::string(64 * kibibyte - 10, 'a') +
                         std::string(10, 'b') + std::string(20, 'c'));
  // Too little room in a block of full size: the next one.
  output.append(std::string(64 * kibibyte - 10, 'a'));
  std::memset(output.extend(20), 'c', 20);
  EXPECT_EQ(output.lend().size(), 64 * kibibyte - 10);
  EXPECT_EQ(drain(),
            std::string(64 * kibibyte - 10, 'a') + std::string(20, 'c'));
}

// What the output must hold, kept the plain way.
struct Mirror {
  std::string unsent;
  std::size_t lent = 0;

  void append(Output& output, const std::string& piece) {
    output.append(piece);
    unsent += piece;
  }
  void extend(Output& output, const std::string& piece) {
    std::memcpy(output.extend(piece.size()), piece.data(), piece.size());
    unsent += piece;
  }
  void lend(Output& output) {
    const std::string_view now = as_text(output.lend());
    ASSERT_EQ(now, std::string_view(unsent).substr(0, now.size()));
    ASSERT_TRUE(lent == 0 || now.size() == lent);
    lent = now.size();
  }
  void send(Output& output, std::size_t n) {
    output.sent(n);
    unsent.erase(0, n);
    lent = 0;
  }
};

TEST_F(OutputTest, keeps_every_byte_whatever_happens) {
  std::mt19937_64 random(4711);
  const auto below = [&](std::size_t limit) {
    return fixture::below(random, limit);
  };
  Mirror mirror;
  for (int i = 0; i < 50'000; ++i) {
    const std::size_t size = 1 + below(below(16) == 0 ? 50'000 : 300);
    const std::string piece(size, static_cast<char>('a' + i % 26));
    const std::size_t choice = below(4);
    if (choice == 0) {
      mirror.append(output, piece);
    } else if (choice == 1 && size <= Output::extend_max) {
      mirror.extend(output, piece);
    } else if (choice == 2) {
      mirror.lend(output);
      mirror.lend(output);
    } else {
      mirror.lend(output);
      mirror.send(output, below(mirror.lent + 1));
    }
    ASSERT_EQ(output.size(), mirror.unsent.size());
    ASSERT_EQ(budget.used(), output.held());
  }
  mirror.send(output, 0);
  EXPECT_EQ(drain(), mirror.unsent);
}

}  // namespace
