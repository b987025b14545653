#include "program/sha1.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace {

// FIPS 180-1, appendices A and B; RFC 3174, 7.3.
TEST(Sha1, IsTheStandards) {
  const auto hex = [](std::string_view bytes) {
    return dht::to_hex(program::sha1(bytes));
  };
  EXPECT_EQ(hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(hex(std::string(1'000'000, 'a')),
            "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
}

TEST(Sha1, IsForAllThreads) {
  std::vector<std::jthread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([] {
      for (int n = 0; n < 1000; ++n)
        EXPECT_EQ(dht::to_hex(program::sha1("abc")),
                  "a9993e364706816aba3e25717850c26c9cd0d89d");
    });
}

}  // namespace
