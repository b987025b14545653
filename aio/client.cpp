// # The POSIX AIO client
//
// One thread for all peers, as in the server: it asks the C library to write
// and to read, one after the other for a peer, for all peers side by side, and
// sleeps until one of these requests is done. A peer of whom nothing is awaited
// costs no thread, and that it has closed shows only when it is spoken to.

#include <algorithm>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "aio/operation.hpp"
#include "aio/told.hpp"
#include "net/client.hpp"

namespace {

struct Connection {
  Connection(protocol::Peer& with, std::uint64_t id, net::Fd its_socket)
      : peer(with),
        operation(id, aio::by_nothing(id)),
        socket(std::move(its_socket)) {}

  protocol::Peer& peer;
  aio::Operation operation;  // while it is out we stay
  net::Fd socket;
  std::string why = {};
  std::uint64_t heard = 0;  // bytes that we have, and one for the peer's end
  // Speak: there is something to say, as soon as nothing is awaited.
  bool connected = false, closing = false, speak = false;
};

class Client {
 public:
  Client(protocol::Agenda& agenda, net::Mailbox& mailbox,
         const net::Options& options)
      : agenda_(agenda), mailbox_(mailbox), options_(options), look_(agenda) {
    aio::size_pool(options);
    if (!ask_bell()) net::fail(errno, "aio_read");
  }

  void run() {
    while (!agenda_.over() && !mailbox_.stopping()) {
      while (protocol::Peer* peer = agenda_.given_up()) give_up(*peer);
      while (protocol::Peer* peer = agenda_.next()) ask_connect(*peer);
      while (protocol::Peer* peer = agenda_.due(net::now())) speak(*peer);
      turn();
    }
    finish();
  }

 private:
  static constexpr timespec a_moment{0, 1'000'000};
  static constexpr char no_memory[] = "out of memory";

  // 1. CONNECT, asked. The library cannot be asked to connect. But a write on a
  // blocking socket sleeps until it is decided whether the socket is connected,
  // even if there is nothing to be written.
  void ask_connect(protocol::Peer& peer) try {
    const auto address = net::parse_address(peer.address);
    if (!address) return agenda_.closed(peer, "not an address");
    if (connections_.size() >= options_["aio-threads"])
      return agenda_.closed(peer, "no thread is left (--aio-threads)");
    if (!requests_.make_room(connections_.size() + 2)) throw std::bad_alloc();
    net::Fd socket = net::open_socket(*address, SOCK_NONBLOCK);
    if (!socket) return agenda_.closed(peer, net::describe(errno));
    const int fd = socket.get();
    if (sys::connect(fd, address->get(), address->length) != 0 &&
        errno != EINPROGRESS && errno != EINTR)
      return agenda_.closed(peer, net::describe(errno));
    sys::fcntl(fd, F_SETFL, 0);  // from here on calls on it sleep
    aio::limit_sleep(fd, SO_RCVTIMEO, options_.limits.reader_time);
    peer.tag = connections_.next_id();
    Connection& c = connections_.emplace(peer, peer.tag, std::move(socket));
    // 2. ARM. Nothing but the request itself.
    if (!requests_.add(c.operation, c.operation.write(fd, {})))
      throw std::bad_alloc();
  } catch (const std::bad_alloc&) {
    connections_.erase(peer.tag);
    agenda_.closed(peer, no_memory);
  }

  void give_up(protocol::Peer& peer) {
    if (Connection* c = connections_.find(peer.tag)) end(*c, "given up");
  }
  void end(Connection& c, std::string why) {
    close(c, std::move(why));
    next(c);
  }

  void speak(protocol::Peer& peer) {
    Connection* c = connections_.find(peer.tag);
    if (!c || !c->connected) return;
    c->speak = true;
    next(*c);
  }

  void turn() {
    // 3. WAIT. In nanoseconds, since a load has its times in microseconds.
    const protocol::Nanoseconds left = net::time_to_sleep(agenda_.next_due());
    timespec most = net::to_timespec(left);
    look_.begin(net::now());
    if (agenda_.overdue(net::now())) most = look();
    const bool can_be_woken = bell_.out() || finishing_ || ask_bell();
    if (!can_be_woken) most = a_moment;
    requests_.wait(left < 0 && can_be_woken ? nullptr : &most);
    requests_.take([this](aio::Operation& operation, ssize_t result) {
      if (&operation == &bell_) return mailbox_.collect();  // for new work
      done(*connections_.find(operation.id()), result);
    });
    look_.end();
  }

  // Before anybody is called late: what is in no socket, and in no thread's
  // hands either, has not come. Returns for how long to sleep.
  timespec look() {
    connections_.each([this](std::uint64_t, Connection& c) {
      if (c.operation.out() && aio::has_more(c.socket.get(), c.heard))
        look_.left();
    });
    return look_.whole() ? timespec{} : a_moment;
  }

  // Without memory for it, or a single thread, it is tried again soon: as long
  // as nobody reads it, the bell goes on ringing.
  bool ask_bell() {
    const auto room = std::as_writable_bytes(std::span(&bell_count_, 1));
    return requests_.make_room(1) &&
           requests_.add(bell_, bell_.read(mailbox_.fd(), room));
  }

