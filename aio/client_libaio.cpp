// # The libaio client
//
// One thread for all peers, as in the server: polls, reads and writes of all of
// them are handed over together, and it sleeps until an event is there. The
// agenda says to whom it talks, what and when.

#include <new>
#include <string_view>

#include "aio/probe_libaio.hpp"
#include "aio/ring_libaio.hpp"
#include "net/client.hpp"

namespace {

using libaio::Asked;

struct Connection {
  protocol::Peer& peer;
  std::uint64_t id;
  net::Fd socket;
  bool connected = false;
  // Of each kind there is one at a time: a poll, or the call that it allows.
  bool reading = false, writing = false;
  // What a poll has said and no call has used up. A socket that is being
  // connected cannot be written.
  bool readable = false, blocked = true;
};

class Client {
 public:
  Client(protocol::Agenda& agenda, net::Mailbox& mailbox)
      : agenda_(agenda),
        mailbox_(mailbox),
        look_(agenda),
        ring_(libaio::slots_of_client, true) {
    ring_.note(Asked::bell, 0);
  }

  void run() {
    while (!agenda_.over() && !mailbox_.stopping()) {
      while (protocol::Peer* peer = agenda_.given_up())
        close(*peer, "given up");
      // Not while events are left: with a larger context they would be lost.
      while (protocol::Peer* peer = ring_.more() ? nullptr : agenda_.next())
        connect(*peer);
      while (protocol::Peer* peer = agenda_.due(net::now())) speak(*peer);
      turn();
    }
  }

 private:
  static constexpr char no_memory[] = "out of memory";
  // Slots that are no peer's: the bell's, and spare ones for polls whose
  // sockets are shut down and whose events have yet to come.
  static constexpr unsigned slots_own = 4, slots_max = 1 << 20;

  // 1. CONNECT. Begun, not waited for: EINPROGRESS is the usual answer (EINTR
  // means the same), and the socket becomes writable when it is decided.
  void connect(protocol::Peer& peer) try {
    if (full() && !grow())
      return agenda_.closed(peer, "no slot is left (sysctl fs.aio-max-nr)");
    const auto address = net::parse_address(peer.address);
    if (!address) return agenda_.closed(peer, "not an address");
    net::Fd socket = net::open_socket(*address, SOCK_NONBLOCK);
    if (!socket) return agenda_.closed(peer, net::describe(errno));
    if (sys::connect(socket.get(), address->get(), address->length) != 0 &&
        errno != EINPROGRESS && errno != EINTR)
      return agenda_.closed(peer, net::describe(errno));
    peer.tag = connections_.next_id();
    // 2. ARM. For its being writable: connected, or refused.
    next(connections_.emplace(peer, peer.tag, std::move(socket)));
  } catch (const std::bad_alloc&) {
    close(peer, no_memory);
  }

  // Two slots for each peer.
  bool full() const {
    return connections_.size() >= (ring_.slots() - slots_own) / 2;
  }

  // All is armed anew in a larger context: a poll looks first.
  bool grow() {
    if (!ring_.grow(slots_max)) return false;
    ring_.note(Asked::bell, 0);
    connections_.each([this](std::uint64_t, Connection& c) {
      c.reading = c.writing = false;
      next(c);
    });
    return true;
  }

  void speak(protocol::Peer& peer) {
    Connection* c = connections_.find(peer.tag);
    if (!c || !c->connected) return;
    agenda_.say(peer, net::now());
    next(*c);
  }

  void turn() {
    const auto on_done = [this](Asked what, std::uint64_t id, long result) {
      if (what == Asked::bell) return collect(result);
      if (Connection* c = connections_.find(id)) done(what, *c, result);
    };
    ring_.submit([this](auto... asked) { return make(asked...); }, on_done);
    // 3. WAIT. In nanoseconds, since a load has its times in microseconds. What
    // is noted does not wait.
    const protocol::Nanoseconds left =
        ring_.waits() ? 0 : net::time_to_sleep(agenda_.next_due());
    const timespec limit = net::to_timespec(left);
    look_.begin(net::now());
    ring_.wait(left < 0 ? nullptr : &limit);
    ring_.take(on_done);
    // What polls have told of is read in the next turn.
    if (ring_.more() || ring_.waits()) look_.left();
    look_.end();
  }

  // New work; the agenda is asked for it in run().
  void collect(long result) {
    ring_.note(Asked::bell, 0);
    if (result < 0) return;  // not taken
    mailbox_.silence();
    mailbox_.collect();
  }

