// # The epoll oneshot server
//
// Several threads, one list of sockets. Each event is for one worker, which has
// that conversation for itself: the event has disarmed the socket, and until it
// is armed again nobody else hears of it. A worker sleeps in its wait alone.
// Given up: a call more for each request, and a lock around what all share.

#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "epoll/calls.hpp"
#include "net/server.hpp"
#include "net/shared_conversations.hpp"

namespace {

using Connection = net::SharedConversation;

class Server {
 public:
  // 1. LISTEN. Non-blocking: between the event and the call a peer may leave,
  // and accept(2) would then sleep until the next one comes.
  Server(net::Listener& listener, protocol::Service& service,
         net::Mailbox& mailbox, unsigned threads)
      : listener_(listener),
        mailbox_(mailbox),
        epoll_(net::check(sys::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
        pools_(pools(service, threads)),
        connections_(service, mailbox, pools_.front()) {
    listener_.open(SOCK_NONBLOCK);
    // 2. ARM. For new peers, for the bell, and in watch() for a connection,
    // each for one event: without EPOLLONESHOT a byte that comes while a worker
    // still answers the last one would wake another worker for the same peer.
    net::check(arm(EPOLL_CTL_ADD, listener_.fd(), EPOLLIN, listener_id),
               "epoll_ctl");
    net::check(arm(EPOLL_CTL_ADD, mailbox_.fd(), EPOLLIN, mailbox_id),
               "epoll_ctl");
  }

  void run() {
    std::vector<std::thread> others;
    try {
      // Nobody is let in before all workers are there.
      const std::scoped_lock lock(accepting_);
      while (others.size() + 1 < pools_.size())
        others.emplace_back([this, i = others.size() + 1] { work(pools_[i]); });
    } catch (...) {
      connections_.fail(std::current_exception());
    }
    work(pools_.front());
    for (std::thread& other : others) other.join();
    connections_.end();
  }

 private:
  // The table never gives these as ids.
  static constexpr std::uint64_t listener_id = 0, mailbox_id = 1;
  // So many blocks go to one peer before the others have their turn.
  static constexpr int sends_max = 16;
  // So many peers are let in by one event.
  static constexpr int accepts_max = 32;
  // Bytes that lie idle in the pools of all workers: as many as in one loop's.
  static constexpr std::size_t pools_idle_max = 1 << 20;

  // A worker. Whoever leaves rings for the next one, which may sleep: the bell
  // is armed and not silenced, so that one more event comes of it.
  void work(protocol::Pool& pool) {
    try {
      for (bool all = false; turn(pool, all);)
        if (mailbox_.stopping() && connections_.stop()) drain(pool);
    } catch (...) {
      connections_.fail(std::current_exception());
    }
    mailbox_.wake();
    arm(EPOLL_CTL_MOD, mailbox_.fd(), EPOLLIN, mailbox_id);
  }

  // False when all is over. `all`: there was no event.
  bool turn(protocol::Pool& pool, bool& all) {
    auto next = connections_.next(pool, all);
    if (next.over) return false;
    if (next.more) mailbox_.wake();
    if (next.conversation) take_turn(*next.conversation, next);
    // 3. WAIT. The one place where a worker sleeps. For one event: a second one
    // would wait in these hands, while another worker might have none.
    epoll_event ready;
    const int n = sys::epoll_wait(epoll_.get(), &ready, 1, next.left_ms);
    all = n == 0;
    if (n < 0 && errno == EINTR) return true;
    net::check(n, "epoll_wait");
    if (n > 0) wake(ready.data.u64, ready.events, pool);
    return true;
  }

  // No event will come for what has been received and not yet answered, for a
  // letter, or for the stop. Who has had no turn when the time of a stop is
  // over will be reset.
  void take_turn(Connection& c, const net::SharedConversations::Next& next) {
    if (!next.answer.empty()) c.session.deliver(next.answer);
    c.session.take_turn();
    if (next.stopped && !net::take_all(c, connections_.deadlines(),
                                       [this](auto& c) { return receive(c); }))
      return close(c);
    serve(c, next.readable ? EPOLLIN : 0u);
  }

  void wake(std::uint64_t id, std::uint32_t events, protocol::Pool& pool) {
    if (id == listener_id)
      accept_some(pool);
    else if (id == mailbox_id)
      collect();
    else if (Connection* c = connections_.take(id, pool))
      serve(*c, events);
    // Else it has gone; or another worker has it, and arms it when he is done.
  }

  void collect() {
    connections_.collect();
    arm(EPOLL_CTL_MOD, mailbox_.fd(), EPOLLIN, mailbox_id);
  }

  // Whoever is left has the next event; at the stop they are drain()'s, which
  // would have to wait for the lock here as long as somebody comes. (The event
  // alone gives the listener to one worker at a time, but that is told to no
  // sanitizer, and drain() asks for no event.)
  void accept_some(protocol::Pool& pool) {
    const std::scoped_lock lock(accepting_);
    for (int i = 0; i < accepts_max && !mailbox_.stopping(); ++i)
      if (!accept(pool)) break;
    if (!mailbox_.stopping())
      arm(EPOLL_CTL_MOD, listener_.fd(), EPOLLIN, listener_id);
  }

  // 4. ACCEPT. Linux hands no O_NONBLOCK down from the listener: it is asked
  // for here. When the connection is armed it is anybody's.
  bool accept(protocol::Pool& pool) {
    const int fd = sys::accept4(listener_.fd(), nullptr, nullptr,
                                SOCK_NONBLOCK | SOCK_CLOEXEC);
    net::Guest guest = listener_.admit(fd, errno);
    if (!guest) return fd >= 0;
    // ENOSPC and ENOMEM concern this peer alone (max_user_watches, epoll(7)).
    connections_.begin(std::move(guest), pool, [this](Connection& c) {
      c.interest = EPOLLIN;
      return arm(EPOLL_CTL_ADD, c.socket(), c.interest, c.id()) == 0;
    });
    return true;
  }

  void serve(Connection& c, std::uint32_t events) {
    constexpr std::uint32_t broken = EPOLLERR | EPOLLHUP;
    // These two come unasked. Where no call of ours is due that would meet the
    // error, the peer is gone and nobody would notice.
    const bool gone = (events & broken) && c.interest == 0;
    const bool readable = events & (EPOLLIN | broken);
    if (gone || (readable && !receive(c)) || !send(c) || !watch(c)) close(c);
  }

  // 2. ARM, for a connection: what its session wants now, after every event,
  // for it has disarmed the socket. This is the last that its worker does with
  // it, and both under the lock (shared_conversations.hpp): another one may
  // have the next event before epoll_ctl(2) has returned.
  bool watch(Connection& c) {
    return connections_.put_back(c, [this](Connection& c) {
      const std::uint32_t interest = (c.session.wants_input() ? EPOLLIN : 0u) |
                                     (c.session.has_output() ? EPOLLOUT : 0u);
      c.interest = static_cast<std::uint16_t>(interest);
      return arm(EPOLL_CTL_MOD, c.socket(), interest, c.id()) == 0;
    });
  }

  // 5. RECEIVE. What has arrived, at most once: if there is more, the kernel
  // says so when it is armed again, and the others have had their turn.
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

  // 8. CLOSE. The last descriptor of a socket takes it off epoll's list; an
  // event of it that another worker has already finds its id gone.
  void close(Connection& c) { connections_.close(c); }

  // By the first worker that sees the stop, while the others serve: everybody
  // who has come is let in, as long as there is time for that. Then all are
  // told: each conversation by the worker that has it next.
  void drain(protocol::Pool& pool) {
    const std::scoped_lock lock(accepting_);
    auto left = listener_.queued();
    while (left > 0 && connections_.deadlines().lets_in() && accept(pool))
      --left;
    // Without this it would stay on the list as long as anybody else has the
    // same listener open (epoll(7)).
    arm(EPOLL_CTL_DEL, listener_.fd(), 0, listener_id);
    listener_.close();
    connections_.drain();
  }

  int arm(int change, int fd, std::uint32_t events, std::uint64_t id) {
    epoll_event event{.events = events | EPOLLONESHOT, .data = {.u64 = id}};
    return sys::epoll_ctl(epoll_.get(), change, fd, &event);
  }

  static std::deque<protocol::Pool> pools(protocol::Service& service,
                                          unsigned threads) {
    std::deque<protocol::Pool> made;
    while (made.size() < threads)
      made.emplace_back(service.budget(), pools_idle_max / threads);
    return made;
  }

  net::Listener& listener_;
  net::Mailbox& mailbox_;
  net::Fd epoll_;
  std::deque<protocol::Pool> pools_;  // each one worker's
  net::SharedConversations connections_;
  std::mutex accepting_;  // guards the listener
};

constexpr net::Ideal ideal[] = {
    {"epoll_wait", 1}, {"recv", 1}, {"send", 1}, {"epoll_ctl", 1}};

}  // namespace

const net::Model model::server = {
    .name = "epoll",
    .variant = "oneshot",
    .traits = {.threads = "workers", .threads_default = 4},
    .ideal = ideal};

void model::serve(net::Listener& listener, protocol::Service& service,
                  net::Mailbox& mailbox, const net::Options& options) {
  Server(listener, service, mailbox, options.threads).run();
}
