#include "program/waiting.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <string_view>
#include <vector>

#include "net/address.hpp"
#include "net/error.hpp"

namespace program {
namespace {

constexpr std::size_t peers_most = 20;
constexpr int short_ms = 300, long_ms = 5'000;

net::Fd ask(const std::string& address) {
  constexpr std::string_view ping = "*1\r\n$4\r\nPING\r\n";
  const auto to = net::parse_address(address);
  if (!to) net::fail(EINVAL, "connect");
  net::Fd peer = net::open_socket(*to, 0);
  net::check(peer.get(), "socket");
  net::check(::connect(peer.get(), to->get(), to->length), "connect");
  net::check(static_cast<int>(
                 ::send(peer.get(), ping.data(), ping.size(), MSG_NOSIGNAL)),
             "send");
  return peer;
}

bool answered(const net::Fd& peer, int time_ms) {
  pollfd answer{peer.get(), POLLIN, 0};
  if (::poll(&answer, 1, time_ms) != 1) return false;
  std::array<char, 16> room;
  const ssize_t n = ::recv(peer.get(), room.data(), room.size(), 0);
  return n > 0 && std::string_view(room.data(), static_cast<std::size_t>(n)) ==
                      "+PONG\r\n";
}

}  // namespace

bool show_waiting(const std::string& address) {
  std::printf(
      "\nWho waits for whom? One peer after the other connects, asks PING and"
      "\nstays:\n");
  std::vector<net::Fd> peers;
  do {
    if (peers.size() == peers_most) {
      std::printf("  %zu peers are answered, and nobody waits\n", peers_most);
      return true;
    }
    peers.push_back(ask(address));
  } while (answered(peers.back(), short_ms));
  const std::size_t waits = peers.size();
  std::printf("  peer %zu is connected, and is not answered\n", waits);
  if (waits == 1) return false;
  peers.front() = net::Fd();
  const bool right = answered(peers.back(), long_ms);
  std::printf("  peer 1 leaves, and peer %zu is %s\n", waits,
              right ? "answered" : "not answered: WRONG");
  return right;
}

}  // namespace program
