#include "protocol/decimal.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace {

using protocol::read_decimal;

std::string written(std::uint64_t number) {
  char room[20];
  char* const end = protocol::write_decimal(room, number);
  EXPECT_EQ(end - room, static_cast<long>(protocol::digits(number)));
  return {room, end};
}

TEST(Decimal, writes_what_the_library_writes) {
  std::uint64_t power = 1;
  for (int i = 0; i < 20; ++i, power *= 10) {
    for (const std::uint64_t number : {power - 1, power, power + 1}) {
      EXPECT_EQ(written(number), std::to_string(number));
    }
  }
  EXPECT_EQ(written(std::numeric_limits<std::uint64_t>::max()),
            "18446744073709551615");
}

TEST(Decimal, reads_the_whole_range) {
  EXPECT_EQ(read_decimal("0"), 0);
  EXPECT_EQ(read_decimal("7"), 7);
  EXPECT_EQ(read_decimal("-1"), -1);
  EXPECT_EQ(read_decimal("9223372036854775807"),
            std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(read_decimal("-9223372036854775808"),
            std::numeric_limits<std::int64_t>::min());
}

TEST(Decimal, refuses_everything_else) {
  for (const char* text : {"",
                           "-",
                           "+1",
                           " 1",
                           "1 ",
                           "01",
                           "00",
                           "-0",
                           "-01",
                           "--1",
                           "1a",
                           "a",
                           "1-",
                           "0x1",
                           "1.0",
                           "/",
                           ":",
                           "9223372036854775808",
                           "-9223372036854775809",
                           "9999999999999999999",
                           "10000000000000000000",
                           "18446744073709551617",
                           "100000000000000000000000000"}) {
    EXPECT_EQ(read_decimal(text), std::nullopt) << text;
  }
}

}  // namespace
