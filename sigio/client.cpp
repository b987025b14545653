// # The signal-driven client
//
// One thread for all peers, as in the server: a signal comes for each change of
// a socket, with its number, and the thread sleeps until there is one. The
// agenda says to whom it talks, what and when.

#include <new>
#include <string_view>

#include "net/client.hpp"
#include "net/list.hpp"
#include "sigio/signals.hpp"

namespace {

struct Connection : net::Link, sigio::Told {
  Connection(protocol::Peer& its_peer, std::uint64_t its_id, net::Fd its_socket)
      : peer(its_peer), id(its_id), socket(std::move(its_socket)) {}

  protocol::Peer& peer;
  std::uint64_t id;
  net::Fd socket;
  bool connected = false;
};

class Client {
 public:
  Client(protocol::Agenda& agenda, net::Mailbox& mailbox)
      : agenda_(agenda),
        mailbox_(mailbox),
        look_(agenda),
        signals_(sigio::block({ready_, SIGIO, sigio::wake_signal})) {
    sigio::wake_by_signal(mailbox_);
  }
  ~Client() { mailbox_.on_wake({}); }

  void run() {
    mailbox_.collect();
    while (!agenda_.over() && !mailbox_.stopping()) {
      while (protocol::Peer* peer = agenda_.given_up())
        close(*peer, "given up");
      while (protocol::Peer* peer = agenda_.next()) connect(*peer);
      while (protocol::Peer* peer = agenda_.due(net::now())) speak(*peer);
      turn();
    }
  }

 private:
  static constexpr char no_memory[] = "out of memory";
  // It is told of so many changes before the agenda is asked again.
  static constexpr int signals_max = 256;

  // 1. CONNECT. Begun, not waited for: EINPROGRESS is the usual answer (EINTR
  // means the same), and a signal comes when it is decided. A Unix socket is
  // connected at once, and no signal tells.
  void connect(protocol::Peer& peer) try {
    const auto address = net::parse_address(peer.address);
    if (!address) return agenda_.closed(peer, "not an address");
    net::Fd socket = net::open_socket(*address, SOCK_NONBLOCK);
    if (!socket) return agenda_.closed(peer, net::describe(errno));
    peer.tag = connections_.next_id();
    Connection& c = connections_.emplace(peer, peer.tag, std::move(socket));
    // 2. ARM. Before connect(2): what has been decided before sends nothing.
    const int fd = c.socket.get();
    if (!ids_.set(fd, c.id) || !sigio::arm(fd, ready_))
      return close(peer, net::describe(ENOMEM));
    const bool at_once = sys::connect(fd, address->get(), address->length) == 0;
    if (!at_once && errno != EINPROGRESS && errno != EINTR)
      return close(peer, net::describe(errno));
    if (at_once) serve(c);
  } catch (const std::bad_alloc&) {
    close(peer, no_memory);
  }

  void speak(protocol::Peer& peer) {
    Connection* c = connections_.find(peer.tag);
    if (!c || !c->connected) return;
    agenda_.say(peer, net::now());
    serve(*c);
  }

  void turn() {
    // 3. WAIT. One signal a call: one is all that sigtimedwait(2) takes. Those
    // who have more left are served between the signals that wait, and it is
    // looked whether there is one more only while somebody is due.
    const bool busy = !unfinished_.empty();
    const protocol::Nanoseconds left =
        busy ? 0 : net::time_to_sleep(agenda_.next_due());
    const timespec timeout = net::to_timespec(left);
    look_.begin(net::now());
    bool more = wake(left < 0 ? nullptr : &timeout);
    for (int i = 1; left == 0 && more && i < signals_max; ++i)
      more = wake(&sigio::at_once);
    if (more) look_.left();
    unfinished_.each_once([this](Connection& c) { serve(c); });
    look_.end();
  }

  // False if there was none.
  bool wake(const timespec* timeout) {
    siginfo_t signal;
    const int number = sys::sigtimedwait(&signals_, &signal, timeout);
    if (number < 0 && errno == EAGAIN) return false;
    if (number < 0 && errno == EINTR) return true;
    net::check(number, "sigtimedwait");
    if (number == sigio::wake_signal) {
      mailbox_.collect();  // new work; the agenda is asked for it in run()
    } else if (number == SIGIO) {
      recover();
    } else if (Connection* c = connections_.find(ids_.at(signal.si_fd))) {
      c->note(signal.si_band);
      serve(*c);
    }  // Else its socket has been closed since it was queued.
    return true;
  }

