#include "net/table.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <set>
#include <vector>

namespace {

using Table = net::Table<std::unique_ptr<int>>;

TEST(Table, FindsWhatItHolds) {
  Table table;
  const auto id = table.next_id();
  table.emplace(std::make_unique<int>(7));
  ASSERT_NE(table.find(id), nullptr);
  EXPECT_EQ(**table.find(id), 7);
  EXPECT_EQ(table.size(), 1u);
}

TEST(Table, ForgetsAnIdForEver) {
  Table table;
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto id = table.next_id();
    EXPECT_TRUE(seen.insert(id).second);
    table.emplace(std::make_unique<int>(i));
    table.erase(id);
    EXPECT_EQ(table.find(id), nullptr);
    table.erase(id);
    EXPECT_EQ(table.size(), 0u);
  }
}

/// Ends with 0 if a table that cannot grow says so, and goes on with what it
/// has. In a process of its own, with no addresses.
[[noreturn]] void fill_up() {
  struct Large {
    char bytes[1 << 20];
  };
  net::Table<Large> table;
  const auto first = table.next_id();
  table.emplace();
  const rlimit none{};
  ::setrlimit(RLIMIT_AS, &none);
  std::size_t made = 1;
  for (; made < 1000 && table.next_id() != 0; ++made) table.emplace();
  const bool refused = table.next_id() == 0 && table.size() == made;
  table.erase(first);
  std::_Exit(refused && table.next_id() != 0 ? 0 : 1);
}

TEST(TableDeathTest, HasNoIdWhereThereIsNoMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer needs addresses";
#endif
  EXPECT_EXIT(fill_up(), testing::ExitedWithCode(0), "");
}

TEST(Table, KnowsNoIdThatItNeverGave) {
  Table table;
  for (const std::uint64_t id : {0ull, 1ull, 1ull << 32, ~0ull})
    EXPECT_EQ(table.find(id), nullptr);
  EXPECT_NE(table.next_id(), 0u);
  table.emplace(nullptr);
  for (const std::uint64_t id : {0ull, 1ull, 2ull << 32, ~0ull})
    EXPECT_EQ(table.find(id), nullptr);
}

TEST(Table, DoesNotMoveItsValues) {
  net::Table<int> table;
  const auto id = table.next_id();
  const int* first = &table.emplace(1);
  for (int i = 0; i < 1000 && table.next_id() != 0; ++i) table.emplace(i);
  EXPECT_EQ(table.find(id), first);
}

TEST(Table, VisitsAllAndTheyMayGo) {
  net::Table<int> table;
  for (int i = 0; i < 200 && table.next_id() != 0; ++i) table.emplace(i);
  int sum = 0;
  table.each([&](std::uint64_t id, int value) {
    sum += value;
    if (value % 2) table.erase(id);
  });
  EXPECT_EQ(sum, 199 * 200 / 2);
  EXPECT_EQ(table.size(), 100u);
  table.each([](std::uint64_t, int value) { EXPECT_EQ(value % 2, 0); });
}

// Never 0, or the first slot's id would be 0 too; and never beyond the last, or
// ids would need more than 56 bits.
TEST(Table, CountsGenerationsFromOne) {
  net::Table<int, 3> table;
  std::vector<std::uint64_t> generations;
  for (int i = 0; i < 5; ++i) {
    const auto id = table.next_id();
    generations.push_back(id >> 32);
    table.emplace(0);
    table.erase(id);
  }
  EXPECT_EQ(generations, (std::vector<std::uint64_t>{1, 2, 3, 1, 2}));
}

TEST(Table, DestroysItsValues) {
  const auto counted = std::make_shared<int>();
  {
    net::Table<std::shared_ptr<int>> table;
    for (int i = 0; i < 100 && table.next_id() != 0; ++i)
      table.emplace(counted);
    EXPECT_EQ(counted.use_count(), 101);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

}  // namespace
