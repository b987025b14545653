// # The edge-triggered epoll server
//
// One thread for all peers. The kernel reports a socket when something changes
// about it, once, and not for as long as it is so. So each socket is added once
// and for good, and what was reported is kept here until a call has used it up.
// Given up: whoever forgets somebody with bytes left waits with him for ever.

#include <array>

#include "epoll/accepting.hpp"
#include "epoll/calls.hpp"
#include "net/server.hpp"

namespace {

struct Connection : net::Conversation {
  using Conversation::Conversation;
  // What the kernel has reported and no call has used up. A new socket has room
  // to send; with what it has received the kernel begins.
  bool readable = false, writable = true;
  // Behind what one receive brings is more: the peer's end, or urgent data, at
  // which recv(2) stops.
  bool ending = false;
};

class Server {
 public:
  // 1. LISTEN. Non-blocking: between the event and the call a peer may leave,
  // and accept(2) would then sleep until the next one comes.
  Server(net::Listener& listener, protocol::Service& service,
         net::Mailbox& mailbox, const net::Options& options)
      : listener_(listener),
        service_(service),
        mailbox_(mailbox),
        pool_(service.budget()),
        deadlines_(service.limits(), pool_, net::sockets_of(connections_)),
        portions_max_(options["portions"]),
        epoll_(net::check(sys::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
    epoll::open(listener_, mailbox_, options, epoll_.get(), listener_id);
    // 2. ARM. Once, for new peers (in open()) and the bell, these two by level:
    // where no descriptor is left, accept(2) fails though peers still wait, and
    // no edge would come for them any more. welcome() does it for a connection.
    net::check(arm(EPOLL_CTL_ADD, mailbox_.fd(), EPOLLIN, mailbox_id),
               "epoll_ctl");
  }

  void run() {
    while (!mailbox_.stopping()) turn();
    drain();
  }

 private:
  // The table never gives these as ids.
  static constexpr std::uint64_t listener_id = 0, mailbox_id = 1;
  // So many blocks go to one peer before the others have their turn, and so
  // many peers are let in by one event. Among N busy sockets the listener has
  // its turn once in N / 256 waits; and as many accepts as these take about as
  // long as a tenth of what else such a wait brings.
  static constexpr int sends_max = 16, accepts_max = 32;

  void turn() {
    // 3. WAIT. The one place where this loop sleeps, and it does so only if
    // nobody has anything left. The kernel copies out what has changed.
    const int n = sys::epoll_wait(
        epoll_.get(), ready_.data(), static_cast<int>(ready_.size()),
        unfinished_.empty() ? deadlines_.left_ms() : 0);
    if (n < 0 && errno == EINTR) return;
    net::check(n, "epoll_wait");
    for (int i = 0; i < n; ++i) {
      wake(ready_[i].data.u64, ready_[i].events);
      relieve();
    }
    if (!unfinished_.empty()) take_turns();
    deadlines_.looked(n < static_cast<int>(ready_.size()),
                      connections_.size() / ready_.size());
    deadlines_.expire([this](std::uint64_t id) { close(id); });
  }

  // After each event: so many peers can fill more than all buffers may be.
  void relieve() {
    deadlines_.evict([this](std::uint64_t id) { close(id); });
  }

  // No event will come for what is left of a portion, or in a socket. Who has
  // had no turn when the time of a stop is over will be reset.
  void take_turns() {
    unfinished_.each_once([this](Connection& c) {
      if (deadlines_.drained()) return;
      c.session.take_turn();
      serve(c);
      relieve();
    });
  }

  void wake(std::uint64_t id, std::uint32_t events) {
    if (id == listener_id)
      accept_some();
    else if (id == mailbox_id)
      collect();
    else if (Connection* c = connections_.find(id))
      changed(*c, events);
    // Else it was closed by an earlier event of this very batch.
  }

  // Peers whom another loop has accepted, and letters.
  void collect() {
    mailbox_.silence();
    while (auto guest = listener_.handed()) welcome(std::move(guest));
    net::hand_out(
        mailbox_, connections_, [this](Connection& c) { serve(c); },
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
    welcome(std::move(guest));
    return true;
  }

  void welcome(net::Guest guest) {
    Connection* c = net::begin(connections_, std::move(guest), service_, pool_,
                               deadlines_, mailbox_);
    if (!c) return;
    // ENOSPC and ENOMEM concern this peer alone (max_user_watches, epoll(7)).
    constexpr auto edges = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    if (arm(EPOLL_CTL_ADD, c->socket(), edges, c->id()) < 0) {
      net::count_lost(net::Want::memory);
      close(c->id());
    }
  }

  // Broken: where no call of ours is due that would meet the error, the peer is
  // gone and nobody would notice, since it is not reported again.
  void changed(Connection& c, std::uint32_t events) {
    constexpr std::uint32_t broken = EPOLLERR | EPOLLHUP;
    if ((events & broken) && !c.session.wants_input() &&
        !c.session.has_output())
      return close(c.id());
    if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | broken)) c.readable = true;
    if (events & (EPOLLOUT | broken)) c.writable = true;
    if (events & (EPOLLRDHUP | EPOLLPRI | broken)) c.ending = true;
    serve(c);
  }

