// # The echo on Asio
//
// One thread, which sleeps in io_context::run, that is, in Asio's epoll_wait
// (edge-triggered). An operation is asked for with a function, which is called
// when it is done: Asio tries at once, waits only if the kernel has nothing or
// no room, and async_write goes on until all is written. Back-pressure comes
// by itself: a session asks for more only when it has written what it had.
//
// A request that comes alone takes epoll_wait, recv, epoll_wait (to see what
// else has come before the next function is called) and send; the latter with
// MSG_NOSIGNAL, so that SIGPIPE is Asio's business and not ours.
//
// This is the echo of Asio's own examples, async_tcp_echo_server.cpp. With
// coroutines it is shorter, and takes more CPU time.

// g++ refuses fences where TSan is to look; one thread needs none.
#ifdef __SANITIZE_THREAD__
#define ASIO_DISABLE_FENCED_BLOCK
#endif

#include <array>
#include <asio.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <tuple>
#include <utility>

#include "bench/peers/listener.hpp"
#include "program/prepare.hpp"

namespace {

using asio::ip::tcp;

class AsioEcho {
 public:
  explicit AsioEcho(int listener);
  void run() { context_.run(); }
  void peer_gone();

 private:
  void accept();

  asio::io_context context_{1};  // a hint: one thread will run it
  tcp::acceptor listener_;
  bool accepting_ = true;
  std::uint64_t gone_ = 0;
};

// A connection. No table has it: the function of its one operation in flight
// owns it, and when there is none, it ends. Asio has been lent its block.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket peer, AsioEcho& echo)
      : peer_(std::move(peer)), echo_(echo) {}
  ~Session();
  void receive();

 private:
  void send(std::size_t n);

  tcp::socket peer_;
  AsioEcho& echo_;
  std::array<char, 16384> block_;
};

// Asio makes the descriptor non-blocking. Connections inherit TCP_NODELAY from
// it.
AsioEcho::AsioEcho(int listener) : listener_(context_, tcp::v4(), listener) {
  listener_.set_option(tcp::no_delay(true));
  listener_.listen();
  accept();
}

// Without a free descriptor every further accept would fail at once: who
// waits, waits in the backlog until a peer has gone. One may have gone between
// the failure and the call of this function: hence the count.
void AsioEcho::accept() {
  listener_.async_accept(
      [this, gone = gone_](asio::error_code error, tcp::socket peer) {
        if (!error)
          std::make_shared<Session>(std::move(peer), *this)->receive();
        accepting_ = !error || gone != gone_;
        if (accepting_) accept();
      });
}

void AsioEcho::peer_gone() {
  ++gone_;
  if (accepting_) return;
  accepting_ = true;
  accept();
}

// An end of what the peer says is an error like others (asio::error::eof).
// Whatever it said before has been sent.
void Session::receive() {
  peer_.async_read_some(
      asio::buffer(block_),
      [self = shared_from_this()](asio::error_code error, std::size_t n) {
        if (!error) self->send(n);
      });
}

void Session::send(std::size_t n) {
  asio::async_write(
      peer_, asio::buffer(block_, n),
      [self = shared_from_this()](asio::error_code error, std::size_t) {
        if (!error) self->receive();
      });
}

// The descriptor must be free before anybody is told that it is.
Session::~Session() {
  asio::error_code ignored;
  std::ignore = peer_.close(ignored);
  echo_.peer_gone();
}

}  // namespace

int main(int count, char** words) try {
  program::prepare();
  const int listener = peers::listener_of(count, words);
  if (listener < 0) return peers::say_usage("asio-echo");
  AsioEcho echo(listener);
  peers::say_ready("asio-echo", "edge", listener);
  echo.run();
} catch (const std::exception& error) {
  return peers::say_failed("asio-echo", error);
}
