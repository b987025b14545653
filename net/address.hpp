#pragma once
// Where a socket is: IPv4, IPv6, or a path in the file system.

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/fd.hpp"

namespace net {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  in_addr source{};  // to connect from; 0: the kernel's choice
  int family() const { return storage.ss_family; }
  const sockaddr* get() const {
    return reinterpret_cast<const sockaddr*>(&storage);
  }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

/// "127.0.0.1:7000", "[::1]:7000" or "/a/path", numbers only: asks no resolver
/// and never blocks. Nothing if it is none of these, if the port is 0, or if
/// the path is longer than the 107 bytes that the kernel takes. Behind an IPv4
/// address and port may stand from which of this host's addresses to connect:
/// "127.0.0.1:7000 from 127.0.0.2".
std::optional<Address> parse_address(std::string_view text);

/// The same of a host ("127.0.0.1", "::1") and a port, 0 included.
std::optional<Address> parse_host(std::string_view host, std::uint16_t port);

/// As parse_address(), and names: "localhost:7000". For command lines, since
/// it may wait for a resolver. Throws std::runtime_error with the reason.
Address resolve(std::string_view text);
/// As parse_host(), and names. Throws std::runtime_error.
Address resolve_host(std::string_view host, std::uint16_t port);

/// Can others find one node there, wherever they are themselves? Not at 0.0.0.0
/// and ::, which are whoever reads them, and not where many listen (multicast,
/// broadcast).
bool names_a_node(const Address& address);

/// The text that parse_address() takes: "127.0.0.1:7000", "[::1]:7000",
/// "/a/path". One address has one text: an IPv4 address that is mapped into
/// IPv6 (RFC 4291, section 2.5.5.2) is written as what it is.
std::string to_text(const Address& address);

/// A socket to connect to that address, with TCP_NODELAY: a request is written
/// at once and must not wait for the answer to the last. Bound to the address's
/// source, if it has one. `flags` is SOCK_NONBLOCK or 0. None, and errno says
/// why.
Fd open_socket(const Address& address, int flags);

}  // namespace net
