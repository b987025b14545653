#include "net/list.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <vector>

namespace {

struct Number : net::Link {
  explicit Number(int number) : value(number) {}
  int value;
};

class ListTest : public testing::Test {
 protected:
  Number& add(int value) {
    numbers_.push_back(std::make_unique<Number>(value));
    list_.push_back(*numbers_.back());
    return *numbers_.back();
  }
  std::vector<int> all() {
    std::vector<int> values;
    list_.each([&](Number& number) { values.push_back(number.value); });
    return values;
  }

  net::List<Number> list_;
  std::deque<std::unique_ptr<Number>> numbers_;
};

TEST_F(ListTest, KeepsTheOrderInWhichTheyCome) {
  EXPECT_TRUE(list_.empty());
  Number& first = add(1);
  add(2);
  EXPECT_EQ(all(), (std::vector{1, 2}));
  EXPECT_EQ(&list_.front(), &first);
  list_.push_back(first);  // in it already: comes last
  EXPECT_EQ(all(), (std::vector{2, 1}));
}

TEST_F(ListTest, FindsTheFirstThatIsWanted) {
  for (int i = 1; i <= 4; ++i) add(i);
  const auto even = [](const Number& number) { return number.value % 2 == 0; };
  ASSERT_NE(list_.first(even), nullptr);
  EXPECT_EQ(list_.first(even)->value, 2);
  EXPECT_EQ(list_.first([](const Number& n) { return n.value > 4; }), nullptr);
}

TEST_F(ListTest, IsLeftByWhoeverIsDestroyed) {
  add(1);
  Number& second = add(2);
  add(3);
  numbers_[0].reset();
  EXPECT_TRUE(second.linked());
  second.unlink();
  EXPECT_FALSE(second.linked());
  second.unlink();
  EXPECT_EQ(all(), std::vector{3});
}

TEST_F(ListTest, OwnsNobody) {
  Number number(1);
  {
    net::List<Number> list;
    list.push_back(number);
  }
  EXPECT_FALSE(number.linked());
}

// One turn each, however many want another one.
TEST_F(ListTest, VisitsEachOnceThoughTheyComeAgain) {
  for (int i = 1; i <= 3; ++i) add(i);
  std::vector<int> visited;
  list_.each_once([&](Number& number) {
    visited.push_back(number.value);
    if (number.value != 2) list_.push_back(number);
  });
  EXPECT_EQ(visited, (std::vector{1, 2, 3}));
  EXPECT_EQ(all(), (std::vector{1, 3}));
}

TEST_F(ListTest, MayLoseAnybodyDuringAVisit) {
  for (int i = 1; i <= 4; ++i) add(i);
  std::vector<int> visited;
  list_.each_once([&](Number& number) {
    visited.push_back(number.value);
    if (number.value == 1) numbers_[2].reset();
    if (number.value == 4) numbers_[3].reset();
  });
  EXPECT_EQ(visited, (std::vector{1, 2, 4}));
  EXPECT_TRUE(list_.empty());
}

TEST_F(ListTest, VisitsNobodyWhereNobodyIs) {
  list_.each_once([](Number&) { FAIL(); });
}

}  // namespace
