// # The forking server
//
// One process per peer. The parent accepts, forks and forgets the socket; the
// child serves its peer, each call of its own sleeping until its work is done,
// and ends with it. What goes wrong in a child goes wrong for one peer. Given
// up: memory and time (a copy of the tables of pages for every peer), and all
// that threads have together for nothing: what the children share has to be
// laid out before the first of them.

#include "blocking/conversation.hpp"
#include "net/children.hpp"
#include "net/server.hpp"

namespace {

using Connection = blocking::Conversation;

class Server {
 public:
  // 1. LISTEN. An ordinary socket: calls on it sleep.
  Server(net::Listener& listener, protocol::Service& service,
         net::Mailbox& mailbox)
      : listener_(listener),
        service_(service),
        mailbox_(mailbox),
        children_(service.budget()) {
    blocking::install_wake_signal();
    blocking::install_wake_signal(SIGCHLD);
    listener_.open(0);
    // 2. ARM. Nothing: each call does its own waiting, and only how long it may
    // do so is said to a socket (conversation.hpp). But the mailbox has to know
    // how to reach the one who sleeps here, and a child's end calls it, too.
    blocking::admit_calls(listener_.fd());
    mailbox_.on_wake([this, acceptor = ::pthread_self()] {
      if (mailbox_.stopping()) ::pthread_kill(acceptor, blocking::wake_signal);
    });
  }

  void run() {
    // 3. WAIT. In every call: here for a peer or a child's end, in a child for
    // its peer's bytes or for room for ours.
    while (!mailbox_.stopping())
      if (accept())
        children_.reap();  // accept4 is called back only where it sleeps
      else
        reap();
    drain();
  }

 private:
  // What others have to say to this conversation: that the program stops. The
  // mailbox lies in memory that all share. Who waits for an answer from
  // elsewhere waits in vain: no thread of this process could bring it.
  bool collect(Connection& c) {
    if (mailbox_.stopping() && !c.stopping && !stop(c)) return false;
    return !c.session.pending();
  }

  // All that has come by now, and its end, is taken; what comes later is thrown
  // away. False if the peer has gone, or the time is over.
  bool stop(Connection& c) {
    c.stopping = true;
    blocking::refuse_calls(c.socket());
    c.deadline.drain(mailbox_.stopping_for());
    constexpr int least = 4 << 10;  // of it, by each receive
    for (auto left = net::unread(c.socket()) + 1; left > 0; left -= least) {
      if (!receive(c, MSG_DONTWAIT) || !send(c) || !in_time(c)) return false;
      c.session.take_turn();
    }
    c.session.drain();
    return true;
  }

  // 4. ACCEPT. Sleeps until there is a peer; then there are two of us. The
  // parent's descriptor of the peer ends here: as long as somebody has one, the
  // peer does not learn that the child has closed its own.
  bool accept() {
    const int fd = sys::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    net::Guest guest = listener_.admit(fd, errno);
    if (!guest) return fd >= 0;
    try {
      const pid_t pid = children_.fork(std::move(guest.seat));
      if (pid == 0) live(std::move(guest));
      if (pid > 0) return true;
      net::count_lost(net::Want::thread);
    } catch (const std::bad_alloc&) {
      net::count_lost(net::Want::memory);
    }
    listener_.turn_away(std::move(guest));
    return true;
  }

  // A child, from here to its end. What a process does at its own end it leaves
  // out: nothing of the parent's is undone, or written a second time.
  [[noreturn]] void live(net::Guest guest) noexcept {
    listener_.close();
    try {
      constexpr std::uint64_t only_one = 1;
      Connection c(std::move(guest), service_, {&mailbox_, only_one});
      serve(c);
    } catch (const std::bad_alloc&) {
      net::count_lost(net::Want::memory);
    }
    net::trace::end_child();
    ::_exit(0);
  }

  void serve(Connection& c) {
    blocking::admit_calls(c.socket());
    while (collect(c) && affordable(c) && send(c) && in_time(c)) {
      // The rest of the answers goes first.
      if (c.session.has_output()) continue;
      c.deadline.limit_receive();
      if (!receive(c, 0)) break;
      c.session.take_turn();  // where a request has left more than a portion
    }
    close(c);
  }

