// # The signal-driven POSIX AIO server
//
// One thread for all peers. It asks the C library to read and to write, and
// sleeps until a signal tells which of these requests is done: nobody looks at
// the others. Given up: that it is told for certain, since the queue of signals
// is one for all processes of a user, and may be full.

#include <signal.h>

#include "aio/acceptor.hpp"
#include "aio/operation.hpp"
#include "aio/probe.hpp"
#include "aio/told.hpp"
#include "net/server.hpp"

namespace {

// That somebody rings is said by an ordinary signal: one is enough, and none is
// ever refused.
constexpr int bell_signal = SIGUSR2;

using Connection = aio::Conversation<aio::by_signal>;

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
    aio::raise_limit();
    ::sigemptyset(&signals_);
    ::sigaddset(&signals_, aio::done_signal);
    ::sigaddset(&signals_, bell_signal);
    listener_.open(0);
    // 2. ARM. Nothing but the request itself; next() asks for a connection's.
    // Both signals are blocked, in all threads (program/host.cpp): a signal to
    // the process goes to whoever does not block it.
    mailbox_.on_wake(
        [loop = ::pthread_self()] { ::pthread_kill(loop, bell_signal); });
    acceptor_.start();
  }
  ~Server() { mailbox_.on_wake({}); }

  void run() {
    collect();  // who rang before on_wake()
    while (!mailbox_.stopping()) turn(-1);
    drain();
  }

 private:
  using For = protocol::Wait::For;
  static constexpr std::int64_t a_moment_ns = 10'000'000,
                                a_second_ns = 1'000'000'000;

  // Sleeps for so long at most; if negative, until somebody is due. False if no
  // signal came.
  bool turn(std::int64_t most_ns) {
    if (most_ns < 0) most_ns = deadlines_.left_ns();
    if (connections_.size() != 0 && (most_ns < 0 || most_ns > a_second_ns))
      most_ns = a_second_ns;
    const timespec limit = net::to_timespec(unfinished_.empty() ? most_ns : 0);
    // 3. WAIT. One signal at a time, and each is one request that is done.
    siginfo_t told;
    const int signal =
        sys::sigtimedwait(&signals_, &told, most_ns < 0 ? nullptr : &limit);
    if (signal < 0 && errno != EAGAIN && errno != EINTR)
      net::fail(errno, "sigtimedwait");
    if (signal == bell_signal) collect();
    if (signal == aio::done_signal)
      look_at(reinterpret_cast<std::uintptr_t>(told.si_value.sival_ptr));
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
    return signal > 0;
  }

  // After each event: so many peers can fill more than all buffers may be.
  void relieve() {
    deadlines_.evict([this](std::uint64_t id) { close(id); });
  }

  // A signal is no proof: anybody may send one, and sweep() may have been
  // faster.
  void look_at(std::uint64_t id) {
    Connection* c = connections_.find(id);
    if (!c || !c->operation.out()) return;
    if (const auto result = c->operation.result()) done(*c, *result);
  }
  void done(Connection& c, ssize_t result) {
    c.missed = false;
    c.operation.take_read() ? received(c, result) : sent(c, result);
  }

  // A signal that found the queue full is lost, and only the result says so
  // (done_untold), at which nobody looks. Who is done has a signal in the
  // queue, or will never have one: after a second it would have been taken.
  void sweep() {
    sweep_ns_ = net::now() + a_second_ns;
    connections_.each([this](std::uint64_t, Connection& c) {
      if (c.operation.done() && std::exchange(c.missed, true)) done_untold(c);
    });
  }

  // Where there was no signal to be had, the library writes that over the
  // result (EAGAIN): nobody knows how many bytes were read, or written. Such a
  // conversation cannot go on.
  void done_untold(Connection& c) {
    const ssize_t result = *c.operation.result();
    if (result == -EAGAIN) {
      net::count(lost_);
      c.closing = true;
    }
    done(c, result);
    relieve();
  }

  // Peers who have been let in, and letters.
  void collect() {
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

  // At the stop: whether or not a signal came, who is done is. The library
  // sends it before it says that the request is done. So those are noted who
  // are done, then all signals are taken that wait; whoever is left of the
  // noted never had one. (Judged at once, a write for which its time was up,
  // EAGAIN as well, would be taken for one whose signal was lost, and the peer
  // be closed.)
  void wait_for_all() {
    turn(a_moment_ns);
    connections_.each([](std::uint64_t, Connection& c) { c.note_done(); });
    while (turn(0)) continue;
    connections_.each([this](std::uint64_t, Connection& c) {
      if (c.missed && c.operation.done()) done_untold(c);
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
  sigset_t signals_;
  std::int64_t sweep_ns_ = 0;
  const unsigned lost_ = net::counter("model.", "lost_signals");
};

constexpr net::Row rows[] = {aio::threads_row};
// The library tries first whether it is a file.
constexpr net::Ideal ideal[] = {
    {"sigtimedwait", 2},
    {"aio_read", 1},
    {"aio_write", 1},
    {"aio_error", 2},
    {"aio_return", 2},
    {.call = "pread64", .per_request = 1, .unseen = true},
    {.call = "read", .per_request = 1, .unseen = true},
    {.call = "pwrite64", .per_request = 1, .unseen = true},
    {.call = "write", .per_request = 1, .unseen = true},
    {.call = "rt_sigqueueinfo", .per_request = 2, .unseen = true}};

}  // namespace

const net::Model model::server = {
    .name = "aio",
    .variant = "signal",
    .rows = rows,
    .traits = {.concurrent_by = "aio-threads", .one_for_all = true},
    .ideal = ideal,
    .probe = aio::probe};

void model::serve(net::Listener& listener, protocol::Service& service,
                  net::Mailbox& mailbox, const net::Options& options) {
  Server(listener, service, mailbox, options).run();
}
