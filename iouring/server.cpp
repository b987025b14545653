// # The io_uring server
//
// One thread for all peers. It writes calls into a queue that it shares with
// the kernel; the kernel makes them and writes what each returned into another.
// One system call hands over all that has been asked for and sleeps until
// something is done. Given up: the order of call and result, and the say over
// bytes that are lent to the kernel until it says that it has done with them.

#include <algorithm>

#include "iouring/buffers.hpp"
#include "iouring/probe.hpp"
#include "iouring/ring.hpp"
#include "net/server.hpp"

namespace {

using iouring::Asked;

struct Connection : net::Conversation {
  using Conversation::Conversation;
  // What the kernel has of us: while any of these is true we stay.
  bool receiving : 1 = false, sending : 1 = false, cancelling : 1 = false;
  bool closing : 1 = false;
};

class Server {
 public:
  // 1. LISTEN. Non-blocking for the calls that we make ourselves; the ring does
  // not care.
  Server(net::Listener& listener, protocol::Service& service,
         net::Mailbox& mailbox, const net::Options& options)
      : listener_(listener),
        service_(service),
        mailbox_(mailbox),
        pool_(service.budget()),
        deadlines_(service.limits(), pool_, net::sockets_of(connections_)),
        buffers_(static_cast<unsigned>(options["buffers"]),
                 static_cast<unsigned>(options["buffer-size"])),
        ring_(static_cast<unsigned>(options["entries"]),
              static_cast<unsigned>(options["completions"])) {
    buffers_.lend(*ring_.get());
    listener_.open(SOCK_NONBLOCK);
    // 2. ARM. One entry stands for all peers to come, one for the bell; next()
    // does it for a connection.
    ask_accept();
    ask_bell();
  }

  void run() {
    while (!mailbox_.stopping()) turn();
    drain();
  }

 private:
  // What a turn brings in at least, of what is done and not in the queue yet:
  // the kernel works off 20 of what waits for us (Linux 6.12).
  static constexpr std::size_t least = 16;

  void turn() {
    if (!ticking_ && !deadlines_.idle()) ask_tick();
    const bool looks = deadlines_.looking();
    if (looks || !unfinished_.empty()) stay_awake();
    // 3. WAIT. The one system call of a plain request: it hands over all
    // entries, the kernel works them off, and we sleep if nothing is done yet.
    ring_.wait();
    // Only stay_awake() is done: then nothing else was ready.
    const bool all = ::io_uring_cq_ready(ring_.get()) == 1;
    ring_.take([this](Asked what, std::uint64_t id, const io_uring_cqe& cqe) {
      done(what, id, cqe);
      // So many peers can fill more than all buffers together may be.
      deadlines_.evict([this](std::uint64_t late) { close(late); });
    });
    // No completion will come for what has been received and not yet answered.
    // Who has had no turn when the time of a stop is over will be reset.
    unfinished_.each_once([this](Connection& c) {
      if (deadlines_.drained()) return;
      c.session.take_turn();
      next(c);
      deadlines_.evict([this](std::uint64_t late) { close(late); });
    });
    if (looks) deadlines_.looked(all, connections_.size() / least);
    // Before it ticks nobody is due.
    if (looks || !ticking_)
      deadlines_.expire([this](std::uint64_t id) { close(id); });
  }

  // The next wait ends though nothing has happened: this is done at once. (As a
  // cancel of nobody's, which done() drops.)
  void stay_awake() { ::io_uring_prep_nop(ring_.entry(Asked::cancel, 0)); }

  void done(Asked what, std::uint64_t id, const io_uring_cqe& cqe) {
    if (what == Asked::accept) return accepted(cqe);
    if (what == Asked::anyone) return draining_ ? void() : ask_accept();
    if (what == Asked::bell) return collect();
    if (what == Asked::tick) ticking_ = false;
    Connection* c = connections_.find(id);
    if (!c) return;
    if (what == Asked::receive) received(*c, cqe);
    if (what == Asked::send) sent(*c, cqe);
    if (what == Asked::cancel) cancelled(*c, cqe);
  }

  void ask_bell() {
    ::io_uring_prep_read(ring_.entry(Asked::bell, 0), mailbox_.fd(),
                         &bell_count_, sizeof bell_count_, 0);
  }

  void collect() {
    net::hand_out(
        mailbox_, connections_, [this](Connection& c) { next(c); },
        [this](std::uint64_t id) { close(id); });
    ask_bell();
  }

