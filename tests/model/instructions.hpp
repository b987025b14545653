#pragma once
// What a request costs in user space, as a number that may only fall.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <map>
#include <string>

#include "net/model.hpp"
#include "tests/tools/command.hpp"

namespace tests {

/// Why the numbers do not hold here, or nothing: they are those of one compiler
/// and one kind of processor.
inline std::string other_instructions() {
  const char* mode = std::getenv("MODE");
  if (!mode || std::string(mode) != "release") return "not the release build";
#if defined(__clang__) || __GNUC__ != 12 || !defined(__x86_64__)
  return "the numbers are those of g++ 12 on x86-64";
#else
  return "";
#endif
}

/// Holds this variant's server to its number of user-space instructions for an
/// ECHO at one connection, counted by callgrind (bench/instructions); Redis 7.0
/// takes 4 300 to 4 700. The slack is for another C library; whoever makes it
/// cheaper writes the new number. A busy machine can bring a server wake-ups
/// that tell it nothing, so the least of three counts is its own.
inline void expect_instructions(const std::map<std::string, double>& most) {
  if (const std::string why = other_instructions(); !why.empty())
    GTEST_SKIP() << why;
  const std::string name =
      std::string(model::server.name) + "-" + model::server.variant;
  const double allowed = 1.01 * most.at(model::server.variant);
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 3 && least > allowed; ++i) {
    const std::string line = run("bench/instructions --servers " + name).text;
    if (line.starts_with("SKIP")) GTEST_SKIP() << line;
    ASSERT_TRUE(line.starts_with(name + " ")) << line;
    testing::Test::RecordProperty("instructions", line);
    least = std::min(least, std::stod(line.substr(name.size())));
  }
  EXPECT_LE(least, allowed);
}

}  // namespace tests
