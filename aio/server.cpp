// # The POSIX AIO server
//
// One thread for all peers. It asks the C library to read and to write, and
// sleeps until one of these requests is done. The library has threads of its
// own, each of which sleeps in read(2) or write(2) for one peer. Given up: what
// it seems to save, a thread for each peer; this file does not show them.

#include <algorithm>

#include "aio/acceptor.hpp"
#include "aio/operation.hpp"
#include "aio/told.hpp"
#include "net/server.hpp"

namespace {

using Connection = aio::Conversation<aio::by_nothing>;

class Server : net::Deadlines::Hands {
 public:
  // 1. LISTEN. An ordinary socket: a thread of its own sleeps in accept4(2).
  Server(net::Listener& listener, protocol::Service& service,
         net::Mailbox& mailbox, const net::Options& options)
      : listener_(listener),
        service_(service),
        mailbox_(mailbox),
        pool_(service.budget()),
        deadlines_(service.limits(), pool_, net::sockets_of(connections_),
                   this),
        acceptor_(listener, mailbox) {
    aio::size_pool(options);
    listener_.open(0);
    // 2. ARM. Nothing but the request itself; next() asks for a connection's.
    // The bell has one too: what is no request does not end the wait.
    if (!ask_bell()) net::fail(errno, "aio_read");
    acceptor_.start();
  }

  void run() {
    while (!mailbox_.stopping()) turn(nullptr);
    drain();
  }

 private:
  using For = protocol::Wait::For;
  static constexpr timespec at_once{}, a_moment{0, 10'000'000};

  void turn(const timespec* most) {
    timespec room;
    if (!most) most = deadlines_.left(room);
    if (!bell_.out() && !finishing_ && !ask_bell()) most = &a_moment;
    // 3. WAIT. For one of the requests that are out. All are named in each
    // call, and the library searches its own list for each: n times n. With a
    // thousand idle peers most of a request's time goes there.
    requests_.wait(unfinished_.empty() ? most : &at_once);
    requests_.take([this](aio::Operation& operation, ssize_t result) {
      done(operation, result);
      relieve();
    });
    // No request will be done for what has been received and not yet answered.
    // Who has had no turn when the time of a stop is over will be reset.
    unfinished_.each_once([this](Connection& c) {
      if (deadlines_.drained()) return;
      c.session.take_turn();
      next(c);
      relieve();
    });
    deadlines_.looked(true);
    deadlines_.expire([this](std::uint64_t id) { close(id); });
  }

  // After each event: so many peers can fill more than all buffers may be.
  void relieve() {
    deadlines_.evict([this](std::uint64_t id) { close(id); });
  }

  void done(aio::Operation& operation, ssize_t result) {
    if (&operation == &bell_) return collect();
    Connection& c = *connections_.find(operation.id());
    operation.take_read() ? received(c, result) : sent(c, result);
  }

  // Without memory for it, or a single thread, it is tried again soon: as long
  // as nobody reads it, the bell goes on ringing.
  bool ask_bell() {
    const auto room = std::as_writable_bytes(std::span(&bell_count_, 1));
    return requests_.make_room(1) &&
           requests_.add(bell_, bell_.read(mailbox_.fd(), room));
  }

  // Peers who have been let in, and letters.
  void collect() {
    while (auto guest = acceptor_.next()) welcome(std::move(guest));
    net::hand_out(
        mailbox_, connections_, [this](Connection& c) { next(c); },
        [this](std::uint64_t id) { close(id); });
  }

  // 4. ACCEPT. Another thread has; there is a place in the list for the request
  // of each peer, so that it need not be found when something is to be asked.
  void welcome(net::Guest guest) {
    if (!requests_.make_room(connections_.size() + 2))
      return net::count_lost(net::Want::memory);
    Connection* c = net::begin(connections_, std::move(guest), service_, pool_,
                               deadlines_, mailbox_);
    if (!c) return;
    aio::limit_sleep(c->socket(), SO_SNDTIMEO,
                     service_.limits().reader_time / aio::write_parts);
    next(*c);
  }

  // 2. ARM, for a connection: what its session wants next, if nothing is out.
  // Everything that happens ends here.
  void next(Connection& c) {
    if (c.closing) return close(c.id());
    if (c.session.output_ended() && !c.shut)
      c.shut = sys::shutdown(c.socket(), SHUT_WR) == 0;
    if (c.session.finished()) return close(c.id());
    if (!c.operation.out() && !ask(c)) {
      net::count_lost(net::Want::memory);
      return close(c.id());
    }
    if (c.session.wants_turn()) unfinished_.push_back(c);
    watch(c);
  }

  // As long as an answer is on its way nothing is read: so no frame is late,
  // but perhaps the reader.
  void watch(Connection& c) {
    protocol::Wait wait = c.session.waits_for();
    if (wait.what == For::frame && !c.operation.reads())
      wait.what = For::reader;
    deadlines_.watch(c.deadline, c.session, wait);
  }

  // One after the other: first the answers, then it is read again, and not
  // while one is pending: a read that sleeps is not to be had back, and a write
  // would have to wait for it. False if the library has no memory for it.
  bool ask(Connection& c) {
    if (c.session.has_output()) return ask_send(c);
    const bool reads = c.session.wants_input() && !c.session.pending();
    return !reads || ask_receive(c);
  }

