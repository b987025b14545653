// # The non-blocking server
//
// One thread for all peers, and no help: it asks every socket, one after the
// other and again from the start, whether it has something. Nobody is slept on,
// so that none is answered sooner. Given up: a CPU, at all times, and a system
// call for every peer who is silent; --nap gives most of that back, for time.

#include "net/server.hpp"
#include "nonblocking/calls.hpp"

namespace {

namespace sys = asked;  // which counts apart those that find nothing

using Connection = net::Conversation;

class Server {
 public:
  // 1. LISTEN. Non-blocking: when nobody has come, accept(2) says so.
  Server(net::Listener& listener, protocol::Service& service,
         net::Mailbox& mailbox, std::uint64_t nap_us)
      : listener_(listener),
        service_(service),
        mailbox_(mailbox),
        pool_(service.budget()),
        deadlines_(service.limits(), pool_, net::sockets_of(connections_)),
        rest_(nap_us) {
    listener_.open(SOCK_NONBLOCK);
    // 2. ARM. Nothing: the kernel is told of nobody, and tells of nobody.
  }

  void run() {
    while (!mailbox_.stopping()) turn();
    drain();
  }

 private:
  // So many blocks go to one peer before the others have their turn.
  static constexpr int sends_max = 16;
  // So many peers are let in by one pass: as many accepts take about as long
  // as it takes to ask so many peers.
  static constexpr int accepts_max = 32;

  // 3. WAIT. Nowhere: everybody is asked in turn. The bell is not, since that
  // would be a call in each pass: a flag in memory says whether it was rung.
  // (And the clock only where somebody may be late, the coarse one, which is
  // read without a call.)
  void turn() {
    const asked::Pass pass;
    if (mailbox_.rung()) collect();
    accept_some();
    connections_.each([this](std::uint64_t, Connection& c) {
      serve(c);
      relieve();
    });
    if (!unfinished_.empty()) take_turns();
    deadlines_.looked(true);
    deadlines_.expire([this](std::uint64_t id) { close(id); });
    if (pass.empty() && unfinished_.empty()) rest_(protocol::never);
  }

  // After each of them: so many peers can fill more than all buffers may be.
  void relieve() {
    deadlines_.evict([this](std::uint64_t id) { close(id); });
  }

  // What has been received and not yet answered needs no question. Who has had
  // no turn when the time of a stop is over will be reset.
  void take_turns() {
    unfinished_.each_once([this](Connection& c) {
      if (deadlines_.drained()) return;
      c.session.take_turn();
      serve(c);
      relieve();
    });
  }

  void collect() {
    mailbox_.silence();
    net::hand_out(
        mailbox_, connections_, [this](Connection& c) { serve(c); },
        [this](std::uint64_t id) { close(id); });
  }

  // Whoever is left has the next pass; at the stop nobody is let in any more.
  void accept_some() {
    if (listener_.fd() < 0) return;
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
    net::begin(connections_, std::move(guest), service_, pool_, deadlines_,
               mailbox_);
    return true;
  }

  // That a peer has reset is found by the call that is due. Where none is,
  // since an answer for it is awaited, that is noticed when the answer is sent.
  void serve(Connection& c) {
    if (!receive(c) || !send(c)) return close(c.id());
    watch(c);
  }

  // 2. ARM, for a connection: nothing but its time and its turn.
  void watch(Connection& c) {
    deadlines_.watch(c.deadline, c.session);
    if (c.session.wants_turn()) unfinished_.push_back(c);
  }

  // 5. RECEIVE. What has arrived, most often nothing (EAGAIN), and at most
  // once: if there is more, it is asked again, and the others have had their
  // turn meanwhile.
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

  // 8. CLOSE. Nothing else has known of it.
  void close(std::uint64_t id) { connections_.erase(id); }

  // Everybody who has come is let in, as long as there is time for that (who
  // comes meanwhile is not waited for: it may never end), everything that has
  // come is answered; then we end and wait for the peers to end.
  void drain() {
    deadlines_.drain();
    auto left = listener_.queued();
    while (left > 0 && deadlines_.lets_in() && accept()) --left;
    listener_.close();
    connections_.each([this](std::uint64_t id, Connection& c) {
      if (!net::take_all(c, deadlines_, [this](auto& c) { return receive(c); }))
        return close(id);
      serve(c);
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
  const asked::Rest rest_;
};

// How often it asks in vain depends on how long there is nothing.
constexpr net::Ideal ideal[] = {{"recv", 1, true},
                                {"send", 1},
                                {"accept4", 0, true},
                                {"sched_yield", 0, true},
                                {"nanosleep", 0, true}};

constexpr net::Row rows[] = {asked::nap};

}  // namespace

const net::Model model::server = {.name = "nonblocking",
                                  .variant = "spin",
                                  .rows = rows,
                                  .traits = {.sleeps = false,
                                             .sleeps_by = asked::nap.name,
                                             .threads = "loops"},
                                  .ideal = ideal};

void model::serve(net::Listener& listener, protocol::Service& service,
                  net::Mailbox& mailbox, const net::Options& options) {
  Server(listener, service, mailbox, options[asked::nap.name]).run();
}
