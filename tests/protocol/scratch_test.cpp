#include "protocol/scratch.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "tests/tools/allocations.hpp"

namespace {

using protocol::Budget;
using protocol::Pool;
using protocol::Scratch;

class ScratchTest : public testing::Test {
 protected:
  Budget budget{64 << 20};
  Pool pool{budget, 0};
};

TEST_F(ScratchTest, a_few_arguments_take_no_block) {
  const std::string word = "word";
  Scratch scratch(pool);
  for (std::size_t i = 0; i < Scratch::few_max; ++i) scratch.add(word);
  EXPECT_EQ(scratch.arguments().size(), Scratch::few_max);
  EXPECT_EQ(scratch.arguments().back(), word);
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(ScratchTest, many_arguments_are_in_the_budget_and_go_back) {
  std::string digits;
  for (char digit = '0'; digit <= '9'; ++digit) digits += digit;
  {
    Scratch scratch(pool);
    for (std::size_t i = 0; i < 10'000; ++i)
      scratch.add(std::string_view(digits).substr(i % 10, 1));
    EXPECT_GE(budget.used(), 10'000 * sizeof(std::string_view));
    EXPECT_LE(budget.used(), 4 * 10'000 * sizeof(std::string_view));
    for (std::size_t i = 0; i < 10'000; ++i)
      ASSERT_EQ(scratch.arguments()[i], digits.substr(i % 10, 1)) << i;
    scratch.clear();
    EXPECT_TRUE(scratch.arguments().empty());
  }
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(ScratchTest, text_has_one_block) {
  {
    Scratch scratch(pool);
    char* const text = scratch.text(1000);
    std::memset(text, 1, 1000);
    EXPECT_EQ(scratch.text(10), text);
    std::memset(scratch.text(5000), 1, 5000);
    EXPECT_EQ(budget.used(), 8u << 10);
  }
  EXPECT_EQ(budget.used(), 0u);
}

TEST_F(ScratchTest, without_memory_nothing_has_changed) {
  Scratch scratch(pool);
  for (std::size_t i = 0; i < Scratch::few_max; ++i) scratch.add("word");
  refuse_allocations(0, 1);
  EXPECT_THROW(scratch.add("more"), std::bad_alloc);
  EXPECT_EQ(serve_allocations(), 1u);
  EXPECT_EQ(scratch.arguments().size(), Scratch::few_max);
  scratch.add("more");
  EXPECT_EQ(scratch.arguments().back(), "more");
}

}  // namespace
