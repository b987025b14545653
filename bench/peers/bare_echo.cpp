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

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bench/peers/listener.hpp"
#include "program/prepare.hpp"

namespace {

using peers::fail;

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

}  // namespace

int main(int count, char** words) try {
  program::prepare();
  const int listener = peers::listener_of(count, words);
  if (listener < 0) return peers::say_usage("bare-echo");
  BareEcho echo(listener);
  peers::say_ready("bare-echo", "level", listener);
  echo.run();
} catch (const std::exception& error) {
  return peers::say_failed("bare-echo", error);
}
