// # The bare echo
//
// The least that a server over epoll can be: it returns the bytes that came,
// and knows no request, no limit and no deadline. What a server of the suite
// costs beyond it is what its protocol and its design cost.
//
// One thread, level-triggered. A request takes three system calls when it
// comes alone: epoll_wait, recv, send. With many connections one epoll_wait
// serves a batch, and with pipelining one recv and one send do.
//
// Why redis-benchmark can drive it: a request is an array of bulk strings, and
// an array is a legal reply, so each request that comes back is counted as one
// answer. `redis-benchmark ... ECHO text` therefore works, with -P too, and so
// do -t set,get,ping_mbulk. What redis-benchmark asks first, `CONFIG GET save`
// and `CONFIG GET appendonly`, comes back as an array whose second element is
// a string, which is all that it looks at. Not possible: PING_INLINE, which
// comes back as "PING", no reply of RESP ("Protocol error, got "P" as reply
// type byte"); hence a test or a command must always be named. The reply is
// longer than a true one: 56 bytes for an ECHO of 32, where a server sends 39.
//
// A peer that writes without ever reading is not read further while bytes for
// it are unsent, so memory is bounded by one block per connection; a client
// that writes 16 MB before it reads therefore waits for ever, as it must with
// any echo of bounded memory.
//
// Options: --port N (default 7000, 0 picks one), or --listen-fd N, an
// inherited bound socket. Says `ready bare-echo level tcp://127.0.0.1:PORT`
// and runs until a signal ends it.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

[[noreturn]] void fail(const char* call) {
  throw std::system_error(errno, std::generic_category(), call);
}

class BareEcho {
 public:
  explicit BareEcho(int listener);
  [[noreturn]] void run();

 private:
  void accept();
  void receive(int peer);
  void send(int peer, std::string_view bytes);
  void close(int peer);
  bool watch(int operation, int fd, std::uint32_t interest);

  int listener_;
  int set_;
  bool accepting_ = true;
  // Bytes that the kernel has not taken yet, by descriptor. The bare number is
  // safe as a name: a batch of events has at most one for each descriptor, and
  // only its own event closes it, so none in the batch can be stale.
  std::vector<std::string> unsent_;
  std::array<char, 16384> block_;
};

// 1. LISTEN, 2. ARM. A waiting peer makes the listener ready, so that what is
// asked of it must not sleep even if the peer has gone meanwhile. Connections
// inherit TCP_NODELAY from it.
BareEcho::BareEcho(int listener)
    : listener_(listener), set_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (set_ < 0) fail("epoll_create1");
  const int flags = ::fcntl(listener_, F_GETFL);
  if (flags < 0 || ::fcntl(listener_, F_SETFL, flags | O_NONBLOCK) < 0)
    fail("fcntl");
  const int on = 1;
  if (::setsockopt(listener_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
    fail("setsockopt");
  if (::listen(listener_, SOMAXCONN) < 0) fail("listen");
  if (!watch(EPOLL_CTL_ADD, listener_, EPOLLIN)) fail("epoll_ctl");
}

// 3. WAIT. Errors and hang-ups (EPOLLERR, EPOLLHUP) are not looked at: recv
// and send tell them, and tell them apart.
void BareEcho::run() {
  std::array<epoll_event, 256> events;
  for (;;) {
    const int ready = ::epoll_wait(set_, events.data(), events.size(), -1);
    if (ready < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < ready; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener_)
        accept();
      else if (!unsent_[fd].empty())
        send(fd, std::exchange(unsent_[fd], {}));
      else
        receive(fd);
    }
  }
}

// 4. ACCEPT. Without a free descriptor the listener would stay ready and the
// loop would spin: it is taken out of the set until a connection has ended.
void BareEcho::accept() {
  for (;;) {
    const int peer =
        ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (peer < 0) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EAGAIN) return;
      accepting_ = false;
      watch(EPOLL_CTL_MOD, listener_, 0);
      return;
    }
    const auto slots = static_cast<std::size_t>(peer) + 1;
    if (slots > unsent_.size()) unsent_.resize(slots);
    if (!watch(EPOLL_CTL_ADD, peer, EPOLLIN)) close(peer);
  }
}

// 5. RECEIVE. There is no step 6: the bytes are the answer.
void BareEcho::receive(int peer) {
  const ssize_t n = ::recv(peer, block_.data(), block_.size(), 0);
  if (n > 0) return send(peer, {block_.data(), static_cast<std::size_t>(n)});
  if (n == 0 || (errno != EAGAIN && errno != EINTR)) close(peer);
}

// 7. SEND. The kernel may take a part, or nothing. What is left is kept, and
// until it has gone the peer is watched for room and not for bytes.
void BareEcho::send(int peer, std::string_view bytes) {
  const bool kept = bytes.data() != block_.data();
  ssize_t n = ::send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN && errno != EINTR) return close(peer);
  if (n < 0) n = 0;
  unsent_[peer] = bytes.substr(static_cast<std::size_t>(n));
  const bool keeps = !unsent_[peer].empty();
  if (kept == keeps) return;
  if (!watch(EPOLL_CTL_MOD, peer, keeps ? EPOLLOUT : EPOLLIN)) close(peer);
}

// 8. CLOSE. The kernel takes a closed descriptor out of the set by itself.
void BareEcho::close(int peer) {
  unsent_[peer] = {};
  ::close(peer);
  if (accepting_) return;
  accepting_ = watch(EPOLL_CTL_MOD, listener_, EPOLLIN);
}

bool BareEcho::watch(int operation, int fd, std::uint32_t interest) {
  epoll_event event = {};
  event.events = interest;
  event.data.fd = fd;
  return ::epoll_ctl(set_, operation, fd, &event) == 0;
}

int bind_to(std::uint16_t port) {
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

std::uint16_t port_of(int listener) {
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  if (::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) < 0)
    fail("getsockname");
  return ntohs(address.sin_port);
}

std::optional<std::uint16_t> number(std::string_view text) {
  std::uint16_t value = 0;
  const char* begin = text.data();
  const char* end = begin + text.size();
  const auto [stopped, error] = std::from_chars(begin, end, value);
  if (error != std::errc{} || stopped != end) return std::nullopt;
  return value;
}

// The socket that the arguments name, or -1 where they say nothing we know.
int listener_of(const std::vector<std::string_view>& arguments) {
  if (arguments.empty()) return bind_to(7000);
  if (arguments.size() != 2) return -1;
  const auto value = number(arguments[1]);
  if (!value) return -1;
  if (arguments[0] == "--listen-fd") return *value;
  if (arguments[0] == "--port") return bind_to(*value);
  return -1;
}

}  // namespace

int main(int count, char** words) try {
  const int listener = listener_of({words + 1, words + count});
  if (listener < 0) {
    std::fputs("usage: bare-echo [--port 0..65535 | --listen-fd N]\n", stderr);
    return 2;
  }
  BareEcho echo(listener);
  std::printf("ready bare-echo level tcp://127.0.0.1:%d\n", port_of(listener));
  std::fflush(stdout);
  echo.run();
} catch (const std::exception& error) {
  std::fprintf(stderr, "bare-echo: %s\n", error.what());
  return 1;
}
