// # The callback POSIX AIO server
//
// One thread for all peers. It asks the C library to read and to write, and for
// each request that is done the library makes a thread and calls a function of
// ours in it. That tells the loop which one it is, and ends. Given up: a thread
// made for every read and every write, and that it is told for certain.

#include <array>

#include "aio/acceptor.hpp"
#include "aio/operation.hpp"
#include "aio/told.hpp"
#include "net/server.hpp"

namespace {

using Connection = aio::Conversation<aio::by_thread>;

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
    aio::hand_on_signals();
    aio::open_news();
    listener_.open(0);
    acceptor_.start();
    // 2. ARM. Nothing but the request itself; next() asks for a connection's.
  }

  void run() {
    while (!mailbox_.stopping()) turn(-1);
    drain();
  }

 private:
  using For = protocol::Wait::For;
  static constexpr int a_moment_ms = 10, a_while_ms = 500;

  // Sleeps for so long at most; if negative, until somebody is due.
  void turn(int most_ms) {
    if (most_ms < 0) most_ms = deadlines_.left_ms();
    if (connections_.size() != 0 && (most_ms < 0 || most_ms > soon_ms_))
      most_ms = soon_ms_;
    // 3. WAIT. Until somebody has told something, or rings.
    pollfd ready[] = {{aio::news.read_end, POLLIN, 0},
                      {mailbox_.fd(), POLLIN, 0}};
    const int n =
        sys::poll(ready, nfds_t{2}, unfinished_.empty() ? most_ms : 0);
    if (n < 0 && errno != EINTR) net::fail(errno, "poll");
    if (ready[0].revents) take_news();
    if (ready[1].revents) collect();
    relieve();
    // No request will be done for what has been received and not yet answered.
    // Who has had no turn when the time of a stop is over will be reset.
    unfinished_.each_once([this](Connection& c) {
      if (deadlines_.drained()) return;
      c.session.take_turn();
      next(c);
      relieve();
    });
    if (net::now() >= sweep_ns_) sweep();
    deadlines_.looked(true);
    deadlines_.expire([this](std::uint64_t id) { close(id); });
  }

  // After each event: so many peers can fill more than all buffers may be.
  void relieve() {
    deadlines_.evict([this](std::uint64_t id) { close(id); });
  }

  void take_news() {
    std::array<std::uint64_t, 256> ids;
    const ssize_t size = sys::read(aio::news.read_end, ids.data(), sizeof ids);
    if (size < 0) return;
    for (std::size_t i = 0; i < size / sizeof ids[0]; ++i) {
      look_at(ids[i]);
      relieve();
    }
  }

  // What was told is no proof: it may come late, and sweep() have been faster.
  void look_at(std::uint64_t id) {
    Connection* c = connections_.find(id);
    if (!c || !c->operation.out()) return;
    if (const auto result = c->operation.result()) done(*c, *result);
  }
  void done(Connection& c, ssize_t result) {
    c.missed = false;
    // The library had no memory to tell by, and wrote that over the result.
    if (result == -ENOMEM) net::count_lost(net::Want::memory);
    c.operation.take_read() ? received(c, result) : sent(c, result);
  }

  // Where the library gets no thread to tell by, it says so to nobody (glibc
  // 2.36 asks whether pthread_create(3) is below 0, which it never is). So now
  // and then all requests are looked at, before the threads that there are have
  // been idle for a second and end. Who is done may only be told of late: so
  // those are looked at once more a moment later. Where one had not been told
  // of, others will not be either: so for a second it is looked often.
  void sweep() {
    bool any = false;
    connections_.each([&](std::uint64_t, Connection& c) {
      if (!c.operation.done()) return;
      any = true;
      if (!std::exchange(c.missed, true)) return;
      net::count(untold_);
      often_ns_ = net::now() + 1'000'000'000;
      done_untold(c);
    });
    soon_ms_ = any || net::now() < often_ns_ ? a_moment_ms : a_while_ms;
    sweep_ns_ = net::now() + soon_ms_ * 1'000'000;
  }

  void done_untold(Connection& c) {
    done(c, *c.operation.result());
    relieve();
  }

  // Peers who have been let in, and letters.
  void collect() {
    mailbox_.silence();
    while (auto guest = acceptor_.next()) welcome(std::move(guest));
    net::hand_out(
        mailbox_, connections_, [this](Connection& c) { next(c); },
        [this](std::uint64_t id) { close(id); });
  }

  // 4. ACCEPT. Another thread has.
  void welcome(net::Guest guest) {
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
    return taken;
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
    return taken;
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
      if (!all) wait_for_all();
    }
    while (connections_.size() && !deadlines_.drained()) turn(-1);
    connections_.each([this](std::uint64_t id, Connection& c) {
      net::reset_on_close(c.socket());
      close(id);
    });
    // Until the library has given back all that is ours.
    while (connections_.size()) wait_for_all();
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

  // At the stop: told of or not, who is done is.
  void wait_for_all() {
    turn(a_moment_ms);
    connections_.each([this](std::uint64_t, Connection& c) {
      if (c.operation.done()) done_untold(c);
    });
  }

  net::Listener& listener_;
  protocol::Service& service_;
  net::Mailbox& mailbox_;
  protocol::Pool pool_;
  net::Deadlines deadlines_;
  mutable net::Table<Connection> connections_;
  net::List<Connection> unfinished_;
  aio::Acceptor acceptor_;
  std::int64_t sweep_ns_ = 0, often_ns_ = 0;
  int soon_ms_ = a_while_ms;
  const unsigned untold_ = net::counter("model.", "untold");
};

constexpr net::Row rows[] = {aio::threads_row};
// The library tries first whether it is a file.
constexpr net::Ideal ideal[] = {
    {"poll", 2},
    {"read", 2},
    {"aio_read", 1},
    {"aio_write", 1},
    {"aio_error", 2},
    {"aio_return", 2},
    {.call = "clone3", .per_request = 2, .unseen = true},
    {.call = "pread64", .per_request = 1, .unseen = true},
    {.call = "read", .per_request = 1, .unseen = true},
    {.call = "pwrite64", .per_request = 1, .unseen = true},
    {.call = "write", .per_request = 3, .unseen = true}};

}  // namespace

const net::Model model::server = {
    .name = "aio",
    .variant = "thread",
    .rows = rows,
    .traits = {.concurrent_by = "aio-threads", .one_for_all = true},
    .ideal = ideal};

void model::serve(net::Listener& listener, protocol::Service& service,
                  net::Mailbox& mailbox, const net::Options& options) {
  Server(listener, service, mailbox, options).run();
}
