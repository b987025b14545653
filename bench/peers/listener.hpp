#pragma once

// # Where a peer listens
//
// What the peers share: their command line, their ready line, the socket. What
// they do with it is in their own files.
//
// Options: --port N (default 7000, 0 picks one), or --listen-fd N, an
// inherited bound socket. A peer says `ready <name> <variant> <url>` once it
// can be connected to, and runs until a signal ends it. The variant tells how
// it has epoll watch sockets: level or edge.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <string_view>
#include <system_error>

namespace peers {

// Set-up alone may fail: what a peer does later must not end the process.
[[noreturn]] inline void fail(const char* call) {
  throw std::system_error(errno, std::generic_category(), call);
}

inline int bind_to(std::uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  const int on = 1;
  if (::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
    fail("setsockopt");
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0)
    fail("bind");
  return fd;
}

inline std::uint16_t port_of(int listener) {
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  if (::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) < 0)
    fail("getsockname");
  return ntohs(address.sin_port);
}

inline std::optional<std::uint16_t> number(std::string_view text) {
  std::uint16_t value = 0;
  const char* begin = text.data();
  const char* end = begin + text.size();
  const auto [stopped, error] = std::from_chars(begin, end, value);
  if (error != std::errc{} || stopped != end) return std::nullopt;
  return value;
}

// The socket that main's arguments name, bound and not yet listening, or -1
// where they say nothing we know. It is the caller's. Throws
// std::system_error where there is none to be had.
inline int listener_of(int count, char** words) {
  if (count == 1) return bind_to(7000);
  if (count != 3) return -1;
  const std::string_view option = words[1];
  const auto value = number(words[2]);
  if (!value) return -1;
  if (option == "--listen-fd") return *value;
  if (option == "--port") return bind_to(*value);
  return -1;
}

inline void say_ready(const char* name, const char* variant, int listener) {
  std::printf("ready %s %s tcp://127.0.0.1:%d\n", name, variant,
              port_of(listener));
  std::fflush(stdout);
}

// These two return the exit code.
inline int say_usage(const char* name) {
  std::fprintf(stderr, "usage: %s [--port 0..65535 | --listen-fd N]\n", name);
  return 2;
}

inline int say_failed(const char* name, const std::exception& error) {
  std::fprintf(stderr, "%s: %s\n", name, error.what());
  return 1;
}

}  // namespace peers
