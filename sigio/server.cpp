// # The signal-driven server
//
// One thread for all peers. The kernel sends it a signal when something changes
// about a socket; the signals queue up, each with the number of its socket, and
// this thread sleeps until there is one. Given up: batches (each signal is one
// call), and that nothing is lost, since the queue has an end.

#include "net/server.hpp"
#include "sigio/signals.hpp"

namespace {

using sigio::Connection;

class Server {
 public:
  // 1. LISTEN. Non-blocking: between the signal and the call a peer may leave,
  // and accept(2) would then sleep until the next one comes.
  Server(net::Listener& listener, protocol::Service& service,
         net::Mailbox& mailbox, const net::Options& options)
      : listener_(listener),
        service_(service),
        mailbox_(mailbox),
        pool_(service.budget()),
        deadlines_(service.limits(), pool_, net::sockets_of(connections_)),
        signals_(sigio::block({ready_, SIGIO, sigio::wake_signal})) {
    sigio::open(listener_, mailbox_, options, ready_);
    // 2. ARM. The listener, in open(); welcome() does it for a connection.
    // Whoever came before is looked for in the first turn.
    accepting_ = listener_.fd() >= 0;
    sigio::wake_by_signal(mailbox_);
  }
  ~Server() { mailbox_.on_wake({}); }

  void run() {
    collect();  // what came before wake_by_signal()
    while (!mailbox_.stopping()) turn();
    drain();
  }

 private:
  // So many blocks go to one peer before the others have their turn, so many
  // peers are let in by one turn, and of so many signals that wait it is told
  // while there is other work.
  static constexpr int sends_max = 16, accepts_max = 32, signals_max = 256;

  void turn() {
    // 3. WAIT. The one place where this loop sleeps, and only if nobody has
    // anything left. One signal a call: one is all that sigtimedwait(2) takes.
    // While others have more left, those that wait are taken first, up to a
    // bound: else a turn of everybody's would go by for each signal.
    const bool busy = accepting_ || !unfinished_.empty();
    timespec room;
    bool more = wake(busy ? &sigio::at_once : deadlines_.left(room));
    for (int i = 1; busy && more && i < signals_max; ++i)
      more = wake(&sigio::at_once);
    if (accepting_) accept_some();
    if (!unfinished_.empty()) take_turns();
    deadlines_.looked(!more, sigio::queue_max);
    deadlines_.expire([this](std::uint64_t id) { close(id); });
  }

  // After each event: so many peers can fill more than all buffers may be.
  void relieve() {
    deadlines_.evict([this](std::uint64_t id) { close(id); });
  }

  // No signal will come for what is left of a portion, or in a socket. Who has
  // had no turn when the time of a stop is over will be reset.
  void take_turns() {
    unfinished_.each_once([this](Connection& c) {
      if (deadlines_.drained()) return;
      c.session.take_turn();
      serve(c);
      relieve();
    });
  }

  // False if there was none. The standard signals come first, whatever waits in
  // the queue (signal(7)).
  bool wake(const timespec* timeout) {
    siginfo_t signal;
    const int number = sys::sigtimedwait(&signals_, &signal, timeout);
    if (number < 0 && errno == EAGAIN) return false;
    if (number < 0 && errno == EINTR) return true;
    net::check(number, "sigtimedwait");
    if (number == sigio::wake_signal) {
      collect();
    } else if (number == SIGIO) {
      recover();
    } else if (signal.si_fd == listener_.fd()) {
      accepting_ = true;
    } else if (Connection* c = connections_.find(ids_.at(signal.si_fd))) {
      c->note(signal.si_band);
      look(*c);
    }  // Else its socket has been closed since it was queued.
    relieve();
    return true;
  }

  // Peers whom another loop has accepted, and letters.
  void collect() {
    while (auto guest = listener_.handed()) welcome(std::move(guest));
    net::hand_out(
        mailbox_, connections_, [this](Connection& c) { serve(c); },
        [this](std::uint64_t id) { close(id); });
  }

  // SIGIO comes instead of a signal that found the queue full, and does not say
  // whose that was: so everybody is looked at, and the listener too. What is
  // queued tells nothing more then, and is thrown away first: if it stayed, the
  // signals of what comes during the look would be refused as well, and make
  // the next look necessary.
  void recover() {
    net::count(overflows_);
    sigio::discard(ready_);
    accepting_ = listener_.fd() >= 0;
    connections_.each([this](std::uint64_t, Connection& c) {
      c.forget();
      look(c);
      relieve();
    });
  }

  // Whoever is left has the next turn; at the stop they are drain()'s, which
  // looks at the time.
  void accept_some() {
    for (int i = 0; i < accepts_max && !mailbox_.stopping(); ++i)
      if (!accept()) return;
  }

