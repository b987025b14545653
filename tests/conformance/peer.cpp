#include "tests/conformance/peer.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace conformance {

namespace {

/// A socket address of any of the three kinds.
struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  sockaddr* generic() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
};

Address unix_address(const std::string& path) {
  Address address;
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  std::memcpy(&address.storage, &name, sizeof name);
  address.size = sizeof name;
  return address;
}

Address internet_address(std::string host, int port) {
  Address address;
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  if (host.find(':') != std::string::npos) {
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    name.sin6_port = htons(static_cast<std::uint16_t>(port));
    if (::inet_pton(AF_INET6, host.c_str(), &name.sin6_addr) != 1)
      throw Trouble("no address: " + host);
    std::memcpy(&address.storage, &name, address.size = sizeof name);
    return address;
  }
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::inet_pton(AF_INET, host.c_str(), &name.sin_addr) != 1)
    throw Trouble("no address: " + host);
  std::memcpy(&address.storage, &name, address.size = sizeof name);
  return address;
}

Address parse(const std::string& text) {
  if (text.starts_with('/')) return unix_address(text);
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) throw Trouble("no address: " + text);
  return internet_address(text.substr(0, colon),
                          static_cast<int>(number_of(text.substr(colon + 1),
                                                     "the port of " + text)));
}

void set(const Descriptor& socket, int level, int option, int value) {
  ::setsockopt(socket.get(), level, option, &value, sizeof value);
}

bool ready(int descriptor, short events, Milliseconds bound) {
  pollfd entry{descriptor, events, 0};
  int n = 0;
  do n = ::poll(&entry, 1, static_cast<int>(bound.count()));
  while (n < 0 && errno == EINTR);
  return n > 0;
}

[[noreturn]] void fail(const std::string& what) {
  throw Trouble(what + ": " + std::strerror(errno));
}

}  // namespace

Descriptor connect_to(const std::string& address, Buffers buffers) {
  Address to = parse(address);
  Descriptor socket(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) fail("socket");
  if (buffers.send) set(socket, SOL_SOCKET, SO_SNDBUF, buffers.send);
  if (buffers.receive) set(socket, SOL_SOCKET, SO_RCVBUF, buffers.receive);
  if (to.family() != AF_UNIX) set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  if (::connect(socket.get(), to.generic(), to.size) != 0)
    fail("connecting to " + address);
  return socket;
}

Descriptor bind_socket(const std::string& address) {
  Address to = internet_address(address, 0);
  Descriptor socket(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) fail("socket");
  if (::bind(socket.get(), to.generic(), to.size) != 0) fail("bind");
  return socket;
}

std::string address_of(const Descriptor& socket) {
  Address own;
  own.size = sizeof own.storage;
  if (::getsockname(socket.get(), own.generic(), &own.size) != 0)
    fail("getsockname");
  sockaddr_in name{};
  std::memcpy(&name, &own.storage, sizeof name);
  char host[INET_ADDRSTRLEN];
  ::inet_ntop(AF_INET, &name.sin_addr, host, sizeof host);
  return std::string(host) + ":" + std::to_string(ntohs(name.sin_port));
}

void reset_on_close(const Descriptor& socket) {
  const linger at_once{1, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

Peer::Peer(Descriptor socket) : socket_(std::move(socket)) {}

std::size_t Peer::send_some(std::string_view bytes) {
  const auto n = ::send(socket_.get(), bytes.data(), bytes.size(),
                        MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN && errno != EINTR) fail("send");
  if (n <= 0) return 0;
  const std::lock_guard lock(said_->mutex);
  if (std::exchange(said_->heard, false)) said_->excerpt = {};
  said_->excerpt.add(bytes.substr(0, static_cast<std::size_t>(n)));
  return static_cast<std::size_t>(n);
}

bool Peer::writable(Milliseconds bound) {
  return ready(socket_.get(), POLLOUT, bound);
}

void Peer::send(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!writable(patience())) {
      lose_patience();
      complain("the server does not read");
    }
    bytes.remove_prefix(send_some(bytes));
  }
}

Excerpt Peer::said() const {
  const std::lock_guard lock(said_->mutex);
  return said_->excerpt;
}

Answer Peer::answer(std::string bytes) {
  const std::lock_guard lock(said_->mutex);
  said_->heard = true;
  return Answer(std::move(bytes), said_->excerpt);
}

void Peer::complain(const std::string& what) const {
  throw Trouble(what + "\n  sent      " + printable(said().beginning) + " of " +
                std::to_string(said().size) + "\n  came      " +
                printable(unread_));
}

bool Peer::receive_more() {
  const Milliseconds bound = patience();
  if (!ready(socket_.get(), POLLIN, bound)) {
    lose_patience();
    complain("no answer, or no more of it, for " +
             std::to_string(bound.count()) + " ms");
  }
  char room[1 << 16];
  const auto n = ::recv(socket_.get(), room, sizeof room, 0);
  if (n < 0) complain(std::string("recv: ") + std::strerror(errno));
  unread_.append(room, static_cast<std::size_t>(n));
  return n > 0;
}

Answer Peer::receive(std::size_t n) {
  while (unread_.size() < n)
    if (!receive_more())
      complain("the server has ended the conversation early, before byte " +
               std::to_string(n) + " of an answer");
  std::string bytes = unread_.substr(0, n);
  unread_.erase(0, n);
  return answer(std::move(bytes));
}

Answer Peer::receive_like(std::string_view expected) {
  while (unread_.size() < expected.size() && expected.starts_with(unread_)) {
    if (!ready(socket_.get(), POLLIN, patience())) {
      lose_patience();
      break;
    }
    if (!receive_more()) break;
  }
  return receive(std::min(unread_.size(), expected.size()));
}

Answer Peer::frame() {
  for (;;) {
    if (const auto size = frame_size(unread_)) return receive(*size);
    if (!receive_more())
      complain("the server has ended the conversation without a whole answer");
  }
}

Answer Peer::rest() {
  while (receive_more()) {
  }
  return answer(std::exchange(unread_, ""));
}

bool Peer::at_end(Milliseconds bound) {
  char byte;
  return unread_.empty() && ready(socket_.get(), POLLIN, bound) &&
         ::recv(socket_.get(), &byte, 1, MSG_PEEK) == 0;
}

void Peer::await_close() {
  char room[1 << 16];
  do {
    if (!ready(socket_.get(), POLLIN, patience())) {
      lose_patience();
      complain("the server does not close the connection");
    }
  } while (::recv(socket_.get(), room, sizeof room, 0) > 0);
}

Answer Peer::ask(const std::vector<std::string>& arguments) {
  send(request(arguments));
  return frame();
}

void Peer::finish() { ::shutdown(socket_.get(), SHUT_WR); }

void Peer::reset() {
  reset_on_close(socket_);
  socket_.close();
}

}  // namespace conformance
