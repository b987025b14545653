#pragma once
// Bytes that have come, together with what they are the answer to: a check
// that fails shows both, and where what came is no more what was expected.

#include <gtest/gtest.h>

#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>

namespace conformance {

/// Bytes as a message prints them: the first few hundred, quoted.
std::string printable(std::string_view bytes);

/// The beginning of what has been sent, and how much it was.
struct Excerpt {
  std::string beginning;
  std::size_t size = 0;

  void add(std::string_view bytes);
};

struct Answer : std::string {
  Answer() = default;
  explicit Answer(std::string bytes, Excerpt what = {})
      : std::string(std::move(bytes)), asked(std::move(what)) {}

  Excerpt asked;
};
void PrintTo(const Answer& answer, std::ostream* out);

/// Both are the same, or in words: what was sent, what came, a mark under its
/// first byte that differs, and what was expected.
testing::AssertionResult same(const char* expression, const Answer& came,
                              std::string_view expected);

/// EXPECT_EQ and ASSERT_EQ of an answer come here: GoogleTest finds it as a
/// function of the answer's namespace.
template <std::convertible_to<std::string_view> Expected>
testing::AssertionResult CmpHelperEQ(const char* expression, const char*,
                                     const Answer& came,
                                     const Expected& expected) {
  return same(expression, came, expected);
}

}  // namespace conformance