  bool affordable(Connection& c) {
    return !c.deadline.pressing() || in_time(c);
  }
  bool in_time(Connection& c) {
    return c.deadline.met([&] { return receive(c, MSG_DONTWAIT); });
  }

  // 5. RECEIVE. Sleeps until the peer has sent something, or has ended. EINTR
  // and EAGAIN: we were called back, or the time is up; collect() and
  // in_time() know which.
  bool receive(Connection& c, int flags) {
    if (!c.session.wants_input()) {
      c.deadline.looked(true);
      return true;
    }
    const auto room = c.session.input();
    if (room.empty()) return false;  // no memory; and recv(2) would sleep
    c.pool.trim(Connection::idle_max);
    const ssize_t n = sys::recv(c.socket(), room.data(), room.size(), flags);
    const int error = errno;
    // 6. ANSWER. In received(): the session takes the bytes apart, has whole
    // requests answered and keeps the rest.
    c.session.received(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (n == 0) c.session.end_of_input();
    c.deadline.looked(n == 0 || (n < 0 && error == EAGAIN));
    return n >= 0 || error == EINTR || error == EAGAIN;
  }

  // 7. SEND. Sleeps until the kernel has taken what it was given, at most for
  // SO_SNDTIMEO. If there is more, it comes back here before it receives.
  bool send(Connection& c) {
    if (c.session.has_output()) {
      const auto bytes = c.session.output();
      const ssize_t n =
          sys::send(c.socket(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      const int error = errno;
      c.session.sent(n > 0 ? static_cast<std::size_t>(n) : 0);
      if (n < 0) return error == EINTR || error == EAGAIN;
    }
    if (c.session.output_ended() && !c.shut)
      c.shut = sys::shutdown(c.socket(), SHUT_WR) == 0;
    return !c.session.finished();
  }

  // 8. CLOSE. The socket ends with c, in live(), and the process right after.
  // From here on its number may be another file's (the trace's): no handler may
  // touch it.
  static void close(Connection& c) {
    if (c.deadline.drained()) net::reset_on_close(c.socket());
    blocking::mask_wake_signal(SIG_BLOCK);
  }

  // A child has ended, or the program stops. A child that ends from now on
  // calls again.
  void reap() {
    blocking::refuse_calls(listener_.fd());
    children_.reap();
    blocking::admit_calls(listener_.fd());
  }

  // Everybody who has come is let in, as long as there is time for that (who
  // comes meanwhile is not waited for: it may never end), everything that has
  // come is answered; then the children end and wait for their peers to end.
  // Who has not ended when its time is long over has been stopped itself.
  void drain() {
    sys::fcntl(listener_.fd(), F_SETFL, O_NONBLOCK);
    auto left = listener_.queued();
    constexpr auto let_in = net::Deadlines::let_in_time;
    while (left > 0 && mailbox_.stopping_for() < let_in && accept()) {
      --left;
      children_.reap();
    }
    mailbox_.on_wake({});
    blocking::mask_wake_signal(SIG_BLOCK);
    listener_.close();
    children_.call(blocking::wake_signal);
    constexpr auto most = net::Deadlines::drain_time * 9 / 8;
    bool killed = false;
    for (children_.reap(); !children_.empty(); children_.reap()) {
      const auto time = most - mailbox_.stopping_for();
      if (time.count() <= 0 && !std::exchange(killed, true)) children_.kill();
      children_.wait(killed ? most : time);
    }
  }

  net::Listener& listener_;
  protocol::Service& service_;
  net::Mailbox& mailbox_;
  net::Children children_;
};

constexpr net::Ideal ideal[] = {{"recv", 1}, {"send", 1}};

}  // namespace

const net::Model model::server = {
    .name = "blocking",
    .variant = "fork",
    .traits = {.full = "processes", .ring = false},
    .ideal = ideal};

void model::serve(net::Listener& listener, protocol::Service& service,
                  net::Mailbox& mailbox, const net::Options&) {
  Server(listener, service, mailbox).run();
}
