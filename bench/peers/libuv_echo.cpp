// # The echo on libuv
//
// One thread, which sleeps in uv_run, that is, in libuv's epoll_wait
// (level-triggered). libuv accepts and reads by itself and calls us back with
// a connection or with bytes; it finishes what we ask it to write, and tells
// when it has. Ours are the memory that it reads into, and the decision when
// not to read: by itself it would queue any number of writes.
//
// A request that comes alone takes epoll_wait, read and write, as long as
// uv_try_write can give everything to the kernel. The guide's echo server has
// uv_write do it all, which needs a block and a request of their own for each
// read, and bounds nothing.

#include <uv.h>

#include <array>
#include <csignal>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "bench/peers/listener.hpp"
#include "program/prepare.hpp"

namespace {

// A connection. libuv has a pointer to it from accept() to closed().
struct Peer {
  uv_tcp_t socket;
  uv_write_t request;  // lent to libuv, with `unsent`, until sent() is called
  std::string unsent;
};

class LibuvEcho {
 public:
  explicit LibuvEcho(int listener);
  void run() { uv_run(&loop_, UV_RUN_DEFAULT); }

 private:
  static void accept(uv_stream_t* listener, int status);
  static void lend(uv_handle_t* socket, std::size_t size, uv_buf_t* block);
  static void receive(uv_stream_t* socket, ssize_t n, const uv_buf_t* block);
  static void send_later(uv_stream_t* socket, const char* bytes, std::size_t n);
  static void sent(uv_write_t* request, int status);
  static void close(uv_stream_t* socket);
  static void closed(uv_handle_t* socket);

  uv_loop_t loop_;
  uv_tcp_t listener_;
  // One for all: libuv reads into it and calls receive() before it asks for
  // memory again. 64 KiB is what it suggests for a read.
  std::array<char, 65536> block_;
};

void check(int status, const char* call) {
  if (status < 0)
    throw std::runtime_error(std::string(call) + ": " + uv_strerror(status));
}

// libuv makes the descriptor non-blocking. Connections inherit TCP_NODELAY
// from it. SIGPIPE is for us to ignore: libuv writes by write(2).
LibuvEcho::LibuvEcho(int listener) {
  std::signal(SIGPIPE, SIG_IGN);
  check(uv_loop_init(&loop_), "uv_loop_init");
  uv_loop_set_data(&loop_, this);
  check(uv_tcp_init(&loop_, &listener_), "uv_tcp_init");
  check(uv_tcp_open(&listener_, listener), "uv_tcp_open");
  check(uv_tcp_nodelay(&listener_, 1), "uv_tcp_nodelay");
  auto* stream = reinterpret_cast<uv_stream_t*>(&listener_);
  check(uv_listen(stream, SOMAXCONN, accept), "uv_listen");
}

// Without a free descriptor libuv neither spins nor waits: it keeps one in
// reserve, by which it accepts who is waiting and closes at once. We are told
// UV_EMFILE afterwards, and have nothing left to do.
void LibuvEcho::accept(uv_stream_t* listener, int status) {
  if (status < 0) return;
  Peer* peer = std::make_unique<Peer>().release();
  uv_tcp_init(listener->loop, &peer->socket);
  uv_handle_set_data(reinterpret_cast<uv_handle_t*>(&peer->socket), peer);
  auto* socket = reinterpret_cast<uv_stream_t*>(&peer->socket);
  if (uv_accept(listener, socket) < 0 ||
      uv_read_start(socket, lend, receive) < 0)
    close(socket);
}

void LibuvEcho::lend(uv_handle_t* socket, std::size_t, uv_buf_t* block) {
  auto& block_of_all =
      static_cast<LibuvEcho*>(uv_loop_get_data(socket->loop))->block_;
  *block = uv_buf_init(block_of_all.data(), block_of_all.size());
}

// No bytes are no end but libuv's EAGAIN. An end (UV_EOF) finds everything
// sent: with bytes unsent the peer is not read.
void LibuvEcho::receive(uv_stream_t* socket, ssize_t n, const uv_buf_t* block) {
  if (n == 0) return;
  if (n < 0) return close(socket);
  const uv_buf_t bytes = uv_buf_init(block->base, static_cast<unsigned>(n));
  int taken = uv_try_write(socket, &bytes, 1);
  if (taken == UV_EAGAIN) taken = 0;
  if (taken < 0) return close(socket);
  if (taken < n)
    send_later(socket, block->base + taken,
               static_cast<std::size_t>(n - taken));
}

// The kernel has no room. libuv writes the rest when there is, and the peer is
// not read until then: one block for each connection is all that it can cost.
void LibuvEcho::send_later(uv_stream_t* socket, const char* bytes,
                           std::size_t n) {
  auto* peer = static_cast<Peer*>(socket->data);
  peer->unsent.assign(bytes, n);
  const uv_buf_t rest =
      uv_buf_init(peer->unsent.data(), static_cast<unsigned>(n));
  uv_read_stop(socket);
  if (uv_write(&peer->request, socket, &rest, 1, sent) < 0) close(socket);
}

void LibuvEcho::sent(uv_write_t* request, int status) {
  uv_stream_t* socket = request->handle;
  static_cast<Peer*>(socket->data)->unsent = {};
  if (status < 0 || uv_read_start(socket, lend, receive) < 0) close(socket);
}

// libuv may still hold events of this socket, and calls back when it has let
// go of it. sent() comes before that with UV_ECANCELED, hence the question.
void LibuvEcho::close(uv_stream_t* socket) {
  auto* handle = reinterpret_cast<uv_handle_t*>(socket);
  if (!uv_is_closing(handle)) uv_close(handle, closed);
}

void LibuvEcho::closed(uv_handle_t* socket) {
  const std::unique_ptr<Peer> last(static_cast<Peer*>(socket->data));
}

}  // namespace

int main(int count, char** words) try {
  program::prepare();
  const int listener = peers::listener_of(count, words);
  if (listener < 0) return peers::say_usage("libuv-echo");
  LibuvEcho echo(listener);
  peers::say_ready("libuv-echo", "level", listener);
  echo.run();
} catch (const std::exception& error) {
  return peers::say_failed("libuv-echo", error);
}