  // SIGIO comes instead of a signal that found the queue full: so everybody is
  // looked at, and what is queued tells nothing more.
  void recover() {
    net::count(overflows_);
    sigio::discard(ready_);
    connections_.each([this](std::uint64_t, Connection& c) {
      c.forget();
      serve(c);
    });
  }

  // 4. CONNECTED. Or not: the socket keeps what became of it (connect(2)).
  bool connected(Connection& c) {
    int error = 0;
    socklen_t size = sizeof error;
    if (sys::getsockopt(c.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) !=
        0)
      error = errno;
    if (error != 0) {
      close(c.peer, net::describe(error));
      return false;
    }
    c.connected = true;
    agenda_.connected(c.peer);
    agenda_.say(c.peer, net::now());
    return true;
  }

  // For want of memory a conversation ends, and not the process. A signal may
  // be of a socket that had this number before, and say of one that is not
  // connected yet that it can be written to: so the socket itself is asked.
  void serve(Connection& c) try {
    if (!c.connected && !sigio::is_ready(c.socket.get(), POLLOUT)) return;
    if (!c.connected && !connected(c)) return;
    int error = c.readable ? receive(c) : 0;
    if (error == 0) error = send(c);
    if (error != 0) return close(c.peer, net::describe(error));
    if (c.peer.session.finished())
      return close(c.peer, std::string(c.peer.session.error()));
    if (c.readable) unfinished_.push_back(c);
  } catch (const std::bad_alloc&) {
    close(c.peer, no_memory);
  }

  // 5. RECEIVE. A part of what has arrived. If it did not fill the room, the
  // socket is empty now, and the next byte sends a signal of its own.
  int receive(Connection& c) {
    protocol::ClientSession& session = c.peer.session;
    const auto room = session.input();
    const ssize_t n = sys::recv(c.socket.get(), room.data(), room.size(), 0);
    const int error = errno;
    session.received(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (n < 0 && error == EAGAIN) c.readable = c.ending = false;
    if (n < 0) return error == EINTR || error == EAGAIN ? 0 : error;
    c.readable = c.ending || static_cast<std::size_t>(n) == room.size();
    if (n == 0) session.end_of_input();
    if (c.readable) look_.left();
    // 6. HAND OVER. The agenda takes the replies and may have more to say.
    agenda_.hand_over(c.peer, net::now());
    return 0;
  }

  // 7. SEND. What the kernel has room for. Only after it has said that there is
  // none (EAGAIN) does it send a signal when there is some again.
  int send(Connection& c) {
    protocol::ClientSession& session = c.peer.session;
    while (c.writable && session.has_output()) {
      const auto bytes = session.output();
      const ssize_t n =
          sys::send(c.socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      const int error = errno;
      session.sent(n > 0 ? static_cast<std::size_t>(n) : 0);
      if (n < 0 && error == EAGAIN) c.writable = false;
      if (n < 0 && error != EINTR) return error == EAGAIN ? 0 : error;
    }
    return 0;
  }

  // 8. CLOSE. Whether or not there was a connection yet. The agenda may hand
  // the peer out again at once.
  void close(protocol::Peer& peer, std::string_view why) {
    if (const Connection* c = connections_.find(peer.tag))
      ids_.clear(c->socket.get());
    connections_.erase(peer.tag);
    agenda_.closed(peer, why);
  }

  protocol::Agenda& agenda_;
  net::Mailbox& mailbox_;
  net::Look look_;
  const int ready_ = sigio::ready_signal();
  const sigset_t signals_;
  net::Table<Connection> connections_;
  sigio::Descriptors ids_;
  net::List<Connection> unfinished_;
  const unsigned overflows_ = net::counter("model.", "overflows");
};

constexpr net::Ideal ideal[] = {{"sigtimedwait", 1}, {"recv", 1}, {"send", 1}};

}  // namespace

const net::Model model::client = {
    .name = "sigio", .variant = "queue", .ideal = ideal};

void model::converse(protocol::Agenda& agenda, net::Mailbox& mailbox,
                     const net::Options&) {
  Client(agenda, mailbox).run();
}
