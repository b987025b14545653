// # The poll client
//
// One thread for all peers, as in the server: it connects, sends and receives
// whenever one of them can, and sleeps in one wait for all of them. The agenda
// says to whom it talks, what and when.

#include <new>
#include <string_view>

#include "net/client.hpp"
#include "select/calls.hpp"
#include "select/interest.hpp"

namespace {

struct Connection {
  protocol::Peer& peer;
  std::uint64_t id;
  net::Fd socket;
  std::uint32_t place;  // in the list
  bool connected = false;
};

class Client {
 public:
  Client(protocol::Agenda& agenda, net::Mailbox& mailbox)
      : agenda_(agenda), mailbox_(mailbox), look_(agenda) {
    list_.add(mailbox_.fd(), POLLIN, mailbox_id);
  }

  void run() {
    while (!agenda_.over() && !mailbox_.stopping()) {
      while (protocol::Peer* peer = agenda_.given_up())
        close(*peer, "given up");
      while (protocol::Peer* peer = agenda_.next()) connect(*peer);
      while (protocol::Peer* peer = agenda_.due(net::now())) speak(*peer);
      turn();
    }
  }

 private:
  static constexpr std::uint64_t mailbox_id = 1;  // never one of the table's
  static constexpr char no_memory[] = "out of memory";

  // 1. CONNECT. Begun, not waited for: EINPROGRESS is the usual answer (EINTR
  // means the same), and the socket becomes writable when it is decided.
  void connect(protocol::Peer& peer) try {
    const auto address = net::parse_address(peer.address);
    if (!address) return agenda_.closed(peer, "not an address");
    net::Fd socket = net::open_socket(*address, SOCK_NONBLOCK);
    if (!socket) return agenda_.closed(peer, net::describe(errno));
    if (sys::connect(socket.get(), address->get(), address->length) != 0 &&
        errno != EINPROGRESS && errno != EINTR)
      return agenda_.closed(peer, net::describe(errno));
    peer.tag = connections_.next_id();
    const auto place = static_cast<std::uint32_t>(list_.size());
    Connection& c =
        connections_.emplace(peer, peer.tag, std::move(socket), place);
    // 2. ARM. For its being writable: connected, or refused.
    if (list_.add(c.socket.get(), POLLOUT, c.id)) return;
    connections_.erase(peer.tag);
    agenda_.closed(peer, no_memory);
  } catch (const std::bad_alloc&) {
    agenda_.closed(peer, no_memory);
  }

  void speak(protocol::Peer& peer) {
    Connection* c = connections_.find(peer.tag);
    if (!c || !c->connected) return;
    agenda_.say(peer, net::now());
    serve(*c, 0);
  }

  void turn() {
    // 3. WAIT. In nanoseconds, since a load has its times in microseconds. It
    // brings all that is ready, so that nothing is left but what is long.
    const protocol::Nanoseconds left = net::time_to_sleep(agenda_.next_due());
    const timespec timeout = net::to_timespec(left);
    look_.begin(net::now());
    const int n = sys::ppoll(list_.entries(), nfds_t{list_.size()},
                             left < 0 ? nullptr : &timeout, nullptr);
    if (n < 0 && errno != EINTR) net::check(n, "ppoll");
    if (n < 0) look_.left();
    list_.each_ready(
        [this](std::uint64_t id, int events) { wake(id, events); });
    look_.end();
  }

  void wake(std::uint64_t id, int events) {
    if (id == mailbox_id) return collect();
    if (Connection* c = connections_.find(id)) serve(*c, events);
  }

  // New work; the agenda is asked for it in run().
  void collect() {
    mailbox_.silence();
    mailbox_.collect();
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

  // For want of memory a conversation ends, and not the process.
  void serve(Connection& c, int events) try {
    if (!c.connected && !connected(c)) return;
    const bool readable = events & (POLLIN | POLLERR | POLLHUP);
    int error = readable ? receive(c) : 0;
    if (error == 0) error = send(c);
    if (error != 0) return close(c.peer, net::describe(error));
    if (c.peer.session.finished())
      return close(c.peer, std::string(c.peer.session.error()));
    watch(c);
  } catch (const std::bad_alloc&) {
    close(c.peer, no_memory);
  }

  // 2. ARM, for a connection. Reading always: only so an end is noticed.
  void watch(Connection& c) {
    list_.set(c.place, POLLIN | (c.peer.session.has_output() ? POLLOUT : 0));
  }

  // 5. RECEIVE. What has arrived, at most once.
  int receive(Connection& c) {
    protocol::ClientSession& session = c.peer.session;
    const auto room = session.input();
    const ssize_t n = sys::recv(c.socket.get(), room.data(), room.size(), 0);
    const int error = errno;
    session.received(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (n < 0) return error == EINTR || error == EAGAIN ? 0 : error;
    if (n == 0) session.end_of_input();
    if (static_cast<std::size_t>(n) == room.size()) look_.left();
    // 6. HAND OVER. The agenda takes the replies and may have more to say.
    agenda_.hand_over(c.peer, net::now());
    return 0;
  }

  // 7. SEND. What the kernel has room for.
  int send(Connection& c) {
    protocol::ClientSession& session = c.peer.session;
    while (session.has_output()) {
      const auto bytes = session.output();
      const ssize_t n =
          sys::send(c.socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      const int error = errno;
      session.sent(n > 0 ? static_cast<std::size_t>(n) : 0);
      if (n < 0 && error != EINTR) return error == EAGAIN ? 0 : error;
    }
    return 0;
  }

  // 8. CLOSE. Whether or not there was a connection yet. The agenda may hand
  // the peer out again at once.
  void close(protocol::Peer& peer, std::string_view why) {
    if (Connection* c = connections_.find(peer.tag)) {
      const std::uint32_t place = c->place;
      if (Connection* moved = connections_.find(list_.remove(place)))
        moved->place = place;
      connections_.erase(peer.tag);
    }
    agenda_.closed(peer, why);
  }

  protocol::Agenda& agenda_;
  net::Mailbox& mailbox_;
  net::Look look_;
  net::Table<Connection> connections_;
  interest::List list_;
};

constexpr net::Ideal ideal[] = {{"ppoll", 1}, {"recv", 1}, {"send", 1}};

}  // namespace

const net::Model model::client = {
    .name = "select", .variant = "poll", .ideal = ideal};

void model::converse(protocol::Agenda& agenda, net::Mailbox& mailbox,
                     const net::Options&) {
  Client(agenda, mailbox).run();
}