  // 4. ACCEPT. Linux hands neither O_NONBLOCK nor O_ASYNC down from the
  // listener. Only EAGAIN says that nobody is left and the next will be told.
  // (Where no descriptor is left, accept(2) fails though peers may wait.)
  bool accept() {
    const int fd = sys::accept4(listener_.fd(), nullptr, nullptr,
                                SOCK_NONBLOCK | SOCK_CLOEXEC);
    const int error = errno;
    net::Guest guest = listener_.admit(fd, error);
    accepting_ = fd >= 0 || guest ||
                 (error != EAGAIN && sigio::is_ready(listener_.fd(), POLLIN));
    if (guest) welcome(std::move(guest));
    return accepting_;
  }

  void welcome(net::Guest guest) {
    Connection* c = net::begin(connections_, std::move(guest), service_, pool_,
                               deadlines_, mailbox_);
    if (!c) return;
    if (ids_.set(c->socket(), c->id()) && sigio::arm(c->socket(), ready_))
      return serve(*c);
    net::count_lost(net::Want::memory);
    close(c->id());
  }

  void look(Connection& c) { c.is_gone() ? close(c.id()) : serve(c); }

  // A bounded part of what is to be done: the socket of a peer who sends
  // without end is never empty, and the others would wait until it is.
  void serve(Connection& c) {
    if (!receive(c) || !send(c)) return close(c.id());
    watch(c);
  }

  // 2. ARM, for a connection: nothing. But who has more must not be forgotten.
  void watch(Connection& c) {
    deadlines_.watch(c.deadline, c.session);
    if (c.has_more()) unfinished_.push_back(c);
  }

  // 5. RECEIVE. A part of what has arrived. If it did not fill the room, the
  // socket is empty now, and the next byte, or the end, sends a signal of its
  // own: one for each segment, so that some find what an earlier one brought.
  // They do not say which they are of. So where the one of the end may be gone,
  // recv(2) is called until it says that nothing is left, by EAGAIN or 0.
  bool receive(Connection& c) {
    if (!c.readable || !c.session.wants_input()) return true;
    const auto room = c.session.input();
    const ssize_t n = sys::recv(c.socket(), room.data(), room.size(), 0);
    const int error = errno;
    // 6. ANSWER. In received(): the session takes the bytes apart, has whole
    // requests answered and keeps the rest.
    c.session.received(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (n < 0 && error == EAGAIN) c.readable = c.ending = false;
    if (n < 0) return error == EINTR || error == EAGAIN;
    if (static_cast<std::size_t>(n) < room.size() && !c.ending)
      c.readable = false;
    if (n == 0) c.session.end_of_input();
    return true;
  }

  // 7. SEND. What the kernel has room for. Only after it has said that there is
  // none (EAGAIN) does it send a signal when there is some again.
  bool send(Connection& c) {
    for (int i = 0; i < sends_max && c.writable && c.session.has_output();
         ++i) {
      const auto bytes = c.session.output();
      const ssize_t n =
          sys::send(c.socket(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      const int error = errno;
      c.session.sent(n > 0 ? static_cast<std::size_t>(n) : 0);
      if (n < 0 && error == EAGAIN) c.writable = false;
      if (n < 0 && error != EINTR) return error == EAGAIN;
    }
    if (c.session.output_ended() && !c.shut)
      c.shut = sys::shutdown(c.socket(), SHUT_WR) == 0;
    return !c.session.finished();
  }

  // 8. CLOSE. Signals of it may be queued still, with a number that the next
  // peer has: he is looked at for nothing.
  void close(std::uint64_t id) {
    ids_.clear(connections_.find(id)->socket());
    connections_.erase(id);
  }

  // Everybody who has come is let in, as long as there is time for that (who
  // comes meanwhile is not waited for: it may never end), everything that has
  // come is answered; then we end and wait for the peers to end.
  void drain() {
    deadlines_.drain();
    auto left = listener_.queued();
    while (left > 0 && deadlines_.lets_in() && accept()) --left;
    sigio::disarm(listener_.fd());
    listener_.close();
    accepting_ = false;
    while (auto guest = listener_.handed()) welcome(std::move(guest));
    connections_.each([this](std::uint64_t id, Connection& c) {
      c.readable = true;
      if (!net::take_all(c, deadlines_, [this](auto& c) { return receive(c); }))
        return close(id);
      serve(c);
    });
    while (connections_.size() && !deadlines_.drained()) turn();
    net::reset_all(connections_);
  }

  net::Listener& listener_;
  protocol::Service& service_;
  net::Mailbox& mailbox_;
  protocol::Pool pool_;
  net::Deadlines deadlines_;
  const int ready_ = sigio::ready_signal();
  const sigset_t signals_;
  bool accepting_;  // somebody may wait of whom no signal tells
  net::Table<Connection> connections_;
  sigio::Descriptors ids_;
  net::List<Connection> unfinished_;
  const unsigned overflows_ = net::counter("model.", "overflows");
};

constexpr net::Ideal ideal[] = {{"sigtimedwait", 1}, {"recv", 1}, {"send", 1}};

}  // namespace

const net::Model model::server = {.name = "sigio",
                                  .variant = "queue",
                                  .traits = {.threads = "loops"},
                                  .ideal = ideal};

void model::serve(net::Listener& listener, protocol::Service& service,
                  net::Mailbox& mailbox, const net::Options& options) {
  Server(listener, service, mailbox, options).run();
}
