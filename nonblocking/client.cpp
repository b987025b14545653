// # The non-blocking client
//
// One thread for all peers, as in the server: it asks every connection, one
// after the other and again from the start, whether it has something. The
// agenda says to whom it talks, what and when, and is asked only when it may
// have more to say: its answers are shared with other threads, by a lock.

#include <new>
#include <string_view>

#include "net/client.hpp"
#include "nonblocking/calls.hpp"

namespace {

namespace sys = asked;  // which counts apart those that find nothing

struct Connection {
  protocol::Peer& peer;
  std::uint64_t id;
  net::Fd socket;
  bool connected = false;
};

class Client {
 public:
  Client(protocol::Agenda& agenda, net::Mailbox& mailbox, std::uint64_t nap_us)
      : agenda_(agenda), mailbox_(mailbox), look_(agenda), rest_(nap_us) {}

  void run() {
    while (!mailbox_.stopping()) {
      const protocol::Nanoseconds now = net::now();
      if (mailbox_.rung()) collect();
      if (now >= due_) news_ = true;
      if (news_ && agenda_.over()) return;
      turn(now);
    }
  }

 private:
  static constexpr char no_memory[] = "out of memory";

  // 1. CONNECT. Begun, not waited for: EINPROGRESS is the usual answer (EINTR
  // means the same), and it is asked again.
  void connect(protocol::Peer& peer) try {
    news_ = true;
    const auto address = net::parse_address(peer.address);
    if (!address) return agenda_.closed(peer, "not an address");
    net::Fd socket = net::open_socket(*address, SOCK_NONBLOCK);
    if (!socket) return agenda_.closed(peer, net::describe(errno));
    if (sys::connect(socket.get(), address->get(), address->length) != 0 &&
        errno != EINPROGRESS && errno != EINTR)
      return agenda_.closed(peer, net::describe(errno));
    peer.tag = connections_.next_id();
    connections_.emplace(peer, peer.tag, std::move(socket));
    // 2. ARM. Nothing: the kernel is told of nobody.
  } catch (const std::bad_alloc&) {
    agenda_.closed(peer, no_memory);
  }

  void speak(protocol::Peer& peer) {
    Connection* c = connections_.find(peer.tag);
    if (!c || !c->connected) return;
    agenda_.say(peer, net::now());
    serve(*c);
  }

  void turn(protocol::Nanoseconds now) {
    const asked::Pass pass;
    const bool look = std::exchange(news_, false);
    if (look) ask(now);
    // 3. WAIT. Nowhere: everybody is asked in turn.
    if (look) look_.begin(now);
    connections_.each([this](std::uint64_t, Connection& c) { serve(c); });
    if (look) look_.end();
    if (!pass.empty())
      news_ = true;
    else if (!news_)
      rest_(due_ - now);
  }

  // The agenda: to whom to talk, and what is due.
  void ask(protocol::Nanoseconds now) {
    while (protocol::Peer* peer = agenda_.given_up()) close(*peer, "given up");
    while (protocol::Peer* peer = agenda_.next()) connect(*peer);
    while (protocol::Peer* peer = agenda_.due(now)) speak(*peer);
    due_ = agenda_.next_due();
  }

  // New work.
  void collect() {
    mailbox_.silence();
    mailbox_.collect();
    news_ = true;
  }

  // 4. CONNECTED. The same call again says what became of it: it stands (0 or
  // EISCONN), it does not yet (EALREADY), or why it does not (connect(2)).
  bool connected(Connection& c) {
    const auto address = net::parse_address(c.peer.address);
    const int result =
        sys::connect(c.socket.get(), address->get(), address->length);
    if (result != 0 && (errno == EALREADY || errno == EINTR)) return false;
    if (result != 0 && errno != EISCONN) {
      close(c.peer, net::describe(errno));
      return false;
    }
    c.connected = news_ = true;
    agenda_.connected(c.peer);
    agenda_.say(c.peer, net::now());
    return true;
  }

  // For want of memory a conversation ends, and not the process.
  void serve(Connection& c) try {
    if (!c.connected && !connected(c)) return;
    int error = receive(c);
    if (error == 0) error = send(c);
    if (error != 0) return close(c.peer, net::describe(error));
    if (c.peer.session.finished())
      close(c.peer, std::string(c.peer.session.error()));
  } catch (const std::bad_alloc&) {
    close(c.peer, no_memory);
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
    connections_.erase(peer.tag);
    news_ = true;
    agenda_.closed(peer, why);
  }

  protocol::Agenda& agenda_;
  net::Mailbox& mailbox_;
  net::Look look_;
  net::Table<Connection> connections_;
  const asked::Rest rest_;
  protocol::Nanoseconds due_ = 0;  // when the agenda is to be asked
  bool news_ = true;               // it may have something
};

constexpr net::Ideal ideal[] = {{"recv", 1, true}, {"send", 1}};

constexpr net::Row rows[] = {asked::nap};

}  // namespace

const net::Model model::client = {
    .name = "nonblocking",
    .variant = "spin",
    .rows = rows,
    .traits = {.sleeps = false, .sleeps_by = asked::nap.name},
    .ideal = ideal};

void model::converse(protocol::Agenda& agenda, net::Mailbox& mailbox,
                     const net::Options& options) {
  Client(agenda, mailbox, options[asked::nap.name]).run();
}
