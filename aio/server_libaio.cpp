// # The libaio server
//
// One thread for all peers. The kernel's own AIO tells when a socket can be
// read or written, and then makes the reads and writes of many peers in one
// call; what became of them stands in memory that it shares with us. Three
// calls are a whole round, for however many. Given up: the number of peers is
// bounded by slots that all programs of the machine share, and a poll holds its
// socket open.

#include "aio/probe_libaio.hpp"
#include "aio/ring_libaio.hpp"
#include "net/server.hpp"

namespace {

using libaio::Asked;

struct Connection : net::Conversation {
  using Conversation::Conversation;
  // Of each kind there is one at a time: a poll, or the call that it allows.
  bool reading : 1 = false, writing : 1 = false;
  // What a poll has said and no call has used up.
  bool readable : 1 = false, blocked : 1 = false;
};

class Server {
 public:
  // 1. LISTEN. Non-blocking, and so is every peer: io_submit(2) makes a read or
  // a write of a socket at once, and on a blocking one it would wait for it.
  Server(net::Listener& listener, protocol::Service& service,
         net::Mailbox& mailbox, const net::Options& options)
      : listener_(listener),
        service_(service),
        mailbox_(mailbox),
        pool_(service.budget()),
        deadlines_(service.limits(), pool_, net::sockets_of(connections_)),
        slots_max_(static_cast<unsigned>(options["slots"])),
        ring_(libaio::slots_at_first(slots_max_), options["peek"] == 1) {
    listener_.open(SOCK_NONBLOCK);
    // 2. ARM. For new peers and the bell; next() does it for a connection. A
    // poll tells once: whoever is there when it is armed is told of, too.
    listen();
    ring_.note(Asked::bell, 0);
  }

  void run() {
    while (!mailbox_.stopping()) turn();
    drain();
  }

 private:
  // So many peers are let in by one event.
  static constexpr int accepts_max = 32;
  // Slots that are no peer's: the listener's and the bell's, and two spare ones
  // for polls whose sockets are shut down and whose events have yet to come.
  static constexpr unsigned slots_own = 4;
  // Who holds fewer bytes is not worth evicting.
  static constexpr std::size_t watched_min = 4 << 10;

  void turn() {
    const auto on_done = [this](Asked what, std::uint64_t id, long result) {
      done(what, id, result);
      // So many peers can fill more than all buffers together may be.
      deadlines_.evict([this](std::uint64_t late) { close(late); });
    };
    ring_.submit([this](auto... asked) { return make(asked...); }, on_done);
    // 3. WAIT. The one place where this thread sleeps, and only if no event is
    // there already: of a read or a write there is one when it has been handed
    // over.
    constexpr timespec at_once{}, a_second{1, 0};
    timespec room;
    const timespec* most = deadlines_.left(room);
    if (crowded_ && (!most || most->tv_sec > 0)) most = &a_second;
    ring_.wait(ring_.waits() || !unfinished_.empty() ? &at_once : most);
    ring_.take(on_done);
    if (!unfinished_.empty()) take_turns();
    // Each has two slots: all that was there has been asked for in so many.
    deadlines_.looked(!ring_.more() && !ring_.waits(),
                      2 + 2 * connections_.size() / libaio::Ring::batch);
    deadlines_.expire([this](std::uint64_t id) { close(id); });
    if (crowded_ && !ring_.more() && net::now() >= grow_ns_) grow();
  }

  // No event will come for what has been received and not yet answered. Who has
  // had no turn when the time of a stop is over will be reset.
  void take_turns() {
    unfinished_.each_once([this](Connection& c) {
      if (deadlines_.drained()) return;
      c.session.take_turn();
      next(c);
      deadlines_.evict([this](std::uint64_t late) { close(late); });
    });
  }

  // What a noted request comes to by now. False: nobody wants it any more.
  bool make(Asked what, std::uint64_t id, iocb* entry) {
    // A listener is no longer armed once we stop.
    if (what == Asked::accept)
      return (listening_ = !mailbox_.stopping()) &&
             poll(entry, listener_.fd(), POLLIN);
    if (what == Asked::bell) return poll(entry, mailbox_.fd(), POLLIN);
    Connection* c = connections_.find(id);
    if (!c) return false;
    if (what == Asked::readable) return poll(entry, c->socket(), POLLIN);
    if (what == Asked::writable) return poll(entry, c->socket(), POLLOUT);
    return what == Asked::receive ? ask_receive(*c, entry)
                                  : ask_send(*c, entry);
  }

