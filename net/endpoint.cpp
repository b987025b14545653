#include "net/endpoint.hpp"

#include <netinet/in.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstddef>
#include <utility>

#include "net/address.hpp"
#include "net/error.hpp"
#include "net/sys.hpp"

namespace net {
namespace {

Address name_of(int fd) {
  Address address;
  address.length = sizeof address.storage;
  check(::getsockname(fd, address.get(), &address.length), "getsockname");
  return address;
}

/// Does anybody listen at this Unix path? A file that nobody answers on was
/// left over by a process that could not remove it.
bool answers(const Address& address) {
  const Fd probe(
      check(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
            "socket"));
  return ::connect(probe.get(), address.get(), address.length) == 0 ||
         errno != ECONNREFUSED;
}

/// Locks the directory, so that of two servers that start at once neither takes
/// the other's new socket for a stale one. (Released with the descriptor.)
Fd lock_directory(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string name = slash == 0 ? "/" : path.substr(0, slash);
  Fd directory(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) fail(errno, "open " + name);
  if (::flock(directory.get(), LOCK_EX) < 0) fail(errno, "flock " + name);
  return directory;
}

Fd bind_path(const std::string& path) {
  const auto address = parse_address(path);
  if (!address) fail(ENAMETOOLONG, "bind " + path);
  Fd made(check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  const Fd lock = lock_directory(path);
  const auto bind = [&] {
    return ::bind(made.get(), address->get(), address->length) == 0;
  };
  if (!bind()) {
    struct stat file;
    if (errno != EADDRINUSE) fail(errno, "bind " + path);
    if (::lstat(path.c_str(), &file) == 0 && !S_ISSOCK(file.st_mode))
      fail(EADDRINUSE, "bind " + path + " (it exists and is no socket)");
    if (answers(*address)) fail(EADDRINUSE, "bind " + path);
    if (::unlink(path.c_str()) < 0 && errno != ENOENT)
      fail(errno, "unlink " + path);
    if (!bind()) fail(errno, "bind " + path);
  }
  // Under the lock: from now on it answers.
  check(::listen(made.get(), SOMAXCONN), "listen");
  return made;
}

}  // namespace

void set_option(int fd, int level, int option, int value, const char* call) {
  check(sys::setsockopt(fd, level, option, &value, sizeof value), call);
}

Fd bind_socket(const std::string& bind, std::uint16_t port, bool reuse_port) {
  if (bind.starts_with('/')) return bind_path(bind);
  const bool bracketed = bind.starts_with('[') && bind.ends_with(']');
  const Address address =
      resolve_host(bracketed ? bind.substr(1, bind.size() - 2) : bind, port);
  Fd made(check(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0),
                "socket"));
  const int fd = made.get();
  // A server that starts again must not wait for its last connections' end.
  set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1, "setsockopt SO_REUSEADDR");
  if (reuse_port)
    set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "setsockopt SO_REUSEPORT");
  // "::" is all of IPv6 and nothing of IPv4, whatever the system's default.
  if (address.family() == AF_INET6)
    set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1, "setsockopt IPV6_V6ONLY");
  if (::bind(fd, address.get(), address.length) < 0)
    fail(errno, "bind " + bind + " port " + std::to_string(port));
  return made;
}

std::string address_of(int fd) { return to_text(name_of(fd)); }

std::string url_of(int fd) {
  const Address address = name_of(fd);
  const char* scheme = address.family() == AF_UNIX ? "unix:" : "tcp://";
  return scheme + to_text(address);
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
// taking peers after every loop has closed its own. Of those that hand out, the
// first.
Endpoint::Place Endpoint::bound(Share share) {
  const std::scoped_lock lock(mutex_);
  if (bound_ == 0) {
    if (!claim_) claim_ = claim();
    url_ = url_of(claim_.get());
  }
  const unsigned loop = bound_;
  Fd socket;
  if (share == Share::guests ? loop == 0 : loop + 1 == loops_)
    socket = std::move(claim_);
  else if (share != Share::guests)
    socket = next(share);
  ++bound_;
  return {loop, std::move(socket), url_};
}

Fd Endpoint::claim() {
  if (const int fd = options_.listen_fd; fd >= 0) {
    if (sys::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
      fail(errno, "listen-fd " + std::to_string(fd));
    return Fd(fd);
  }
  Fd made = bind_socket(options_.bind, options_.port);
  struct stat file;
  if (options_.bind.starts_with('/') &&
      ::lstat(options_.bind.c_str(), &file) == 0) {
    device_ = file.st_dev;
    inode_ = file.st_ino;
  }
  return made;
}

// SO_REUSEPORT is set after bind: so bind itself has to find the port free of
// everybody, other processes that would share it included, and it is not given
// up for an instant. The kernel looks at the option of the sockets that are
// there when another one binds, which is then ours and already set.
Fd Endpoint::next(Share share) const {
  if (share == Share::socket || options_.listen_fd >= 0 ||
      options_.bind.starts_with('/'))
    return Fd(check(sys::fcntl(claim_.get(), F_DUPFD_CLOEXEC, 0),
                    "fcntl F_DUPFD_CLOEXEC"));
  set_option(claim_.get(), SOL_SOCKET, SO_REUSEPORT, 1,
             "setsockopt SO_REUSEPORT");
  const Address address = name_of(claim_.get());  // the port, if any was asked
  const auto* name = reinterpret_cast<const sockaddr_in*>(address.get());
  static_assert(offsetof(sockaddr_in, sin_port) ==
                offsetof(sockaddr_in6, sin6_port));
  return bind_socket(options_.bind, ntohs(name->sin_port), true);
}

}  // namespace net