  // For want of memory a conversation ends, and not the process.
  void done(Connection& c, ssize_t result) try {
    c.operation.take_read() ? received(c, result)
    : c.connected           ? sent(c, result)
                            : connected(c, result);
    next(c);
  } catch (const std::bad_alloc&) {
    end(c, no_memory);
  }

  // 4. CONNECTED. Or not: the write that waited for it says so.
  void connected(Connection& c, ssize_t result) {
    if (result < 0) close(c, net::describe(static_cast<int>(-result)));
    if (c.closing) return;
    c.connected = c.speak = true;
    agenda_.connected(c.peer);
  }

  // 2. ARM, for a connection: what its session wants next, if nothing is out.
  // Everything that happens ends here.
  void next(Connection& c) {
    protocol::ClientSession& session = c.peer.session;
    if (session.finished()) close(c, std::string(session.error()));
    if (c.operation.out()) return;
    if (!c.closing && !ask(c)) close(c, no_memory);
    if (c.closing) closed(c);
  }

  // While a peer's answers are awaited nothing can be said to it: the write
  // would be queued behind that read. So the agenda is not asked for it either:
  // what has not been said can still be said over another connection.
  bool ask(Connection& c) {
    protocol::ClientSession& session = c.peer.session;
    if (session.owed() == 0 && std::exchange(c.speak, false))
      agenda_.say(c.peer, net::now());
    if (session.has_output()) return ask_send(c);
    return session.owed() == 0 || ask_receive(c);
  }

  // 5. RECEIVE, asked. Into the session's own bytes, the library's until done.
  bool ask_receive(Connection& c) {
    const auto room = c.peer.session.input();
    const bool taken = c.operation.read(c.socket.get(), room);
    if (!taken) c.peer.session.received(0);
    return requests_.add(c.operation, taken);
  }

  // 5. RECEIVE, done. If nothing has come (EAGAIN), it must not keep from this
  // peer for ever what there is to say by now: that is for the next connection.
  void received(Connection& c, ssize_t result) {
    if (result == -EAGAIN) result = -ETIMEDOUT;
    protocol::ClientSession& session = c.peer.session;
    session.received(result > 0 ? static_cast<std::size_t>(result) : 0);
    if (failed(c, result)) return;
    if (result == 0) session.end_of_input();
    if (result >= 0) c.heard += std::max<std::uint64_t>(result, 1);
    // 6. HAND OVER. The agenda takes the replies and may have more to say.
    if (!c.closing) agenda_.hand_over(c.peer, net::now());
  }

  // 7. SEND, asked. The bytes are the library's to read until it is done.
  bool ask_send(Connection& c) {
    const auto bytes = c.peer.session.output();
    const bool taken = c.operation.write(c.socket.get(), bytes);
    if (!taken) c.peer.session.sent(0);
    return requests_.add(c.operation, taken);
  }

  // 7. SEND, done. Perhaps not of every byte: next() asks for the rest.
  void sent(Connection& c, ssize_t result) {
    c.peer.session.sent(result > 0 ? static_cast<std::size_t>(result) : 0);
    failed(c, result);
  }

  bool failed(Connection& c, ssize_t result) {
    if (result >= 0 || result == -EINTR || result == -EAGAIN) return false;
    close(c, net::describe(static_cast<int>(-result)));
    return true;
  }

  // 8. CLOSE, asked. What the library still has of ours has to end first.
  void close(Connection& c, std::string why) {
    if (std::exchange(c.closing, true)) return;
    c.why = std::move(why);
    if (c.operation.out()) c.operation.call_off();
  }

  // 8. CLOSE, done. The agenda may hand the peer out again at once.
  void closed(Connection& c) {
    protocol::Peer& peer = c.peer;
    const std::string why = std::move(c.why);
    connections_.erase(c.operation.id());
    agenda_.closed(peer, why);
  }

  // Until the library has given back all that is ours.
  void finish() {
    connections_.each([this](std::uint64_t, Connection& c) { end(c, ""); });
    finishing_ = true;
    mailbox_.wake();  // ends the bell's request
    while (connections_.size() || bell_.out()) turn();
  }

  protocol::Agenda& agenda_;
  net::Mailbox& mailbox_;
  const net::Options& options_;
  net::Look look_;
  net::Table<Connection> connections_;
  aio::Outstanding requests_;
  aio::Operation bell_{0, aio::by_nothing(0)};  // 0 is nobody's id
  std::uint64_t bell_count_ = 0;
  bool finishing_ = false;
};

constexpr net::Row rows[] = {aio::threads_row};
constexpr net::Ideal ideal[] = {
    {"aio_suspend", 2}, {"aio_read", 1}, {"aio_write", 1}};

}  // namespace

const net::Model model::client = {.name = "aio",
                                  .variant = "posix",
                                  .rows = rows,
                                  .traits = {.duplex = false},
                                  .ideal = ideal};

void model::converse(protocol::Agenda& agenda, net::Mailbox& mailbox,
                     const net::Options& options) {
  Client(agenda, mailbox, options).run();
}
