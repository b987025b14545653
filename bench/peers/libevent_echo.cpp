// # The echo on libevent
//
// One thread, which sleeps in event_base_dispatch, that is, in libevent's
// epoll_wait (level-triggered). A bufferevent reads and writes by itself: it
// calls us when bytes lie in its input, and sends what lies in its output. So
// the echo is one call, which moves them from here to there without copying.
//
// What a request that comes alone takes is dear: epoll_wait, ioctl (how much
// is there?), readv, epoll_ctl (watch for room), epoll_wait, writev and
// epoll_ctl again, for a bufferevent writes only when the socket is reported
// ready for it. A read takes 4096 bytes at most.
//
// By itself an output grows without end. The watermarks and the three
// callbacks below are those of libevent's own sample le-proxy.c.

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/tcp.h>

#include <csignal>
#include <cstddef>
#include <exception>

#include "bench/peers/listener.hpp"
#include "program/prepare.hpp"

namespace {

// A peer with so many bytes unsent is not read before half of them have gone.
constexpr std::size_t output_max = 65536;

class LibeventEcho {
 public:
  explicit LibeventEcho(int listener);
  void run() { event_base_dispatch(base_); }

 private:
  static void accept(evconnlistener* listener, int fd, sockaddr*, int,
                     void* echo);
  static void pause(evconnlistener* listener, void* echo);
  static void receive(bufferevent* peer, void* echo);
  static void resume(bufferevent* peer, void* echo);
  static void end(bufferevent* peer, short what, void* echo);
  static void close(bufferevent* peer, void* echo);

  event_base* base_;
  evconnlistener* listener_;
};

// Connections inherit TCP_NODELAY from the listener. SIGPIPE is for us to
// ignore: libevent writes by writev(2).
LibeventEcho::LibeventEcho(int listener) : base_(event_base_new()) {
  if (base_ == nullptr) peers::fail("event_base_new");
  std::signal(SIGPIPE, SIG_IGN);
  const int on = 1;
  if (::setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
    peers::fail("setsockopt");
  if (evutil_make_socket_nonblocking(listener) < 0)
    peers::fail("evutil_make_socket_nonblocking");
  listener_ = evconnlistener_new(base_, accept, this, LEV_OPT_CLOSE_ON_EXEC,
                                 SOMAXCONN, listener);
  if (listener_ == nullptr) peers::fail("evconnlistener_new");
  evconnlistener_set_error_cb(listener_, pause);
}

// The bufferevent owns itself and the descriptor until bufferevent_free. It
// watches for room by itself when there is something to send.
void LibeventEcho::accept(evconnlistener*, int fd, sockaddr*, int, void* echo) {
  auto* self = static_cast<LibeventEcho*>(echo);
  bufferevent* peer =
      bufferevent_socket_new(self->base_, fd, BEV_OPT_CLOSE_ON_FREE);
  if (peer == nullptr) {
    evutil_closesocket(fd);
    return;
  }
  bufferevent_setwatermark(peer, EV_WRITE, output_max / 2, 0);
  bufferevent_setcb(peer, receive, nullptr, end, echo);
  if (bufferevent_enable(peer, EV_READ) < 0) close(peer, echo);
}

// Without a free descriptor the listener would stay ready, and libevent tell
// it again and again: who waits, waits in the backlog until a peer has gone.
void LibeventEcho::pause(evconnlistener* listener, void*) {
  evconnlistener_disable(listener);
}

void LibeventEcho::receive(bufferevent* peer, void* echo) {
  evbuffer* output = bufferevent_get_output(peer);
  evbuffer_add_buffer(output, bufferevent_get_input(peer));
  if (evbuffer_get_length(output) < output_max) return;
  bufferevent_disable(peer, EV_READ);
  bufferevent_setcb(peer, receive, resume, end, echo);
}

// Called when the output has come down to its watermark.
void LibeventEcho::resume(bufferevent* peer, void* echo) {
  bufferevent_setcb(peer, receive, nullptr, end, echo);
  bufferevent_enable(peer, EV_READ);
}

// After an end of what the peer says, it still gets its bytes: the output's
// watermark becomes 0, at which close() is called. An error has no after.
void LibeventEcho::end(bufferevent* peer, short what, void* echo) {
  if ((what & BEV_EVENT_ERROR) != 0 ||
      evbuffer_get_length(bufferevent_get_output(peer)) == 0)
    return close(peer, echo);
  bufferevent_setwatermark(peer, EV_WRITE, 0, 0);
  bufferevent_setcb(peer, nullptr, close, end, echo);
}

// To enable a listener that is enabled costs no system call.
void LibeventEcho::close(bufferevent* peer, void* echo) {
  bufferevent_free(peer);
  evconnlistener_enable(static_cast<LibeventEcho*>(echo)->listener_);
}

}  // namespace

int main(int count, char** words) try {
  program::prepare();
  const int listener = peers::listener_of(count, words);
  if (listener < 0) return peers::say_usage("libevent-echo");
  LibeventEcho echo(listener);
  peers::say_ready("libevent-echo", "level", listener);
  echo.run();
} catch (const std::exception& error) {
  return peers::say_failed("libevent-echo", error);
}
