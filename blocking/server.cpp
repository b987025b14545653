// # The blocking server
//
// One thread per peer. Each call sleeps until its work is done, and so the
// program reads as the conversation goes: receive, answer, send, and again.
// Given up: memory (a stack and a buffer for every idle peer), and an easy way
// to be reached while asleep.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "blocking/calls.hpp"
#include "net/server.hpp"

namespace {

struct Connection {
  Connection(net::Guest peer, protocol::Service& service,
             protocol::ReturnAddress address)
      : guest(std::move(peer)),
        pool(service.budget(), idle_max),
        session(service, pool, address),
        deadlines(service.limits(), pool),
        deadline(address.conversation) {}

  static constexpr std::size_t idle_max = 64 << 10;

  net::Guest guest;
  protocol::Pool pool;
  protocol::Session session;
  net::Deadlines deadlines;
  net::Deadlines::Entry deadline;
  std::thread thread;
  bool shut = false, limited = false, stopping = false, last = false;
  std::atomic<bool> stop = false;     // to this thread: drain
  std::optional<std::string> answer;  // under the server's lock

  int socket() const { return guest.socket.get(); }
};

class Server {
 public:
  // 1. LISTEN. An ordinary socket: calls on it sleep.
  Server(net::Listener& listener, protocol::Service& service,
         net::Mailbox& mailbox)
      : listener_(listener), service_(service), mailbox_(mailbox) {
    blocking::install_wake_signal();
    blocking::admit_wake_signal();
    listener_.open(0);
    // 2. ARM. Nothing: each call does its own waiting. Only the mailbox has to
    // know how to reach those who sleep.
    mailbox_.on_ring([this, acceptor = ::pthread_self()] {
      ring();
      if (mailbox_.stopping()) blocking::call_back(listener_.fd(), acceptor);
    });
  }

  void run() {
    // 3. WAIT. In every call: here for a peer, in a peer's thread for its bytes
    // or for room for ours.
    while (!mailbox_.stopping()) accept();
    drain();
  }

 private:
  // What others have to say to this conversation: that the program stops, or
  // the answer that it waits for. Who waits takes everybody's letters out of
  // the mailbox and lays them ready.
  bool collect(Connection& c) {
    if (c.stop && !c.stopping) {
      c.stopping = c.last = true;
      blocking::let_sleep(c.socket());  // drain() has woken it for good
    }
    // First the answers that are there go out.
    while (c.session.pending() && !c.session.has_output()) {
      const std::uint32_t rings = rings_.load();
      const std::optional<std::string> answer = take_answer(c);
      if (answer)
        c.session.deliver(*answer);
      else if (abandoned_)
        return false;
      else
        rings_.wait(rings);  // not if it has rung since: futex(2)
    }
    return true;
  }

  std::optional<std::string> take_answer(Connection& c) {
    const std::scoped_lock lock(mutex_);
    for (const protocol::Letter& letter : mailbox_.collect())
      if (Connection* to = connections_.find(letter.conversation))
        to->answer = letter.answer;
    return std::exchange(c.answer, std::nullopt);
  }

  void ring() {
    rings_.fetch_add(1);
    rings_.notify_all();
  }

  // 4. ACCEPT. Sleeps until there is a peer.
  bool accept() {
    const int fd = sys::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    net::Guest guest = listener_.admit(fd, errno);
    if (!guest) return fd >= 0;
    const std::scoped_lock lock(mutex_);
    const std::uint64_t id = connections_.next_id();
    Connection& c = connections_.emplace(
        std::move(guest), service_, protocol::ReturnAddress{&mailbox_, id});
    try {
      c.thread = std::thread([this, &c] { serve(c); });
    } catch (const std::system_error&) {
      connections_.erase(id);  // no more threads: this peer has to go
    }
    return true;
  }

  // A peer's thread, from here to its end.
  void serve(Connection& c) {
    blocking::admit_wake_signal();
    blocking::limit(c.socket(), SO_SNDTIMEO, send_limit_ns());
    while (collect(c) && in_time(c) && send(c) && receive(c)) {
    }
    close(c);
  }

  // 2. ARM, for a connection: for how long recv(2) may sleep. For ever while
  // the peer owes us nothing, so that a request costs no third call.
  void watch(Connection& c) {
    c.deadlines.watch(c.deadline, c.session);
    if (c.deadlines.idle() && !c.limited) return;
    c.limited = !c.deadlines.idle();
    blocking::limit(c.socket(), SO_RCVTIMEO, c.deadlines.left_ns());
  }