  // What a noted request comes to by now. False: nobody wants it any more.
  bool make(Asked what, std::uint64_t id, iocb* entry) try {
    Connection* c = connections_.find(id);
    if (!c && what != Asked::bell) return false;
    const int fd = c ? c->socket.get() : mailbox_.fd();
    if (what == Asked::bell) ::io_prep_poll(entry, fd, POLLIN);
    if (what == Asked::readable) ::io_prep_poll(entry, fd, POLLIN);
    if (what == Asked::writable) ::io_prep_poll(entry, fd, POLLOUT);
    if (what == Asked::receive) ask_receive(*c, entry);
    if (what == Asked::send) ask_send(*c, entry);
    return true;
  } catch (const std::bad_alloc&) {
    close(connections_.find(id)->peer, no_memory);
    return false;
  }

  // For want of memory a conversation ends, and not the process.
  void done(Asked what, Connection& c, long result) try {
    if (what == Asked::readable || what == Asked::receive) c.reading = false;
    if (what == Asked::writable || what == Asked::send) c.writing = false;
    if (what == Asked::readable) c.readable = result > 0;
    if (what == Asked::writable) c.blocked = result <= 0;
    if (what == Asked::receive) received(c, result);
    if (what == Asked::send) sent(c, result);
    if (result < 0 && result != -EAGAIN && result != -EINTR)
      return close(c.peer, net::describe(static_cast<int>(-result)));
    if (!c.connected && !c.blocked && !connected(c)) return;
    if (c.peer.session.finished())
      return close(c.peer, std::string(c.peer.session.error()));
    next(c);
  } catch (const std::bad_alloc&) {
    close(c.peer, no_memory);
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

  // 2. ARM, for a connection: what has not been asked for yet. Reading always:
  // only so an end is noticed.
  void next(Connection& c) {
    if (!c.writing && (!c.connected || c.peer.session.has_output())) {
      c.writing = true;
      ring_.note(c.blocked ? Asked::writable : Asked::send, c.id);
    }
    if (c.connected && !c.reading) {
      c.reading = true;
      ring_.note(c.readable ? Asked::receive : Asked::readable, c.id);
    }
  }

  // 5. RECEIVE, asked. Room is lent only until io_submit(2) has returned.
  static void ask_receive(Connection& c, iocb* entry) {
    const auto room = c.peer.session.input();
    ::io_prep_pread(entry, c.socket.get(), room.data(), room.size(), 0);
  }

  // 5. RECEIVE, done. What was there; a poll says whether there is more.
  void received(Connection& c, long result) {
    c.readable = false;
    c.peer.session.received(result > 0 ? static_cast<std::size_t>(result) : 0);
    if (result == 0) c.peer.session.end_of_input();
    // 6. HAND OVER. The agenda takes the replies and may have more to say.
    if (result >= 0) agenda_.hand_over(c.peer, net::now());
  }

  // 7. SEND, asked.
  static void ask_send(Connection& c, iocb* entry) {
    const auto bytes = c.peer.session.output();
    ::io_prep_pwrite(entry, c.socket.get(),
                     const_cast<std::byte*>(bytes.data()), bytes.size(), 0);
  }

  // 7. SEND, done. Perhaps not of every byte: next() asks for the rest.
  static void sent(Connection& c, long result) {
    c.blocked = result == -EAGAIN;
    c.peer.session.sent(result > 0 ? static_cast<std::size_t>(result) : 0);
  }

  // 8. CLOSE. Whether or not there was a connection yet: a shutdown ends a poll
  // that would hold the socket open. The agenda may hand the peer out again at
  // once.
  void close(protocol::Peer& peer, std::string_view why) {
    if (Connection* c = connections_.find(peer.tag)) {
      if (c->reading || c->writing) sys::shutdown(c->socket.get(), SHUT_RDWR);
      connections_.erase(peer.tag);
    }
    agenda_.closed(peer, why);
  }

  protocol::Agenda& agenda_;
  net::Mailbox& mailbox_;
  net::Look look_;
  libaio::Ring ring_;  // at its end the polls end, and let go of the sockets
  net::Table<Connection> connections_;
};

constexpr net::Ideal ideal[] = {{"io_getevents", 1}, {"io_submit", 2}};

}  // namespace

const net::Model model::client = {
    .name = "aio",
    .variant = "libaio",
    .ideal = ideal,
    .probe = [](const net::Options&, net::Trial& trial) {
      return libaio::probe(libaio::slots_of_client, 1, trial);
    }};

void model::converse(protocol::Agenda& agenda, net::Mailbox& mailbox,
                     const net::Options&) {
  Client(agenda, mailbox).run();
}