  static bool poll(iocb* entry, int fd, int events) {
    ::io_prep_poll(entry, fd, events);
    return true;
  }

  void done(Asked what, std::uint64_t id, long result) {
    if (what == Asked::accept) return accept_some();
    if (what == Asked::bell) return collect(result);
    Connection* c = connections_.find(id);
    if (!c) return;  // closed meanwhile, and nothing of its own was lent
    if (what == Asked::readable || what == Asked::receive)
      c->reading = false;
    else
      c->writing = false;
    if (what == Asked::readable) c->readable = result > 0;
    if (what == Asked::writable) c->blocked = result <= 0;
    if (what == Asked::receive) received(*c, result);
    if (what == Asked::send) sent(*c, result);
    // A poll tells all that holds, errors among it: the call that follows it
    // meets them.
    const bool failed = result < 0 && result != -EAGAIN && result != -EINTR;
    failed ? close(id) : next(*c);
  }

  void collect(long result) {
    ring_.note(Asked::bell, 0);
    if (result < 0) return;  // not taken
    mailbox_.silence();
    net::hand_out(
        mailbox_, connections_, [this](Connection& c) { next(c); },
        [this](std::uint64_t id) { close(id); });
  }

  // Two slots for each: for what it is read by, and for what it is written by.
  bool full() const {
    return connections_.size() >= (ring_.slots() - slots_own) / 2;
  }

  // 4. ACCEPT, asked. As a poll: AIO has no accept of its own. Where the
  // context is full, peers stay in the backlog until others leave.
  void listen() {
    if (listening_ || full() || mailbox_.stopping()) return;
    listening_ = true;
    ring_.note(Asked::accept, 0);
  }

  // 4. ACCEPT, done. Whoever is left has the next event; at the stop they are
  // drain()'s, which looks at the time.
  void accept_some() {
    listening_ = false;
    for (int i = 0; i < accepts_max && !full() && !mailbox_.stopping(); ++i)
      if (!accept()) break;
    crowded_ = full();
    listen();
  }

  bool accept() {
    const int fd = sys::accept4(listener_.fd(), nullptr, nullptr,
                                SOCK_NONBLOCK | SOCK_CLOEXEC);
    net::Guest guest = listener_.admit(fd, errno);
    if (!guest) return fd >= 0;
    Connection* c = net::begin(connections_, std::move(guest), service_, pool_,
                               deadlines_, mailbox_);
    if (c) next(*c);
    return true;
  }

  // A context cannot grow: a larger one takes its place, and all is armed anew,
  // which loses nothing, since a poll looks first. To end the old one takes
  // some 40 ms, in which nobody is served.
  void grow() {
    crowded_ = full() && ring_.slots() < slots_max_;
    grow_ns_ = net::now() + 1'000'000'000;  // if there is none to be had
    if (!crowded_ || !ring_.grow(slots_max_)) return;
    crowded_ = false;
    listening_ = false;
    listen();
    ring_.note(Asked::bell, 0);
    connections_.each([this](std::uint64_t, Connection& c) {
      c.reading = c.writing = false;
      next(c);
    });
  }

  // 2. ARM, for a connection: whatever its session wants next and has not been
  // asked for yet. Everything that happens ends here.
  void next(Connection& c) {
    if (!c.writing && c.session.has_output()) {
      c.writing = true;
      ring_.note(c.blocked ? Asked::writable : Asked::send, c.id());
    }
    if (c.session.output_ended() && !c.shut)
      c.shut = sys::shutdown(c.socket(), SHUT_WR) == 0;
    if (c.session.finished()) return close(c.id());
    // A poll that is armed stays so while the session does not want to read:
    // to take it back would be a call.
    if (!c.reading && c.session.wants_input()) {
      c.reading = true;
      ring_.note(c.readable ? Asked::receive : Asked::readable, c.id());
    }
    if (c.session.wants_turn()) unfinished_.push_back(c);
    // After the write that has just been noted this comes again, before anybody
    // could be late.
    if (!c.writing || c.blocked || c.deadline.linked() ||
        c.session.held() > watched_min)
      deadlines_.watch(c.deadline, c.session);
  }

