#include "protocol/pool.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "tests/tools/allocations.hpp"

namespace {

using protocol::Block;
using protocol::Budget;
using protocol::Pool;

constexpr std::size_t kibibyte = 1 << 10;

TEST(Pool, rounds_up_to_the_next_power_of_two) {
  Budget budget(64 << 20);
  Pool pool(budget, 0);
  const std::pair<std::size_t, std::size_t> sizes[] = {
      {0, 1},       {1, 1},          {1024, 1},       {1025, 2},
      {2048, 2},    {2049, 4},       {4096, 4},       {65536, 64},
      {65537, 128}, {1 << 20, 1024}, {4 << 20, 4096}, {(4 << 20) + 1, 8192}};
  for (const auto& [asked, got] : sizes) {
    Block* const block = pool.borrow(asked);
    EXPECT_EQ(block->capacity, got * kibibyte) << asked;
    EXPECT_EQ(block->used(), 0u);
    EXPECT_EQ(block->room(), got * kibibyte);
    EXPECT_EQ(block->next, nullptr);
    EXPECT_EQ(budget.used(), got * kibibyte);
    std::memset(block->bytes(), 1, block->capacity);
    pool.give_back(block);
    EXPECT_EQ(budget.used(), 0u);
  }
}

TEST(Pool, has_no_blocks_above_a_gibibyte) {
  Budget budget(1);
  Pool pool(budget);
  EXPECT_THROW(pool.borrow((std::size_t{1} << 30) + 1), std::bad_alloc);
  EXPECT_EQ(pool.try_borrow((std::size_t{1} << 30) + 1), nullptr);
  EXPECT_EQ(budget.used(), 0u);
}

TEST(Pool, hands_out_first_what_came_back_last) {
  Budget budget(64 << 20);
  Pool pool(budget);
  Block* const first = pool.borrow(1);
  Block* const second = pool.borrow(1);
  Block* const large = pool.borrow(5000);
  first->begin = 3;
  first->end = 7;
  pool.give_back(second);
  pool.give_back(large);
  pool.give_back(first);
  EXPECT_EQ(pool.borrow(700), first);
  EXPECT_EQ(first->used(), 0u);
  EXPECT_EQ(first->room(), kibibyte);
  EXPECT_EQ(pool.borrow(1024), second);
  EXPECT_EQ(pool.borrow(8000), large);
  EXPECT_EQ(pool.allocations(), 3u);
  for (Block* block : {first, second, large}) pool.give_back(block);
}

TEST(Pool, keeps_no_more_than_it_may) {
  Budget budget(64 << 20);
  Pool pool(budget, 4 * kibibyte);
  std::vector<Block*> blocks;
  for (int i = 0; i < 6; ++i) blocks.push_back(pool.borrow(1));
  EXPECT_EQ(budget.used(), 6 * kibibyte);
  for (Block* block : blocks) pool.give_back(block);
  EXPECT_EQ(budget.used(), 4 * kibibyte);
  // What is borrowed no longer counts as idle.
  blocks = {pool.borrow(1), pool.borrow(1)};
  EXPECT_EQ(budget.used(), 4 * kibibyte);
  for (Block* block : blocks) pool.give_back(block);
  EXPECT_EQ(budget.used(), 4 * kibibyte);
}

TEST(Pool, of_many_keeps_its_part_of_what_one_would) {
  Budget budget(64 << 20);
  budget.divide_idle(8);
  Pool one(budget), other(budget);
  for (Pool* pool : {&one, &other}) {
    std::vector<Block*> blocks;
    for (int i = 0; i < 20; ++i) blocks.push_back(pool->borrow(16 * kibibyte));
    for (Block* block : blocks) pool->give_back(block);
  }
  EXPECT_GT(budget.used(), 192 * kibibyte);
  EXPECT_LE(budget.used(), 256 * kibibyte);
  budget.divide_idle(1'000);
  EXPECT_EQ(budget.idle_max(), 64 * kibibyte);
}

TEST(Pool, keeps_nothing_while_the_process_is_short) {
  Budget budget(2 * kibibyte);
  Pool pool(budget);
  Block* const first = pool.borrow(1);
  Block* const second = pool.borrow(1);
  EXPECT_FALSE(pool.exceeded());
  Block* const third = pool.borrow(1);
  EXPECT_TRUE(pool.exceeded());
  pool.give_back(third);
  EXPECT_FALSE(pool.exceeded());
  EXPECT_EQ(budget.used(), 2 * kibibyte);
  pool.give_back(second);
  pool.give_back(first);
  EXPECT_EQ(budget.used(), 2 * kibibyte);
}

TEST(Pool, returns_everything_when_it_ends) {
  Budget budget(64 << 20);
  {
    Pool pool(budget);
    Block* const small = pool.borrow(1);
    Block* const other = pool.borrow(1);
    Block* const large = pool.borrow(100'000);
    for (Block* block : {small, other, large}) pool.give_back(block);
    EXPECT_NE(budget.used(), 0u);
  }
  EXPECT_EQ(budget.used(), 0u);
}

TEST(Pool, trimmed_it_keeps_the_small_ones) {
  Budget budget(64 << 20);
  Pool pool(budget);
  std::vector<Block*> blocks;
  for (const std::size_t size : {1, 1, 1, 4, 16, 64})
    blocks.push_back(pool.borrow(size * kibibyte));
  Block* const lent = blocks.back();
  blocks.pop_back();
  for (Block* block : blocks) pool.give_back(block);
  pool.trim(23 * kibibyte);
  EXPECT_EQ(budget.used(), (64 + 23) * kibibyte);
  pool.trim(4 * kibibyte);
  EXPECT_EQ(budget.used(), (64 + 3) * kibibyte);
  pool.trim(kibibyte);
  EXPECT_EQ(budget.used(), (64 + 1) * kibibyte);
  pool.give_back(pool.borrow(1));
  EXPECT_EQ(pool.allocations(), 6u);
  pool.trim(0);
  EXPECT_EQ(budget.used(), 64 * kibibyte);
  pool.give_back(lent);
  pool.trim(0);
  EXPECT_EQ(budget.used(), 0u);
}

// Where memory is short, free blocks of other sizes make room.
TEST(Pool, gives_other_sizes_back_before_it_says_no) {
  Budget budget(1 << 30);
  Pool pool(budget);
  pool.give_back(pool.borrow(4000));
  const std::size_t idle = budget.used();
  ASSERT_NE(idle, 0u);
  refuse_allocations(0, 1);
  Block* const block = pool.try_borrow(100'000);
  serve_allocations();
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(budget.used(), block->capacity);
  pool.give_back(block);
}

// Whoever sleeps with a pool of its own gives back what it does not need: the
// largest first.
TEST(Pool, GivesBackWhatIsIdle) {
  Budget budget(1 << 20);
  Pool pool(budget);
  Block* small = pool.borrow(1 << 10);
  Block* large = pool.borrow(64 << 10);
  Block* lent = pool.borrow(16 << 10);
  pool.give_back(small);
  pool.give_back(large);
  pool.trim(65 << 10);
  EXPECT_EQ(budget.used(), 81u << 10);
  pool.trim(8 << 10);
  EXPECT_EQ(budget.used(), 17u << 10);
  pool.trim(0);
  EXPECT_EQ(budget.used(), 16u << 10);
  pool.give_back(lent);
}

}  // namespace
