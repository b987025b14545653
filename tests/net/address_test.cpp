#include "net/address.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <stdexcept>
#include <string>

namespace {

TEST(Address, IsFourSixOrAPath) {
  const auto four = net::parse_address("127.0.0.1:7000");
  ASSERT_TRUE(four);
  EXPECT_EQ(four->family(), AF_INET);
  EXPECT_EQ(four->length, sizeof(sockaddr_in));
  const auto six = net::parse_address("[::1]:7000");
  ASSERT_TRUE(six);
  EXPECT_EQ(six->family(), AF_INET6);
  EXPECT_EQ(six->length, sizeof(sockaddr_in6));
  const auto path = net::parse_address("/run/a.sock");
  ASSERT_TRUE(path);
  EXPECT_EQ(path->family(), AF_UNIX);
}

TEST(Address, IsWrittenAsItIsRead) {
  for (const char* text : {"127.0.0.1:1", "0.0.0.0:65535", "[::1]:7000",
                           "[2001:db8::7]:7000", "/run/a.sock", "/"})
    EXPECT_EQ(net::to_text(*net::parse_address(text)), text);
}

TEST(Address, HasOneSpelling) {
  EXPECT_EQ(net::to_text(*net::parse_address("[0:0::0:1]:07000")),
            "[::1]:7000");
}

// The same node under two names would be two nodes of a ring.
TEST(Address, ThatIsMappedIntoIPv6IsWrittenAsIPv4) {
  for (const char* text : {"[::ffff:127.0.0.1]:7000", "[::FFFF:7f00:1]:7000",
                           "[0:0:0:0:0:ffff:127.0.0.1]:07000"})
    EXPECT_EQ(net::to_text(*net::parse_address(text)), "127.0.0.1:7000");
  // Others that have an IPv4 address in them are none.
  EXPECT_EQ(net::to_text(*net::parse_address("[::127.0.0.1]:7000")),
            "[::127.0.0.1]:7000");
}

TEST(Address, NamesANodeOrDoesNot) {
  for (const char* text : {"127.0.0.1:1", "127.255.255.255:1", "10.0.0.1:1",
                           "223.255.255.255:1", "[::1]:1", "[fe80::1]:1",
                           "[2001:db8::]:1", "[::ffff:10.0.0.1]:1", "/a/path"})
    EXPECT_TRUE(net::names_a_node(*net::parse_address(text))) << text;
  for (const char* text :
       {"0.0.0.0:1", "0.0.0.1:1", "0.255.255.255:1", "224.0.0.1:1",
        "239.255.255.255:1", "255.255.255.255:1", "[::]:1", "[0::0]:1",
        "[ff02::1]:1", "[::ffff:0.0.0.0]:1", "[::ffff:224.0.0.1]:1"})
    EXPECT_FALSE(net::names_a_node(*net::parse_address(text))) << text;
}

TEST(Address, IsNothingElse) {
  for (const char* text :
       {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
        "127.0.0.1:-1", "127.0.0.1:7000 ", " 127.0.0.1:7000", "127.1:7000",
        "127.0.0.256:7000", "::1:7000", "[::1]", "[127.0.0.1]:7000", "[]:7000",
        ":7000", "localhost:7000", "a/path", "127.0.0.1:7x"})
    EXPECT_FALSE(net::parse_address(text)) << text;
  EXPECT_FALSE(net::parse_address(std::string("127.0.0.1\0:7000", 15)));
  EXPECT_FALSE(net::parse_address(std::string("/a\0b", 4)));
}

TEST(Address, TakesAPathThatTheKernelTakes) {
  const std::string longest = "/" + std::string(106, 'a');
  ASSERT_TRUE(net::parse_address(longest));
  EXPECT_EQ(net::to_text(*net::parse_address(longest)), longest);
  EXPECT_FALSE(net::parse_address(longest + "a"));
}

TEST(Address, OfAHostMayHavePortZero) {
  EXPECT_EQ(net::to_text(*net::parse_host("::1", 0)), "[::1]:0");
  EXPECT_FALSE(net::parse_host("[::1]", 0));
}

TEST(Address, IsResolvedFromAName) {
  const auto address = net::resolve("localhost:7000");
  const std::string text = net::to_text(address);
  EXPECT_TRUE(text == "127.0.0.1:7000" || text == "[::1]:7000") << text;
  EXPECT_EQ(net::to_text(net::resolve("/a/path")), "/a/path");
}

TEST(Address, SaysWhyItIsNotResolved) {
  EXPECT_THROW(net::resolve("nonsense"), std::runtime_error);
  EXPECT_THROW(net::resolve("/" + std::string(200, 'a')), std::runtime_error);
  EXPECT_THROW(net::resolve("no such name:7000"), std::runtime_error);
}

TEST(Address, MayHaveASourceToConnectFrom) {
  const auto address = net::parse_address("127.0.0.1:7000 from 127.0.0.2");
  ASSERT_TRUE(address);
  EXPECT_EQ(address->source.s_addr, ::htonl(0x7f000002));
  EXPECT_EQ(net::to_text(*address), "127.0.0.1:7000");
  for (const char* text :
       {"127.0.0.1:7000 from ", "127.0.0.1:7000 from x", "127.0.0.1 from ::1",
        "[::1]:7000 from 127.0.0.2", "127.0.0.1:7000 from ::1",
        "127.0.0.1:7000 from 127.0.0.2 from 127.0.0.3", " from 127.0.0.2"})
    EXPECT_FALSE(net::parse_address(text)) << text;
}

TEST(OpenSocket, IsBoundToTheSource) {
  const auto address = [](const char* source) {
    return *net::parse_address("127.0.0.1:7000 from " + std::string(source));
  };
  const net::Fd socket = net::open_socket(address("127.0.0.2"), 0);
  ASSERT_TRUE(socket);
  net::Address own;
  own.length = sizeof own.storage;
  ::getsockname(socket.get(), own.get(), &own.length);
  EXPECT_EQ(net::to_text(own), "127.0.0.2:0") << "connect(2) finds the port";
  EXPECT_FALSE(net::open_socket(address("192.0.2.1"), 0)) << "not of this host";
  EXPECT_EQ(errno, EADDRNOTAVAIL);
}

TEST(OpenSocket, DelaysNothing) {
  const auto address = *net::parse_address("127.0.0.1:7000");
  const net::Fd socket = net::open_socket(address, SOCK_NONBLOCK);
  ASSERT_TRUE(socket);
  int on = 0;
  socklen_t size = sizeof on;
  ::getsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, &size);
  EXPECT_EQ(on, 1);
}

}  // namespace