  // 5. RECEIVE, asked. The room is lent for as long as the peer says nothing:
  // an idle peer costs that, and a thread.
  bool ask_receive(Connection& c) {
    const auto room = c.session.input();
    const bool taken = c.operation.read(c.socket(), room);
    if (!taken) c.session.received(0);
    return requests_.add(c.operation, taken);
  }

  // 5. RECEIVE, done. EAGAIN and EINTR: nothing has come.
  void received(Connection& c, ssize_t result) {
    // 6. ANSWER. In received(): the session takes the bytes apart, has whole
    // requests answered and keeps the rest.
    c.session.received(result > 0 ? static_cast<std::size_t>(result) : 0);
    if (result == 0) c.session.end_of_input();
    if (result >= 0) c.heard += std::max<std::uint64_t>(result, 1);
    c.behind = false;
    const bool again = result >= 0 || result == -EAGAIN || result == -EINTR;
    again ? next(c) : close(c.id());
  }

  // 7. SEND, asked. There is no MSG_NOSIGNAL: the library blocks SIGPIPE in its
  // threads. The bytes are theirs to read until it is done.
  bool ask_send(Connection& c) {
    const bool taken = c.operation.write(c.socket(), c.session.output());
    if (!taken) c.session.sent(0);
    return requests_.add(c.operation, taken);
  }

  // 7. SEND, done. Of all bytes, unless the time of limit_sleep() was up.
  void sent(Connection& c, ssize_t result) {
    c.session.sent(result > 0 ? static_cast<std::size_t>(result) : 0);
    const bool again = result >= 0 || result == -EAGAIN || result == -EINTR;
    again ? next(c) : close(c.id());
  }

  // 8. CLOSE, asked. Closed now, the number would be the next peer's, whose
  // requests would be queued behind the one that is still out for it. So that
  // has to end first.
  void close(std::uint64_t id) {
    Connection* c = connections_.find(id);
    if (!c) return;
    // 8. CLOSE, done.
    if (!c->operation.out()) return connections_.erase(id);
    if (std::exchange(c->closing, true)) return;
    c->session.abandon();
    c->operation.call_off();
  }

  // What is asked before anybody is called late: may a thread of the library's
  // have what is waited for? (hold() is const, and Table's find() is not.)
  bool hold(std::uint64_t id) const override {
    return connections_.find(id)->is_held();
  }
  bool lay_ready(std::uint64_t id) override {
    return connections_.find(id)->hold();
  }

  // Everybody who has come is let in, as long as there is time for that (who
  // comes meanwhile is not waited for: it may never end), everything that has
  // come is answered; then we end and wait for the peers to end.
  void drain() {
    deadlines_.drain();
    acceptor_.stop();
    auto left = listener_.queued();
    while (left > 0 && deadlines_.lets_in() && acceptor_.accept()) --left;
    listener_.close();
    while (auto guest = acceptor_.next()) welcome(std::move(guest));
    for (bool first = true, all = false; !all; first = false) {
      all = true;
      connections_.each([&](std::uint64_t, Connection& c) {
        if (!drain(c, first)) all = false;
      });
      if (!all) turn(&a_moment);
    }
    while (connections_.size() && !deadlines_.drained()) turn(nullptr);
    connections_.each([this](std::uint64_t id, Connection& c) {
      net::reset_on_close(c.socket());
      close(id);
    });
    finish();
  }

  // Reads that are out stay out: to end them by shutdown(2) would look as if
  // the peers had ended. So they go on until all that had come is here; at
  // least once it is waited for, however late it is by then.
  bool drain(Connection& c, bool first) {
    if (c.draining || c.closing) return true;
    if (c.is_behind() && (first || deadlines_.lets_in())) return false;
    c.draining = true;
    c.session.drain();
    next(c);
    return true;
  }

  // Until the library has given back all that is ours.
  void finish() {
    finishing_ = true;
    mailbox_.wake();  // ends the bell's request
    while (connections_.size() || bell_.out()) turn(&a_moment);
  }

  net::Listener& listener_;
  protocol::Service& service_;
  net::Mailbox& mailbox_;
  protocol::Pool pool_;
  net::Deadlines deadlines_;
  mutable net::Table<Connection> connections_;
  net::List<Connection> unfinished_;
  aio::Acceptor acceptor_;
  aio::Outstanding requests_;
  aio::Operation bell_{0, aio::by_nothing(0)};  // 0 is nobody's id
  std::uint64_t bell_count_ = 0;
  bool finishing_ = false;
};

constexpr net::Row rows[] = {aio::threads_row};
// The library tries first whether it is a file.
constexpr net::Ideal ideal[] = {
    {"aio_suspend", 2},
    {"aio_read", 1},
    {"aio_write", 1},
    {"aio_error", 4},
    {"aio_return", 2},
    {.call = "pread64", .per_request = 1, .unseen = true},
    {.call = "read", .per_request = 1, .unseen = true},
    {.call = "pwrite64", .per_request = 1, .unseen = true},
    {.call = "write", .per_request = 1, .unseen = true}};

}  // namespace

const net::Model model::server = {
    .name = "aio",
    .variant = "posix",
    .rows = rows,
    .traits = {.concurrent_by = "aio-threads", .one_for_all = true},
    .ideal = ideal};

void model::serve(net::Listener& listener, protocol::Service& service,
                  net::Mailbox& mailbox, const net::Options& options) {
  Server(listener, service, mailbox, options).run();
}