  // 5. RECEIVE, asked. Only now is room lent: io_submit(2) fills it before it
  // returns, so an idle peer has none.
  static bool ask_receive(Connection& c, iocb* entry) {
    c.reading = c.session.wants_input();
    if (!c.reading) return false;
    const auto room = c.session.input();
    ::io_prep_pread(entry, c.socket(), room.data(), room.size(), 0);
    return true;
  }

  // 5. RECEIVE, done. What was there; a poll says whether there is more.
  static void received(Connection& c, long result) {
    c.readable = false;
    // 6. ANSWER. In received(): the session takes the bytes apart, has whole
    // requests answered and keeps the rest.
    c.session.received(result > 0 ? static_cast<std::size_t>(result) : 0);
    if (result == 0) c.session.end_of_input();
  }

  // 7. SEND, asked. Of a peer who has reset, write(2) and this raise SIGPIPE,
  // which is blocked.
  static bool ask_send(Connection& c, iocb* entry) {
    c.writing = c.session.has_output();
    if (!c.writing) return false;
    const auto bytes = c.session.output();
    ::io_prep_pwrite(entry, c.socket(), const_cast<std::byte*>(bytes.data()),
                     bytes.size(), 0);
    return true;
  }

  // 7. SEND, done. Perhaps not of every byte: next() asks for the rest.
  static void sent(Connection& c, long result) {
    c.blocked = result == -EAGAIN;
    c.session.sent(result > 0 ? static_cast<std::size_t>(result) : 0);
  }

  // 8. CLOSE. An armed poll holds the socket open, and close(2) alone would
  // tell the peer nothing. A shutdown tells it, and ends the poll: its event
  // finds the id gone.
  void close(std::uint64_t id) {
    Connection* c = connections_.find(id);
    if (!c) return;
    if (c->reading || c->writing) sys::shutdown(c->socket(), SHUT_RDWR);
    connections_.erase(id);
    listen();
  }

  // Everybody who has come is let in, as long as there is time for that (who
  // comes meanwhile is not waited for: it may never end), everything that has
  // come is answered; then we end and wait for the peers to end.
  void drain() {
    deadlines_.drain();
    // With a poll armed a closed listener would go on accepting connections.
    if (listening_) ring_.cancel();
    while (listening_) turn();
    auto left = listener_.queued();
    while (left > 0 && !full() && deadlines_.lets_in() && accept()) --left;
    listener_.close();
    while (ring_.more()) turn();  // until no room is lent
    connections_.each([this](std::uint64_t id, Connection& c) {
      if (!net::take_all(c, deadlines_, receive)) return close(id);
      next(c);
    });
    while (connections_.size() && !deadlines_.drained()) turn();
    // The polls, and with them the sockets, end with the context.
    net::reset_all(connections_);
  }

  // At the stop, from one after the other.
  static bool receive(Connection& c) {
    if (!c.session.wants_input()) return true;
    const auto room = c.session.input();
    const ssize_t n = sys::recv(c.socket(), room.data(), room.size(), 0);
    const int error = errno;
    c.session.received(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (n == 0) c.session.end_of_input();
    return n >= 0 || error == EINTR || error == EAGAIN;
  }

  net::Listener& listener_;
  protocol::Service& service_;
  net::Mailbox& mailbox_;
  protocol::Pool pool_;
  net::Deadlines deadlines_;
  const unsigned slots_max_;
  bool listening_ = false, crowded_ = false;
  std::int64_t grow_ns_ = 0;  // when to ask for a larger context
  libaio::Ring ring_;  // at its end the polls end, and let go of the sockets
  net::Table<Connection> connections_;
  net::List<Connection> unfinished_;
};

constexpr const char* no_yes[] = {"no", "yes"};
constexpr net::Row rows[] = {
    {"slots", "most requests that the kernel has at a time, two for each peer",
     65536, 8, 1 << 20},
    {"peek", "whether events are read without a call", 1, 0, 0, no_yes}};
constexpr net::Ideal ideal[] = {{"io_getevents", 1}, {"io_submit", 2}};

}  // namespace

const net::Model model::server = {.name = "aio",
                                  .variant = "libaio",
                                  .rows = rows,
                                  .traits = {.threads = "loops"},
                                  .ideal = ideal,
                                  .probe = libaio::probe_server};

void model::serve(net::Listener& listener, protocol::Service& service,
                  net::Mailbox& mailbox, const net::Options& options) {
  Server(listener, service, mailbox, options).run();
}