  // False if the peer has let us wait too long, or if the process has too much
  // in buffers and this thread holds some of it.
  bool in_time(Connection& c) {
    bool late = false;
    c.deadlines.watch(c.deadline, c.session);
    c.deadlines.expire([&late](std::uint64_t) { late = true; });
    return !late;
  }

  // 5. RECEIVE. Sleeps until the peer has sent something, or has ended. EINTR
  // and EAGAIN: we were called back, or the time is up; collect() and
  // in_time() know which. When we stop, what is there already is taken, without
  // sleeping; what comes after that is thrown away.
  bool receive(Connection& c) {
    if (!c.session.wants_input() || c.session.has_output() ||
        c.session.pending())
      return true;
    watch(c);
    const auto room = c.session.input();
    const ssize_t n = sys::recv(c.socket(), room.data(), room.size(),
                                c.last ? MSG_DONTWAIT : 0);
    const int error = errno;
    // 6. ANSWER. In received(): the session takes the bytes apart, has whole
    // requests answered and keeps the rest.
    c.session.received(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (n == 0) c.session.end_of_input();
    if (std::exchange(c.last, false)) c.session.drain();
    return n >= 0 || error == EINTR || error == EAGAIN;
  }

  // 7. SEND. Sleeps until the kernel has taken what it was given, at most for
  // SO_SNDTIMEO. If there is more, it comes back here: receive() waits for it.
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

  // 8. CLOSE. The socket and the thread end here. Somebody must wait for the
  // thread: the next one that ends.
  void close(Connection& c) {
    std::thread before;
    {
      const std::scoped_lock lock(mutex_);
      before = std::exchange(last_, std::move(c.thread));
      connections_.erase(c.deadline.id());
      ended_.notify_all();
    }
    if (before.joinable()) before.join();
  }

  // Everybody who has come is let in, as long as there is time for that (who
  // comes meanwhile is not waited for: it may never end), everything that has
  // come is answered; then we end and wait for the peers to end.
  void drain() {
    using net::Deadlines;
    const auto now = std::chrono::steady_clock::now;
    const auto began = now();
    blocking::keep_awake(listener_.fd());
    auto left = listener_.queued();
    while (left > 0 && now() < began + Deadlines::let_in_time && accept())
      --left;
    mailbox_.on_ring([this] { ring(); });
    listener_.close();
    std::unique_lock lock(mutex_);
    const auto all_gone = [this] { return connections_.size() == 0; };
    // In this order: who has seen `stop` lets its socket sleep again, and that
    // must not be undone here, or its thread would spin.
    connections_.each([](std::uint64_t, Connection& c) {
      blocking::keep_awake(c.socket());
      c.stop = true;
      ::pthread_kill(c.thread.native_handle(), blocking::wake_signal);
    });
    if (!ended_.wait_until(lock, began + Deadlines::drain_time, all_gone)) {
      abandoned_ = true;
      connections_.each([](std::uint64_t, Connection& c) {
        net::reset_on_close(c.socket());
        sys::shutdown(c.socket(), SHUT_RDWR);
      });
      ring();
      ended_.wait(lock, all_gone);
    }
    lock.unlock();
    mailbox_.on_ring({});
    if (last_.joinable()) last_.join();
  }

  // in_time() has to look more often than the deadline comes: a call that has
  // sent only a part ends with that part, and this is progress.
  std::int64_t send_limit_ns() const {
    using namespace std::chrono;
    return nanoseconds(service_.limits().reader_time).count() / 8;
  }

  net::Listener& listener_;
  protocol::Service& service_;
  net::Mailbox& mailbox_;
  std::atomic<std::uint32_t> rings_{0};
  std::atomic<bool> abandoned_ = false;
  std::mutex mutex_;  // guards what follows
  std::condition_variable ended_;
  net::Table<Connection> connections_;
  std::thread last_;
};

constexpr net::Ideal ideal[] = {{"recv", 1}, {"send", 1}};

}  // namespace

const net::Model model::server = {
    .name = "blocking", .variant = "thread", .ideal = ideal};

void model::serve(net::Listener& listener, protocol::Service& service,
                  net::Mailbox& mailbox, const net::Options&) {
  Server(listener, service, mailbox).run();
}
