#include "net/listener.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <utility>

#include "net/address.hpp"
#include "net/clock.hpp"
#include "net/error.hpp"
#include "net/sys.hpp"

namespace net {
namespace {

constexpr std::string_view too_many = "-ERR max number of clients reached\r\n";
constexpr int turns_max = 128;  // peers refused before others get their turn
constexpr int blocking_wait_ms = 100;
constexpr std::int64_t complaint_ns = 1'000'000'000;
// There is room for so many counters of them; more are not told apart.
constexpr unsigned counted_loops = 16;

/// Needs no file that might be missing, and costs the kernel nothing.
Fd open_reserve() { return Fd(::open("/", O_PATH | O_CLOEXEC)); }

}  // namespace

Listener::Listener(const Options& options, Clients& clients,
                   std::function<void(const std::string& url)> opened,
                   Endpoint* endpoint)
    : options_(options),
      clients_(clients),
      opened_(std::move(opened)),
      own_(endpoint ? std::nullopt : std::optional<Endpoint>()),
      endpoint_(endpoint ? *endpoint : own_.emplace(options)),
      reserve_(open_reserve()) {}

void Listener::open(int flags, int peer_flags) {
  listen(endpoint_.bound(), flags, peer_flags);
}

void Listener::open(int flags, Share share, Mailbox& mailbox) {
  Endpoint::Place place = endpoint_.bound(share);
  hands_ = share == Share::guests;
  if (hands_) endpoint_.handoff().join(place.loop, mailbox);
  listen(std::move(place), flags, flags);
}

void Listener::listen(Endpoint::Place place, int flags, int peer_flags) {
  peer_flags_ = peer_flags | SOCK_CLOEXEC;
  loop_ = place.loop;
  // All of them, so that INFO has them in order, whoever is first.
  const unsigned loops = std::min(endpoint_.loops(), counted_loops);
  for (unsigned i = 0; loops > 1 && i < loops; ++i) {
    const unsigned of_loop =
        counter("model.", "accepted_loop_" + std::to_string(i));
    if (i == loop_) accepted_counter_ = of_loop;
  }
  socket_ = std::move(place.socket);
  if (socket_) prepare(flags);
  if (opened_) opened_(place.url);
}

void Listener::prepare(int flags) {
  const int fd = socket_.get();
  // O_NONBLOCK is of the open file, which an inherited socket shares with
  // whoever else has it: so it is set or taken away, and not left as it is.
  blocking_ = (flags & SOCK_NONBLOCK) == 0;
  const int status = check(sys::fcntl(fd, F_GETFL), "fcntl F_GETFL");
  const int wanted = blocking_ ? status & ~O_NONBLOCK : status | O_NONBLOCK;
  check(sys::fcntl(fd, F_SETFL, wanted), "fcntl F_SETFL");
  // Accepted sockets inherit both: no call per connection.
  // Urgent data too is a part of the stream (RFC 6093): so its byte stays in
  // its place, and all that the kernel has counted can be read.
  if (url_of(fd).starts_with("tcp:")) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1, "setsockopt TCP_NODELAY");
    set_option(fd, SOL_SOCKET, SO_OOBINLINE, 1, "setsockopt SO_OOBINLINE");
  }
  if (options_.send_buffer > 0)
    set_option(fd, SOL_SOCKET, SO_SNDBUF, options_.send_buffer,
               "setsockopt SO_SNDBUF");
  check(::listen(fd, SOMAXCONN), "listen");
}

void Listener::refuse_from(int descriptor) {
  refused_from_ = descriptor;
  refused_counter_ = counter("model.", "refused_descriptors");
}

unsigned Listener::queued() const {
  if (!socket_) return 0;
  // Of a listening socket the kernel tells here how long its queue is (tcp_info
  // in net/ipv4/tcp.c); a Unix socket does not tell.
  tcp_info queue{};
  socklen_t size = sizeof queue;
  if (sys::getsockopt(fd(), IPPROTO_TCP, TCP_INFO, &queue, &size) != 0)
    return SOMAXCONN;
  return queue.tcpi_unacked;
}

void Listener::close() {
  socket_ = Fd();
  if (hands_) endpoint_.handoff().leave(loop_);
}

Guest Listener::handed() {
  return hands_ ? count_own(endpoint_.handoff().take(loop_)) : Guest();
}

// Whom the loop serves itself.
Guest Listener::count_own(Guest guest) {
  if (guest && accepted_counter_) count(*accepted_counter_);
  return guest;
}