  // A timeout on every wait would set a timer of the kernel's every time. One
  // request for all deadlines is enough, and only while anybody is waited for.
  void ask_tick() {
    ticking_ = true;
    ::io_uring_prep_timeout(ring_.entry(Asked::tick, 0), &tick_, 0, 0);
  }

  // 4. ACCEPT, asked. Once for all peers: it stays until it fails.
  void ask_accept() {
    accepting_ = true;
    ::io_uring_prep_multishot_accept(ring_.entry(Asked::accept, 0),
                                     listener_.fd(), nullptr, nullptr,
                                     SOCK_CLOEXEC);
  }

  // It fails again at once where the reason is ours (EMFILE: the descriptor is
  // taken before the peer is looked for), so first somebody has to be there.
  void ask_anyone() {
    ::io_uring_prep_poll_add(ring_.entry(Asked::anyone, 0), listener_.fd(),
                             POLLIN);
  }

  // 4. ACCEPT, done. The completion carries the descriptor, or why not.
  void accepted(const io_uring_cqe& cqe) {
    welcome(cqe.res, cqe.res < 0 ? -cqe.res : 0);
    accepting_ = cqe.flags & IORING_CQE_F_MORE;
    if (!draining_ && !accepting_) cqe.res < 0 ? ask_anyone() : ask_accept();
  }

  bool welcome(int fd, int error) {
    net::Guest guest = listener_.admit(fd, error);
    if (!guest) return fd >= 0;
    Connection* c = net::begin(connections_, std::move(guest), service_, pool_,
                               deadlines_, mailbox_);
    if (c) next(*c);
    return true;
  }

  // 2. ARM, for a connection: whatever its session wants next and the kernel
  // has not been asked for yet. Everything that happens ends here.
  void next(Connection& c) {
    if (c.closing) return close(c.id());
    if (!c.sending && c.session.has_output()) ask_send(c);
    if (c.session.output_ended() && !c.shut)
      c.shut = sys::shutdown(c.socket(), SHUT_WR) == 0;
    if (c.session.finished()) return close(c.id());
    if (c.session.wants_input() && !c.receiving && !c.cancelling)
      ask_receive(c);
    // Back-pressure: to stop reading is a request too.
    if (!c.session.wants_input() && c.receiving && !c.cancelling) ask_cancel(c);
    if (c.session.wants_turn()) unfinished_.push_back(c);
    deadlines_.watch(c.deadline, c.session);
  }

