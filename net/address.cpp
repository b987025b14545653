#include "net/address.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

namespace net {
namespace {

template <class T>
Address address_from(const T& special) {
  Address address;
  static_assert(sizeof special <= sizeof address.storage);
  std::memcpy(&address.storage, &special, sizeof special);
  address.length = sizeof special;
  return address;
}

std::optional<Address> parse_path(std::string_view path) {
  sockaddr_un special{};
  special.sun_family = AF_UNIX;
  if (path.size() >= sizeof special.sun_path || path.find('\0') != path.npos)
    return std::nullopt;
  path.copy(special.sun_path, path.size());
  Address address = address_from(special);
  address.length =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

/// "host:port" and "[host]:port". Nothing if the port is not 1 to 65535; a
/// host with colons needs its brackets, or nobody knows where it ends.
std::optional<std::pair<std::string_view, std::uint16_t>> split(
    std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  const auto digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || !port)
    return std::nullopt;
  auto host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    if (host.find(':') == host.npos) return std::nullopt;
  } else if (host.find(':') != host.npos) {
    return std::nullopt;
  }
  if (host.empty()) return std::nullopt;
  return std::pair(host, port);
}

constexpr std::string_view from = " from ";

std::optional<Address> parse_with_source(std::string_view text) {
  const std::size_t end = text.find(from);
  auto address = parse_address(text.substr(0, end));
  const auto source = parse_host(text.substr(end + from.size()), 0);
  if (!address || address->family() != AF_INET || !source ||
      source->family() != AF_INET)
    return std::nullopt;
  const auto* four = reinterpret_cast<const sockaddr_in*>(source->get());
  address->source = four->sin_addr;
  return address;
}

// The port is chosen by connect(2), which knows to whom: then it need not be
// one that nobody uses, but one that nobody uses for that peer.
bool bind_source(int socket, in_addr source) {
  const int on = 1;
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_addr = source;
  return ::setsockopt(socket, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
                      sizeof on) == 0 &&
         ::bind(socket, reinterpret_cast<const sockaddr*>(&four),
                sizeof four) == 0;
}

// A mapped IPv4 address as IPv4's own; any other as it is.
Address unmapped(const Address& address) {
  if (address.family() != AF_INET6) return address;
  const auto* six = reinterpret_cast<const sockaddr_in6*>(address.get());
  if (!IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) return address;
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = six->sin6_port;
  std::memcpy(&four.sin_addr, &six->sin6_addr.s6_addr[12],
              sizeof four.sin_addr);
  return address_from(four);
}

}  // namespace

std::optional<Address> parse_host(std::string_view host, std::uint16_t port) {
  const std::string text(host);  // inet_pton wants a zero at the end
  if (text.size() != std::strlen(text.c_str())) return std::nullopt;
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = htons(port);
  if (::inet_pton(AF_INET, text.c_str(), &four.sin_addr) == 1)
    return address_from(four);
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(port);
  if (::inet_pton(AF_INET6, text.c_str(), &six.sin6_addr) == 1)
    return address_from(six);
  return std::nullopt;
}

std::optional<Address> parse_address(std::string_view text) {
  if (text.starts_with('/')) return parse_path(text);
  if (text.contains(from)) return parse_with_source(text);
  const auto parts = split(text);
  if (!parts) return std::nullopt;
  return parse_host(parts->first, parts->second);
}

Address resolve_host(std::string_view host, std::uint16_t port) {
  if (const auto address = parse_host(host, port)) return *address;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string name(host), service = std::to_string(port);
  const int error =
      ::getaddrinfo(name.c_str(), service.c_str(), &hints, &found);
  if (error) throw std::runtime_error(name + ": " + ::gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(
      found, ::freeaddrinfo);
  // A name has one meaning, whoever asks: the first IPv4 address, if any. For a
  // server and its client must not take different ones of localhost's two.
  const addrinfo* chosen = found;
  for (const addrinfo* next = found; next; next = next->ai_next)
    if (next->ai_family == AF_INET && chosen->ai_family != AF_INET)
      chosen = next;
  Address address;
  std::memcpy(&address.storage, chosen->ai_addr, chosen->ai_addrlen);
  address.length = chosen->ai_addrlen;
  return address;
}

Address resolve(std::string_view text) {
  if (const auto address = parse_address(text)) return *address;
  const auto parts = text.starts_with('/') ? std::nullopt : split(text);
  if (!parts)
    throw std::runtime_error("'" + std::string(text) +
                             "' is neither HOST:PORT nor a path");
  return resolve_host(parts->first, parts->second);
}

bool names_a_node(const Address& address) {
  if (address.family() == AF_UNIX) return true;
  const Address plain = unmapped(address);
  if (plain.family() == AF_INET6) {
    const auto* six = reinterpret_cast<const sockaddr_in6*>(plain.get());
    return !IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr) &&
           !IN6_IS_ADDR_MULTICAST(&six->sin6_addr);
  }
  const auto* four = reinterpret_cast<const sockaddr_in*>(plain.get());
  const std::uint32_t host = ntohl(four->sin_addr.s_addr);
  const std::uint32_t first = host >> 24;  // 0: "this network" (RFC 1122)
  return first != 0 && !IN_MULTICAST(host) && host != INADDR_BROADCAST;
}

std::string to_text(const Address& mapped) {
  const Address address = unmapped(mapped);
  char host[INET6_ADDRSTRLEN] = "";
  if (address.family() == AF_UNIX) {
    const auto* special = reinterpret_cast<const sockaddr_un*>(address.get());
    const auto begin = offsetof(sockaddr_un, sun_path);
    const auto room = address.length > begin ? address.length - begin : 0;
    return {special->sun_path, ::strnlen(special->sun_path, room)};
  }
  if (address.family() == AF_INET6) {
    const auto* six = reinterpret_cast<const sockaddr_in6*>(address.get());
    ::inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
    return '[' + std::string(host) +
           "]:" + std::to_string(ntohs(six->sin6_port));
  }
  const auto* four = reinterpret_cast<const sockaddr_in*>(address.get());
  ::inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
  return std::string(host) + ':' + std::to_string(ntohs(four->sin_port));
}

Fd open_socket(const Address& address, int flags) {
  Fd made(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | flags, 0));
  const int on = 1;
  if (made && address.family() != AF_UNIX)
    ::setsockopt(made.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (made && address.source.s_addr != 0 &&
      !bind_source(made.get(), address.source))
    return Fd();
  return made;
}

}  // namespace net