std::string Guest::address() const {
  Address address;
  address.length = sizeof address.storage;
  if (::getpeername(socket.get(), address.get(), &address.length) < 0)
    return "";  // it has gone already
  return to_text(address);
}

Guest Listener::admit(int fd, int error) {
  Guest guest = fd >= 0 ? seat_beside_reserve(Fd(fd)) : admit_late(error);
  if (guest && hands_)
    guest = endpoint_.handoff().give(loop_, std::move(guest));
  return count_own(std::move(guest));
}

// Where accept itself has failed.
Guest Listener::admit_late(int error) {
  switch (error) {
    case EMFILE:  // us: no descriptor left, in the process
    case ENFILE:  // or in the system
      return exhausted(error);
    case ENOBUFS:  // us: no memory, and the peer still waits
    case ENOMEM:
      complain(error);
      ::poll(nullptr, 0, 10);
      return {};
    default:  // not now, again, or a peer that has gone
      return {};
  }
}

// While the reserve was given up, another thread of the program (or its C
// library, for a moment) may have taken the number, and given it back before
// this peer came. With a seat he would have it for as long as he stays, and
// those behind him would be told nothing.
Guest Listener::seat_beside_reserve(Fd peer) {
  if (!reserve_) reserve_ = open_reserve();
  if (reserve_) return seat(std::move(peer));
  refuse(std::move(peer));
  reserve_ = open_reserve();
  return {};
}

Guest Listener::seat(Fd peer) {
  if (peer.get() >= refused_from_) {
    count(refused_counter_);
    refuse(std::move(peer));
    return {};
  }
  if (clients_.now.fetch_add(1, std::memory_order_relaxed) >= clients_.max) {
    clients_.now.fetch_sub(1, std::memory_order_relaxed);
    refuse(std::move(peer));
    return {};
  }
  clients_.accepted.fetch_add(1, std::memory_order_relaxed);
  return {std::move(peer), Seat(clients_)};
}

void Listener::turn_away(Guest guest) {
  clients_.accepted.fetch_sub(1, std::memory_order_relaxed);
  refuse(std::move(guest.socket));
}

// accept4 fails before it has looked for a peer, at once, blocking or not: so
// whether somebody is there is asked first.
Guest Listener::exhausted(int error) {
  if (!reserve_) reserve_ = open_reserve();
  if (!reserve_) {
    complain(error);
    ::poll(nullptr, 0, 10);
    return {};
  }
  if (!waiting(blocking_ ? blocking_wait_ms : 0)) return {};
  reserve_ = Fd();
  Guest guest = take_turns();
  if (!reserve_) reserve_ = open_reserve();
  if (!guest) complain(error);
  return guest;
}

// The number of the reserve serves one peer after another. If it can be opened
// beside a peer, there is room again, and that peer is not refused.
Guest Listener::take_turns() {
  for (int turn = 0; turn < turns_max && waiting(0); ++turn) {
    Fd peer(sys::accept4(socket_.get(), nullptr, nullptr, peer_flags_));
    if (!peer) return {};  // another thread was faster, or the peer has gone
    reserve_ = open_reserve();
    if (reserve_) return seat(std::move(peer));
    refuse(std::move(peer));
  }
  return {};
}

bool Listener::waiting(int timeout_ms) const {
  pollfd listener{socket_.get(), POLLIN, 0};
  return sys::poll(&listener, 1, timeout_ms) == 1 &&
         listener.revents == POLLIN;  // a HUP says that it was shut down
}

// The peer must be able to read why. What it has sent is read away, since a
// close with unread input resets the connection and takes the answer with it;
// more than this a peer who waits for its first answer has not sent.
void Listener::refuse(Fd peer) {
  clients_.refused.fetch_add(1, std::memory_order_relaxed);
  sys::send(peer.get(), too_many.data(), too_many.size(),
            MSG_DONTWAIT | MSG_NOSIGNAL);
  sys::shutdown(peer.get(), SHUT_WR);
  char unread[4096];
  for (int i = 0; i < 16; ++i)
    if (sys::recv(peer.get(), unread, sizeof unread, MSG_DONTWAIT) <= 0) break;
}

void Listener::complain(int error) {
  const std::int64_t time = now();
  if (complained_ns_ && time - complained_ns_ < complaint_ns) return;
  complained_ns_ = time;
  ::dprintf(STDERR_FILENO, "accept: %s; %llu peers refused so far\n",
            std::strerror(error),
            static_cast<unsigned long long>(
                clients_.refused.load(std::memory_order_relaxed)));
}

}  // namespace net
