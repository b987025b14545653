#include "net/sys.hpp"

#include <gtest/gtest.h>

#include <cerrno>

namespace {

TEST(CountedCall, CountsItselfAndKeepsItsResult) {
  const unsigned reads = net::counter("sys.", "read");
  const auto before = net::total(reads);
  char byte;
  errno = 0;
  EXPECT_EQ(sys::read(-1, &byte, 1), -1);
  EXPECT_EQ(errno, EBADF);
  EXPECT_EQ(net::total(reads), before + 1);
}

ssize_t fetch() { return 3; }
constexpr net::Library<"fetch", fetch> counted_fetch;

TEST(LibraryCall, IsNotTakenForASystemCall) {
  const unsigned fetches = net::counter("lib.", "fetch");
  EXPECT_EQ(counted_fetch(), 3);
  EXPECT_EQ(net::total(fetches), 1u);
  EXPECT_EQ(net::total(net::counter("sys.", "fetch")), 0u);
}

TEST(Descriptor, IsWhatACallIsMadeOn) {
  EXPECT_EQ(net::descriptor(7, nullptr), 7);
  EXPECT_EQ(net::descriptor(O_CLOEXEC), -1) << "flags, alone";
  fd_set set;
  EXPECT_EQ(net::descriptor(1024, &set, &set), -1) << "a number of them";
}

}  // namespace