  // A bounded part of what is to be done: the socket of a peer who sends
  // without end is never empty, and the others would wait until it is.
  void serve(Connection& c) {
    for (std::uint64_t i = 1; receive(c) && send(c); ++i) {
      if (i == portions_max_ || !has_more(c)) return watch(c);
      c.session.take_turn();
    }
    close(c.id());
  }

  // Of what needs no event.
  static bool has_more(const Connection& c) {
    return c.session.wants_turn() || (c.readable && c.session.wants_input()) ||
           (c.writable && c.session.has_output());
  }

  // 2. ARM, for a connection: nothing. But who has more must not be forgotten.
  void watch(Connection& c) {
    deadlines_.watch(c.deadline, c.session);
    if (has_more(c)) unfinished_.push_back(c);
  }

  // 5. RECEIVE. A part of what has arrived. If it did not fill the room, the
  // socket is empty now, and the next byte will be reported. But if the peer's
  // end was reported together with these bytes, nothing more will be: then
  // recv(2) is called until it says so itself, by 0.
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
    if (static_cast<std::size_t>(n) < room.size() && !c.ending)
      c.readable = false;
    if (n == 0) c.session.end_of_input();
    return true;
  }

  // 7. SEND. What the kernel has room for. Only after it has said that there is
  // none (EAGAIN) does it report that there is some again.
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

  // 8. CLOSE. The last descriptor of a socket takes it off epoll's list; an
  // event of it later in this batch finds its id gone.
  void close(std::uint64_t id) { connections_.erase(id); }

  // Everybody who has come is let in, as long as there is time for that (who
  // comes meanwhile is not waited for: it may never end), everything that has
  // come is answered; then we end and wait for the peers to end.
  void drain() {
    deadlines_.drain();
    auto left = listener_.queued();
    while (left > 0 && deadlines_.lets_in() && accept()) --left;
    // Without this it would stay on the list as long as anybody else has the
    // same listener open (epoll(7)), and be ready for ever.
    arm(EPOLL_CTL_DEL, listener_.fd(), 0, listener_id);
    listener_.close();
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

  int arm(int change, int fd, std::uint32_t events, std::uint64_t id) {
    epoll_event event{.events = events, .data = {.u64 = id}};
    return sys::epoll_ctl(epoll_.get(), change, fd, &event);
  }

  net::Listener& listener_;
  protocol::Service& service_;
  net::Mailbox& mailbox_;
  protocol::Pool pool_;
  net::Deadlines deadlines_;
  const std::uint64_t portions_max_;
  net::Fd epoll_;
  net::Table<Connection> connections_;
  net::List<Connection> unfinished_;
  std::array<epoll_event, 256> ready_;
};

constexpr net::Row rows[] = {
    {"portions", "receives of a peer who has more, before the others' turn", 1,
     1, 1'000'000'000},
    epoll::accept_row};
constexpr net::Ideal ideal[] = {{"epoll_wait", 1}, {"recv", 1}, {"send", 1}};

}  // namespace

const net::Model model::server = {.name = "epoll",
                                  .variant = "edge",
                                  .rows = rows,
                                  .traits = {.threads = "loops"},
                                  .ideal = ideal};

void model::serve(net::Listener& listener, protocol::Service& service,
                  net::Mailbox& mailbox, const net::Options& options) {
  Server(listener, service, mailbox, options).run();
}
