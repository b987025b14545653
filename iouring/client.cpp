// # The io_uring client
//
// One thread for all peers, and every call one completion: connect, send and
// receive are asked for, one after another for a peer, all peers side by side.
// It sleeps in one wait until any of them is done. Each idle peer holds the
// bytes that its next answer would go to.

#include <new>

#include "iouring/calls.hpp"
#include "iouring/probe.hpp"
#include "iouring/ring.hpp"
#include "net/client.hpp"

namespace {

using iouring::Asked;

constexpr iouring::Needs needs{.entries = 256, .completions = 4096};

struct Connection {
  protocol::Peer& peer;
  std::uint64_t id;
  net::Address address;  // the kernel reads it until the connect is done
  net::Fd socket;
  std::string why = {};
  bool connected = false;
  // What the kernel has of us: while any of these is true we stay.
  bool connecting = true, receiving = false, sending = false;
  bool cancelling = false, closing = false;
};

class Client {
 public:
  Client(protocol::Agenda& agenda, net::Mailbox& mailbox)
      : agenda_(agenda),
        mailbox_(mailbox),
        look_(agenda),
        ring_(needs.entries, needs.completions) {
    ask_bell();
  }

  void run() {
    while (!agenda_.over() && !mailbox_.stopping()) {
      while (protocol::Peer* peer = agenda_.given_up()) give_up(*peer);
      while (protocol::Peer* peer = agenda_.next()) ask_connect(*peer);
      while (protocol::Peer* peer = agenda_.due(net::now())) speak(*peer);
      turn();
    }
    connections_.each([this](std::uint64_t, Connection& c) { close(c, ""); });
    // The bell, which has no conversation, is not asked again.
    ring_.finish([this](Asked what, std::uint64_t id, const io_uring_cqe& cqe) {
      if (id != 0) done(what, id, cqe.res);
    });
  }

 private:
  static constexpr char no_memory[] = "out of memory";

  // 1. CONNECT, asked. The kernel makes the call and tells when it is decided.
  void ask_connect(protocol::Peer& peer) try {
    const auto address = net::parse_address(peer.address);
    if (!address) return agenda_.closed(peer, "not an address");
    net::Fd socket = net::open_socket(*address, 0);
    if (!socket) return agenda_.closed(peer, net::describe(errno));
    peer.tag = connections_.next_id();
    Connection& c =
        connections_.emplace(peer, peer.tag, *address, std::move(socket));
    // 2. ARM. Nothing but the request itself.
    ::io_uring_prep_connect(ring_.entry(Asked::connect, c.id), c.socket.get(),
                            c.address.get(), c.address.length);
  } catch (const std::bad_alloc&) {
    agenda_.closed(peer, no_memory);
  }

  void give_up(protocol::Peer& peer) {
    Connection* c = connections_.find(peer.tag);
    if (!c) return;
    close(*c, "given up");
    next(*c);
  }

  void speak(protocol::Peer& peer) {
    Connection* c = connections_.find(peer.tag);
    if (!c || !c->connected || c->closing) return;
    agenda_.say(peer, net::now());
    next(*c);
  }

