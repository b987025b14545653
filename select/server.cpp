// # The select server
//
// One thread for all peers. At each wait it hands the kernel two sets, a bit
// for every descriptor, and gets them back with the bits of those on which a
// call would not sleep now. This thread sleeps in that wait and nowhere else.
// Given up: what the kernel could remember, and descriptors from 1024 on.

#include "net/server.hpp"
#include "select/calls.hpp"
#include "select/interest.hpp"

namespace {

using Connection = net::Conversation;

class Server {
 public:
  // 1. LISTEN. Non-blocking: between the event and the call a peer may leave,
  // and accept(2) would then sleep until the next one comes.
  Server(net::Listener& listener, protocol::Service& service,
         net::Mailbox& mailbox)
      : listener_(listener),
        service_(service),
        mailbox_(mailbox),
        pool_(service.budget()),
        deadlines_(service.limits(), pool_, net::sockets_of(connections_)) {
    // Who gets a descriptor that has no bit is told so and closed, before a bit
    // is set beyond the set, in whatever lies there.
    listener_.refuse_from(FD_SETSIZE);
    listener_.open(SOCK_NONBLOCK);
    // 2. ARM. A bit of a set, no call: the kernel is told at each wait, looks
    // at the socket then, and so reports who came before, too.
    sets_.add(listener_.fd(), listener_id);
    sets_.add(mailbox_.fd(), mailbox_id);
  }

  void run() {
    while (!mailbox_.stopping()) turn();
    drain();
  }

 private:
  // The table never gives these as ids.
  static constexpr std::uint64_t listener_id = 0, mailbox_id = 1;
  // So many blocks go to one peer before the others have their turn.
  static constexpr int sends_max = 16;
  // So many peers are let in by one event: a wait brings all who are ready, and
  // the listener has its turn among them.
  static constexpr int accepts_max = 32;

  void turn() {
    // 3. WAIT. The one place where this program sleeps. The kernel copies the
    // sets in, looks at every socket up to the highest, queues this thread at
    // each of them if none is ready, and copies the answer out: it pays for the
    // idle ones, and for the gaps between them.
    sets_.refresh();
    timeval left;
    const int n = sys::select(sets_.count(), &sets_.readable, &sets_.writable,
                              nullptr, timeout(left));
    if (n < 0 && errno == EINTR) return;
    net::check(n, "select");
    sets_.each_ready([this](std::uint64_t id, bool readable) {
      wake(id, readable);
      relieve();
    });
    if (!unfinished_.empty()) take_turns();
    deadlines_.looked(true);
    deadlines_.expire([this](std::uint64_t id) { close(id); });
  }

  // Null: without end. Made anew for each wait, since Linux writes into it what
  // is left.
  timeval* timeout(timeval& left) const {
    const int ms = unfinished_.empty() ? deadlines_.left_ms() : 0;
    left = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    return ms < 0 ? nullptr : &left;
  }

  // After each event: so many peers can fill more than all buffers may be.
  void relieve() {
    deadlines_.evict([this](std::uint64_t id) { close(id); });
  }

  // No event will come for what has been received and not yet answered. Who has
  // had no turn when the time of a stop is over will be reset.
  void take_turns() {
    unfinished_.each_once([this](Connection& c) {
      if (deadlines_.drained()) return;
      c.session.take_turn();
      serve(c, false);
      relieve();
    });
  }

  void wake(std::uint64_t id, bool readable) {
    if (id == listener_id)
      accept_some();
    else if (id == mailbox_id)
      collect();
    else
      serve(*connections_.find(id), readable);  // who is closed has no bit
  }

  void collect() {
    mailbox_.silence();
    net::hand_out(
        mailbox_, connections_, [this](Connection& c) { serve(c, false); },
        [this](std::uint64_t id) { close(id); });
  }

  // Whoever is left has the next event; at the stop they are drain()'s, which
  // looks at the time.
  void accept_some() {
    for (int i = 0; i < accepts_max && !mailbox_.stopping(); ++i)
      if (!accept()) return;
  }

