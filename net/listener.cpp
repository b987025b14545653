#include "net/listener.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <string_view>
#include <system_error>
#include <utility>

#include "net/address.hpp"
#include "net/sys.hpp"

namespace net {
namespace {

constexpr std::string_view too_many = "-ERR max number of clients reached\r\n";
constexpr int turns_max = 128;  // peers refused before others get their turn
constexpr int blocking_wait_ms = 100;
constexpr std::int64_t complaint_ns = 1'000'000'000;

const unsigned reset_counter = counter("net.", "reset");
const unsigned no_memory_counter = counter("lost.", "memory");
const unsigned no_thread_counter = counter("net.", "no_thread");

[[noreturn]] void fail(const std::string& call, int error = errno) {
  throw std::system_error(error, std::generic_category(), call);
}

void set(int fd, int level, int option, int value, const char* name) {
  if (sys::setsockopt(fd, level, option, &value, sizeof value) < 0)
    fail(std::string("setsockopt ") + name);
}

Address name_of(int fd) {
  Address address;
  address.length = sizeof address.storage;
  if (::getsockname(fd, address.get(), &address.length) < 0)
    fail("getsockname");
  return address;
}

/// Does anybody listen at this Unix path? A file that nobody answers on was
/// left over by a process that could not remove it.
bool answers(const Address& address) {
  const Fd probe(
      ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe) fail("socket");
  return ::connect(probe.get(), address.get(), address.length) == 0 ||
         errno != ECONNREFUSED;
}

/// Locks the directory, so that of two servers that start at once neither takes
/// the other's new socket for a stale one. (Released with the descriptor.)
Fd lock_directory(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string name = slash == 0 ? "/" : path.substr(0, slash);
  Fd directory(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) fail("open " + name);
  if (::flock(directory.get(), LOCK_EX) < 0) fail("flock " + name);
  return directory;
}

Fd bind_path(const std::string& path) {
  const auto address = parse_address(path);
  if (!address) fail("bind " + path, ENAMETOOLONG);
  Fd made(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!made) fail("socket");
  const Fd lock = lock_directory(path);
  const auto bind = [&] {
    return ::bind(made.get(), address->get(), address->length) == 0;
  };
  if (!bind()) {
    struct stat file;
    if (errno != EADDRINUSE) fail("bind " + path);
    if (::lstat(path.c_str(), &file) == 0 && !S_ISSOCK(file.st_mode))
      fail("bind " + path + " (it exists and is no socket)", EADDRINUSE);
    if (answers(*address)) fail("bind " + path, EADDRINUSE);
    if (::unlink(path.c_str()) < 0 && errno != ENOENT) fail("unlink " + path);
    if (!bind()) fail("bind " + path);
  }
  // Under the lock: from now on it answers.
  if (::listen(made.get(), SOMAXCONN) < 0) fail("listen");
  return made;
}

std::int64_t now_ns() {
  timespec time;
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// Needs no file that might be missing, and costs the kernel nothing.
Fd open_reserve() { return Fd(::open("/", O_PATH | O_CLOEXEC)); }

Fd duplicate(int fd) {
  Fd copy(sys::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) fail("fcntl F_DUPFD_CLOEXEC");
  return copy;
}

Fd inherit(int fd) {
  if (sys::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
    fail("listen-fd " + std::to_string(fd));
  return Fd(fd);
}

}  // namespace

Fd bind_socket(const std::string& bind, std::uint16_t port, bool reuse_port) {
  if (bind.starts_with('/')) return bind_path(bind);
  const bool bracketed = bind.starts_with('[') && bind.ends_with(']');
  const Address address =
      resolve_host(bracketed ? bind.substr(1, bind.size() - 2) : bind, port);
  Fd made(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!made) fail("socket");
  // A server that starts again must not wait for its last connections' end.
  set(made.get(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
  if (reuse_port) set(made.get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
  // "::" is all of IPv6 and nothing of IPv4, whatever the system's default.
  if (address.family() == AF_INET6)
    set(made.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY");
  if (::bind(made.get(), address.get(), address.length) < 0)
    fail("bind " + bind + " port " + std::to_string(port));
  return made;
}

std::string address_of(int fd) { return to_text(name_of(fd)); }

std::string url_of(int fd) {
  const Address address = name_of(fd);
  const char* scheme = address.family() == AF_UNIX ? "unix:" : "tcp://";
  return scheme + to_text(address);
}

void reset_on_close(int fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  sys::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  count(reset_counter);
}

void count_lost(Want want) {
  count(want == Want::memory ? no_memory_counter : no_thread_counter);
}

Endpoint::~Endpoint() {
  struct stat file;
  if (inode_ && ::lstat(options_.bind.c_str(), &file) == 0 &&
      file.st_dev == device_ && file.st_ino == inode_)
    ::unlink(options_.bind.c_str());
}

std::string Endpoint::address() {
  const std::scoped_lock lock(mutex_);
  if (!claim_) claim_ = claim();
  return address_of(claim_.get());
}

// The last one gets the claim itself: a descriptor that stayed open would go on
// taking peers after every loop has closed its own.
Fd Endpoint::bound() {
  const std::scoped_lock lock(mutex_);
  if (!claim_) claim_ = claim();
  return ++bound_ == loops_ ? std::move(claim_) : next();
}

// With several loops SO_REUSEPORT is set after bind: so bind itself has to
// find the port free of everybody, other processes that would share it
// included, and it is not given up for an instant. The kernel looks at the
// option of the sockets that are there when another one binds, which is then
// ours and already set.
Fd Endpoint::claim() {
  if (options_.listen_fd >= 0) return inherit(options_.listen_fd);
  Fd made = bind_socket(options_.bind, options_.port);
  struct stat file;
  if (!options_.bind.starts_with('/')) {
    if (loops_ > 1)
      set(made.get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
  } else if (::lstat(options_.bind.c_str(), &file) == 0) {
    device_ = file.st_dev;
    inode_ = file.st_ino;
  }
  return made;
}

Fd Endpoint::next() const {
  if (options_.listen_fd >= 0 || options_.bind.starts_with('/'))
    return duplicate(claim_.get());
  const Address address = name_of(claim_.get());  // the port, if any was asked
  const auto* name = reinterpret_cast<const sockaddr_in*>(address.get());
  static_assert(offsetof(sockaddr_in, sin_port) ==
                offsetof(sockaddr_in6, sin6_port));
  return bind_socket(options_.bind, ntohs(name->sin_port), true);
}

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
  peer_flags_ = peer_flags | SOCK_CLOEXEC;
  socket_ = endpoint_.bound();
  const int fd = socket_.get();
  // O_NONBLOCK is of the open file, which an inherited socket shares with
  // whoever else has it: so it is set or taken away, and not left as it is.
  blocking_ = (flags & SOCK_NONBLOCK) == 0;
  const int status = sys::fcntl(fd, F_GETFL);
  if (status < 0 ||
      sys::fcntl(fd, F_SETFL,
                 blocking_ ? status & ~O_NONBLOCK : status | O_NONBLOCK) < 0)
    fail("fcntl F_SETFL");
  // Accepted sockets inherit both: no call per connection.
  if (name_of(fd).family() != AF_UNIX)
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
  if (options_.send_buffer > 0)
    set(fd, SOL_SOCKET, SO_SNDBUF, options_.send_buffer, "SO_SNDBUF");
  if (::listen(fd, SOMAXCONN) < 0) fail("listen");
  if (opened_) opened_(url_of(fd));
}

unsigned Listener::queued() const {
  // Of a listening socket the kernel tells here how long its queue is (tcp_info
  // in net/ipv4/tcp.c); a Unix socket does not tell.
  tcp_info queue{};
  socklen_t size = sizeof queue;
  if (sys::getsockopt(fd(), IPPROTO_TCP, TCP_INFO, &queue, &size) != 0)
    return SOMAXCONN;
  return queue.tcpi_unacked;
}

void Listener::close() { socket_ = Fd(); }

std::string Guest::address() const {
  Address address;
  address.length = sizeof address.storage;
  if (::getpeername(socket.get(), address.get(), &address.length) < 0)
    return "";  // it has gone already
  return to_text(address);
}

Guest Listener::admit(int fd, int error) {
  if (fd >= 0) return seat(Fd(fd));
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

Guest Listener::seat(Fd peer) {
  if (clients_.now.fetch_add(1, std::memory_order_relaxed) >= clients_.max) {
    clients_.now.fetch_sub(1, std::memory_order_relaxed);
    refuse(std::move(peer));
    return {};
  }
  clients_.accepted.fetch_add(1, std::memory_order_relaxed);
  return {std::move(peer), Seat(clients_)};
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
  const std::int64_t now = now_ns();
  if (complained_ns_ && now - complained_ns_ < complaint_ns) return;
  complained_ns_ = now;
  ::dprintf(STDERR_FILENO, "accept: %s; %llu peers refused so far\n",
            std::strerror(error),
            static_cast<unsigned long long>(
                clients_.refused.load(std::memory_order_relaxed)));
}

}  // namespace net