  void turn() {
    // 3. WAIT. Hands over all entries; in nanoseconds, since a load has its
    // times in microseconds.
    const protocol::Nanoseconds left = net::time_to_sleep(agenda_.next_due());
    __kernel_timespec timeout{.tv_sec = left / 1'000'000'000,
                              .tv_nsec = left % 1'000'000'000};
    look_.begin(net::now());
    ring_.wait(left < 0 ? nullptr : &timeout);
    ring_.take([this](Asked what, std::uint64_t id, const io_uring_cqe& cqe) {
      what == Asked::bell ? collect() : done(what, id, cqe.res);
      look_.left();  // one wait brings some 20 of those that are done
    });
    look_.end();
  }

  // New work; the agenda is asked for it in run().
  void collect() {
    mailbox_.collect();
    ask_bell();
  }

  void ask_bell() {
    ::io_uring_prep_read(ring_.entry(Asked::bell, 0), mailbox_.fd(),
                         &bell_count_, sizeof bell_count_, 0);
  }

  void done(Asked what, std::uint64_t id, int result) {
    if (Connection* c = connections_.find(id)) done(what, *c, result);
  }

  // For want of memory a conversation ends, and not the process.
  void done(Asked what, Connection& c, int result) try {
    if (what == Asked::connect) connected(c, result);
    if (what == Asked::receive) received(c, result);
    if (what == Asked::send) sent(c, result);
    if (what == Asked::cancel) c.cancelling = false;
    next(c);
  } catch (const std::bad_alloc&) {
    close(c, no_memory);
    next(c);
  }

  // 4. CONNECTED. Or not.
  void connected(Connection& c, int result) {
    c.connecting = false;
    if (result < 0) return close(c, net::describe(-result));
    if (c.closing) return;
    c.connected = true;
    agenda_.connected(c.peer);
    agenda_.say(c.peer, net::now());
  }

  // 2. ARM, for a connection: what its session wants and the kernel has not
  // been asked for yet. Everything that happens ends here.
  void next(Connection& c) {
    protocol::ClientSession& session = c.peer.session;
    if (session.finished()) close(c, std::string(session.error()));
    if (c.closing) return closed(c);
    if (!c.connected) return;
    if (!c.sending && session.has_output()) ask_send(c);
    if (!c.receiving) ask_receive(c);
  }

  // 5. RECEIVE, asked. Into the session's own bytes, the kernel's until done.
  void ask_receive(Connection& c) {
    c.receiving = true;
    const auto room = c.peer.session.input();
    ::io_uring_prep_recv(ring_.entry(Asked::receive, c.id), c.socket.get(),
                         room.data(), room.size(), 0);
  }

  // 5. RECEIVE, done.
  void received(Connection& c, int result) {
    c.receiving = false;
    protocol::ClientSession& session = c.peer.session;
    session.received(result > 0 ? static_cast<std::size_t>(result) : 0);
    if (result < 0 && result != -EINTR) return close(c, net::describe(-result));
    if (result == 0) session.end_of_input();
    // 6. HAND OVER. The agenda takes the replies and may have more to say.
    if (!c.closing) agenda_.hand_over(c.peer, net::now());
  }

  // 7. SEND, asked. One at a time, or the second could overtake the first.
  void ask_send(Connection& c) {
    c.sending = true;
    const auto bytes = c.peer.session.output();
    ::io_uring_prep_send(ring_.entry(Asked::send, c.id), c.socket.get(),
                         bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  // 7. SEND, done. Perhaps not of every byte: next() asks for the rest.
  void sent(Connection& c, int result) {
    c.sending = false;
    c.peer.session.sent(result > 0 ? static_cast<std::size_t>(result) : 0);
    if (result < 0 && result != -EINTR) close(c, net::describe(-result));
  }

  // 8. CLOSE, asked. What the kernel still has of ours is taken back first.
  void close(Connection& c, std::string why) {
    if (c.closing) return;
    c.closing = true;
    c.why = std::move(why);
  }

  // 8. CLOSE, done, once the kernel has let go of every address. The agenda may
  // hand the peer out again at once.
  void closed(Connection& c) {
    if (c.cancelling) return;
    if (c.connecting || c.receiving || c.sending) {
      c.cancelling = true;
      return ::io_uring_prep_cancel_fd(ring_.entry(Asked::cancel, c.id),
                                       c.socket.get(), IORING_ASYNC_CANCEL_ALL);
    }
    protocol::Peer& peer = c.peer;
    const std::string why = std::move(c.why);
    connections_.erase(c.id);
    agenda_.closed(peer, why);
  }

  protocol::Agenda& agenda_;
  net::Mailbox& mailbox_;
  net::Look look_;
  net::Table<Connection> connections_;
  std::uint64_t bell_count_ = 0;
  iouring::Ring ring_;  // ends first: it may use all of the above
};

constexpr net::Ideal ideal[] = {{"io_uring_enter", 2}};

}  // namespace

const net::Model model::client = {
    .name = "iouring",
    .variant = "completion",
    .ideal = ideal,
    .probe = [](const net::Options&, net::Trial& trial) {
      return iouring::probe(needs, 1, trial);
    }};

void model::converse(protocol::Agenda& agenda, net::Mailbox& mailbox,
                     const net::Options&) {
  Client(agenda, mailbox).run();
}
