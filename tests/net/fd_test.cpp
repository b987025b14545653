#include "net/fd.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <utility>

namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

net::Fd open_one() { return net::Fd(::open("/", O_PATH | O_CLOEXEC)); }

TEST(Fd, ClosesWhatItOwns) {
  int number = -1;
  {
    const net::Fd fd = open_one();
    number = fd.get();
    EXPECT_TRUE(fd);
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
  EXPECT_FALSE(net::Fd());
}

TEST(Fd, IsMoved) {
  net::Fd from = open_one();
  const int number = from.get();
  net::Fd to(std::move(from));
  EXPECT_EQ(to.get(), number);
  EXPECT_FALSE(from);  // NOLINT(bugprone-use-after-move): that is the question
  EXPECT_TRUE(is_open(number));
}

TEST(Fd, ClosesTheOldOneWhenItGetsANewOne) {
  net::Fd fd = open_one();
  const int old = fd.get();
  net::Fd other = open_one();
  const int kept = other.get();
  fd = std::move(other);
  EXPECT_FALSE(is_open(old));
  EXPECT_EQ(fd.get(), kept);
  fd = net::Fd();
  EXPECT_FALSE(is_open(kept));
}

TEST(Fd, SurvivesBeingMovedToItself) {
  net::Fd fd = open_one();
  const int number = fd.get();
  net::Fd& same = fd;
  fd = std::move(same);
  EXPECT_EQ(fd.get(), number);
  EXPECT_TRUE(is_open(number));
}

}  // namespace