  // 4. ACCEPT. Linux hands no O_NONBLOCK down from the listener: it is asked
  // for here.
  bool accept() {
    const int fd = sys::accept4(listener_.fd(), nullptr, nullptr,
                                SOCK_NONBLOCK | SOCK_CLOEXEC);
    net::Guest guest = listener_.admit(fd, errno);
    if (!guest) return fd >= 0;
    Connection* c = net::begin(connections_, std::move(guest), service_, pool_,
                               deadlines_, mailbox_);
    if (c) sets_.add(c->socket(), c->id());
    return true;
  }

  // No set tells of errors (the third is for urgent bytes): a peer that has
  // reset is readable, and writable. Where neither is asked for, since an
  // answer for it is awaited, that is noticed when the answer is sent.
  void serve(Connection& c, bool readable) {
    if ((readable && !receive(c)) || !send(c)) return close(c.id());
    watch(c);
  }

  // 2. ARM, for a connection: what its session wants from the next wait on. To
  // leave the bit for writing there with nothing to send would be a busy loop.
  void watch(Connection& c) {
    deadlines_.watch(c.deadline, c.session);
    if (c.session.wants_turn()) unfinished_.push_back(c);
    sets_.set(c.socket(), c.session.wants_input(), c.session.has_output());
  }

  // 5. RECEIVE. What has arrived, at most once: if there is more, the kernel
  // says so again, and the others have had their turn meanwhile.
  bool receive(Connection& c) {
    if (!c.session.wants_input()) return true;
    const auto room = c.session.input();
    const ssize_t n = sys::recv(c.socket(), room.data(), room.size(), 0);
    const int error = errno;
    // 6. ANSWER. In received(): the session takes the bytes apart, has whole
    // requests answered and keeps the rest.
    c.session.received(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (n < 0) return error == EINTR || error == EAGAIN;
    if (n == 0) c.session.end_of_input();
    return true;
  }

  // 7. SEND. What the kernel has room for; the rest waits until it has more.
  bool send(Connection& c) {
    for (int i = 0; i < sends_max && c.session.has_output(); ++i) {
      const auto bytes = c.session.output();
      const ssize_t n =
          sys::send(c.socket(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      const int error = errno;
      c.session.sent(n > 0 ? static_cast<std::size_t>(n) : 0);
      if (n < 0 && error != EINTR) return error == EAGAIN;
    }
    if (c.session.output_ended() && !c.shut)
      c.shut = sys::shutdown(c.socket(), SHUT_WR) == 0;
    return !c.session.finished();
  }

  // 8. CLOSE. A bit that was left would be another peer's before long, and
  // until then an error of the whole wait (EBADF).
  void close(std::uint64_t id) {
    sets_.remove(connections_.find(id)->socket());
    connections_.erase(id);
  }

  // Everybody who has come is let in, as long as there is time for that (who
  // comes meanwhile is not waited for: it may never end), everything that has
  // come is answered; then we end and wait for the peers to end.
  void drain() {
    deadlines_.drain();
    auto left = listener_.queued();
    while (left > 0 && deadlines_.lets_in() && accept()) --left;
    sets_.remove(listener_.fd());
    listener_.close();
    connections_.each([this](std::uint64_t id, Connection& c) {
      if (!net::take_all(c, deadlines_, [this](auto& c) { return receive(c); }))
        return close(id);
      serve(c, false);
    });
    while (connections_.size() && !deadlines_.drained()) turn();
    connections_.each(
        [](std::uint64_t, Connection& c) { net::reset_on_close(c.socket()); });
  }

  net::Listener& listener_;
  protocol::Service& service_;
  net::Mailbox& mailbox_;
  protocol::Pool pool_;
  net::Deadlines deadlines_;
  net::Table<Connection> connections_;
  net::List<Connection> unfinished_;
  interest::Sets sets_;
};

constexpr net::Ideal ideal[] = {{"select", 1}, {"recv", 1}, {"send", 1}};

}  // namespace

const net::Model model::server = {
    .name = "select",
    .variant = "select",
    .traits = {.threads = "loops", .descriptors = FD_SETSIZE},
    .ideal = ideal};

void model::serve(net::Listener& listener, protocol::Service& service,
                  net::Mailbox& mailbox, const net::Options&) {
  Server(listener, service, mailbox).run();
}
