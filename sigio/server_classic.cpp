// # The classic SIGIO server
//
// One thread for all peers. When something changes about any of its sockets the
// kernel sends it SIGIO, which says that and no more: not whose socket it was,
// nor how many. So it asks all of them. Given up: to know whose it was. In
// return nothing is lost: one signal that waits says as much as a thousand.

#include "net/server.hpp"
#include "sigio/signals.hpp"

namespace {

using sigio::Connection;

class Server {
 public:
  // 1. LISTEN. Non-blocking: who is asked has nothing most often.
  Server(net::Listener& listener, protocol::Service& service,
         net::Mailbox& mailbox, const net::Options& options)
      : listener_(listener),
        service_(service),
        mailbox_(mailbox),
        pool_(service.budget()),
        deadlines_(service.limits(), pool_, net::sockets_of(connections_)),
        signals_(sigio::block({SIGIO, sigio::wake_signal})) {
    sigio::open(listener_, mailbox_, options, 0);
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
  // So many blocks go to one peer before the others have their turn, and so
  // many peers are let in by one turn.
  static constexpr int sends_max = 16, accepts_max = 32;

  void turn() {
    // 3. WAIT. The one place where this loop sleeps, and only if nobody has
    // anything left. A signal that comes before the call stays pending and ends
    // it at once: with a handler that sets a flag, and pause(2), it would come
    // between the look at the flag and the sleep, and nobody would wake.
    const bool busy = accepting_ || !unfinished_.empty();
    timespec room;
    const bool told = wake(busy ? &sigio::at_once : deadlines_.left(room));
    if (accepting_) accept_some();
    if (!unfinished_.empty()) take_turns();
    deadlines_.looked(!told);
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

  // False if there was none.
  bool wake(const timespec* timeout) {
    const int number = sys::sigtimedwait(&signals_, nullptr, timeout);
    if (number < 0 && errno == EAGAIN) return false;
    if (number < 0 && errno == EINTR) return true;
    net::check(number, "sigtimedwait");
    if (number == SIGIO)
      scan();
    else
      collect();
    return true;
  }

  // Peers whom another loop has accepted, and letters.
  void collect() {
    while (auto guest = listener_.handed()) welcome(std::move(guest));
    net::hand_out(
        mailbox_, connections_, [this](Connection& c) { serve(c); },
        [this](std::uint64_t id) { close(id); });
    relieve();
  }

  // Everybody is asked, and the listener. What comes meanwhile sends the signal
  // again: it was taken before the first is asked. (Taken afterwards, it would
  // be that of somebody who has been asked already.)
  void scan() {
    net::count(scans_);
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
    if (sigio::arm(c->socket(), 0)) return serve(*c);
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

  // 5. RECEIVE. A part of what has arrived. That it did not fill the room does
  // not say that the socket is empty: the peer's end may be behind these bytes,
  // and one signal has told both. Only EAGAIN says it, at the price of a call.
  bool receive(Connection& c) {
    if (!c.readable || !c.session.wants_input()) return true;
    const auto room = c.session.input();
    const ssize_t n = sys::recv(c.socket(), room.data(), room.size(), 0);
    const int error = errno;
    // 6. ANSWER. In received(): the session takes the bytes apart, has whole
    // requests answered and keeps the rest.
    c.session.received(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (n < 0 && error == EAGAIN) c.readable = false;
    if (n < 0) return error == EINTR || error == EAGAIN;
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

  // 8. CLOSE. A signal that it has sent is nobody's in particular.
  void close(std::uint64_t id) { connections_.erase(id); }

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
  const sigset_t signals_;
  bool accepting_;  // somebody may wait of whom no signal tells
  net::Table<Connection> connections_;
  net::List<Connection> unfinished_;
  const unsigned scans_ = net::counter("model.", "scans");
};

// Each scan asks everybody, and most have nothing.
constexpr net::Ideal ideal[] = {
    {"sigtimedwait", 1}, {"recv", 1, true}, {"accept4", 0, true}, {"send", 1}};

}  // namespace

const net::Model model::server = {.name = "sigio",
                                  .variant = "classic",
                                  .traits = {.threads = "loops"},
                                  .ideal = ideal};

void model::serve(net::Listener& listener, protocol::Service& service,
                  net::Mailbox& mailbox, const net::Options& options) {
  Server(listener, service, mailbox, options).run();
}