  // 5. RECEIVE, asked. Once: it stays, and has no buffer until bytes come.
  void ask_receive(Connection& c) {
    c.receiving = true;
    io_uring_sqe* entry = ring_.entry(Asked::receive, c.id());
    ::io_uring_prep_recv_multishot(entry, c.socket(), nullptr, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = iouring::Buffers::group;
  }

  // 5. RECEIVE, done. In a buffer that the kernel chose and that is back before
  // the next entries are handed over: so ENOBUFS, which ends the request, needs
  // no more than to ask again, in the order in which it came.
  void received(Connection& c, const io_uring_cqe& cqe) {
    c.receiving = cqe.flags & IORING_CQE_F_MORE;
    const auto size = static_cast<std::size_t>(std::max(cqe.res, 0));
    // It goes on until it has been taken back that we read.
    if (c.cancelling) net::count(overshoot_, size);
    if (cqe.flags & IORING_CQE_F_BUFFER) {
      const unsigned buffer = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
      // 6. ANSWER. In receive(): the session takes all of the bytes, has whole
      // requests answered and keeps the rest.
      if (!c.closing) c.session.receive(buffers_.bytes(buffer, size));
      buffers_.give_back(buffer);
    }
    if (cqe.res == 0) c.session.end_of_input();
    if (cqe.res == -ENOBUFS) net::count(enobufs_);
    const bool again = cqe.res >= 0 || cqe.res == -ENOBUFS ||
                       cqe.res == -ECANCELED || cqe.res == -EINTR;
    again ? next(c) : close(c.id());
  }

  // 7. SEND, asked. One at a time, or the second could overtake the first. The
  // bytes are the kernel's to read until it is done.
  void ask_send(Connection& c) {
    c.sending = true;
    const auto bytes = c.session.output();
    ::io_uring_prep_send(ring_.entry(Asked::send, c.id()), c.socket(),
                         bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  // 7. SEND, done. Perhaps not of every byte: next() asks for the rest.
  void sent(Connection& c, const io_uring_cqe& cqe) {
    c.sending = false;
    c.session.sent(cqe.res > 0 ? static_cast<std::size_t>(cqe.res) : 0);
    const bool again = cqe.res >= 0 || cqe.res == -EINTR || cqe.res == -EAGAIN;
    again ? next(c) : close(c.id());
  }

  // 8. CLOSE, asked. The kernel keeps a socket open as long as it has a request
  // for it, and it has our addresses: first it must let go of both.
  void close(std::uint64_t id) {
    Connection* c = connections_.find(id);
    if (!c) return;
    c->closing = true;
    c->session.abandon();
    if (!c->receiving && !c->sending && !c->cancelling)
      connections_.erase(id);
    else if (!c->cancelling)
      ask_cancel(*c);
  }

  void ask_cancel(Connection& c) {
    c.cancelling = true;
    io_uring_sqe* entry = ring_.entry(Asked::cancel, c.id());
    if (c.closing)
      ::io_uring_prep_cancel_fd(entry, c.socket(), IORING_ASYNC_CANCEL_ALL);
    else
      ::io_uring_prep_cancel64(
          entry, iouring::Ring::user_data(Asked::receive, c.id()), 0);
  }

  // 8. CLOSE, done. A request that was just being worked on is not found, and
  // may have to be taken back once more.
  void cancelled(Connection& c, const io_uring_cqe&) {
    c.cancelling = false;
    next(c);
  }

  // Everybody who has come is let in, as long as there is time for that (who
  // comes meanwhile is not waited for: it may never end), everything that has
  // come is answered; then we end and wait for the peers to end.
  void drain() {
    draining_ = true;
    deadlines_.drain();
    ::io_uring_prep_cancel_fd(ring_.entry(Asked::cancel, 0), listener_.fd(),
                              IORING_ASYNC_CANCEL_ALL);
    do turn();  // its cancel is handed over before the listener is closed
    while (accepting_);
    for (auto left = listener_.queued(); left && deadlines_.lets_in(); --left) {
      const int fd =
          sys::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
      if (!welcome(fd, errno)) break;
    }
    listener_.close();
    for (auto turns = connections_.size() / least + 1; turns > 0; --turns) {
      stay_awake();
      turn();
    }
    connections_.each([this](std::uint64_t, Connection& c) {
      c.session.drain();
      next(c);
    });
    while (connections_.size() && !deadlines_.drained()) turn();
    connections_.each([this](std::uint64_t id, Connection& c) {
      net::reset_on_close(c.socket());
      close(id);
    });
    // The bell and the tick, which have no conversation, are not asked again.
    ring_.finish([this](Asked what, std::uint64_t id, const io_uring_cqe& cqe) {
      if (id != 0) done(what, id, cqe);
    });
  }

  net::Listener& listener_;
  protocol::Service& service_;
  net::Mailbox& mailbox_;
  protocol::Pool pool_;
  net::Deadlines deadlines_;
  net::Table<Connection> connections_;
  net::List<Connection> unfinished_;
  const unsigned enobufs_ = net::counter("model.", "enobufs");
  const unsigned overshoot_ = net::counter("model.", "overshoot");
  std::uint64_t bell_count_ = 0;
  __kernel_timespec tick_{.tv_sec = 0, .tv_nsec = 100'000'000};
  bool accepting_ = false, ticking_ = false, draining_ = false;
  iouring::Buffers buffers_;
  iouring::Ring ring_;  // ends first: it may use all of the above
};

constexpr net::Row rows[] = {
    {"entries", "requests handed over at once", 256, 1, 32768},
    {"completions", "completions that have room before they overflow", 4096, 2,
     65536},
    {"buffers", "buffers that the kernel fills, a power of two", 256, 1, 32768},
    {"buffer-size", "bytes of one of them", 16384, 16, 1 << 20}};
constexpr net::Ideal ideal[] = {{"io_uring_enter", 2}};

}  // namespace

const net::Model model::server = {
    .name = "iouring",
    .variant = "multishot",
    .rows = rows,
    .traits = {.threads = "loops"},
    .ideal = ideal,
    .probe = [](const net::Options& options, net::Trial& trial) {
      return iouring::probe(iouring::needs_of(options), options.threads, trial);
    }};

void model::serve(net::Listener& listener, protocol::Service& service,
                  net::Mailbox& mailbox, const net::Options& options) {
  Server(listener, service, mailbox, options).run();
}
