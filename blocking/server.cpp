// # The blocking server
//
// One thread per peer. Each call sleeps until its work is done, and so the
// program reads as the conversation goes: receive, answer, send, and again.
// Given up: memory (a stack and a buffer for every idle peer), and an easy way
// to be reached while asleep.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "blocking/conversation.hpp"
#include "net/server.hpp"

namespace {

struct Connection : blocking::Conversation {
  using Conversation::Conversation;
  std::thread thread;
  // Under the server's lock: the answer from elsewhere (empty: it has not come
  // yet), and that it has come, or that the program stops.
  std::string answer;
  std::condition_variable told;
};

class Server {
 public:
  // 1. LISTEN. An ordinary socket: calls on it sleep.
  Server(net::Listener& listener, protocol::Service& service,
         net::Mailbox& mailbox)
      : listener_(listener), service_(service), mailbox_(mailbox) {
    blocking::install_wake_signal();
    listener_.open(0);
    // 2. ARM. Nothing: each call does its own waiting, and only how long it may
    // do so is said to a socket (conversation.hpp). But the mailbox has to know
    // how to reach those who sleep.
    blocking::admit_calls(listener_.fd());
    mailbox_.on_letter(std::bind_front(&Server::deliver, this));
    mailbox_.on_wake([this, acceptor = ::pthread_self()] {
      if (mailbox_.stopping()) ::pthread_kill(acceptor, blocking::wake_signal);
    });
  }

  void run() {
    // 3. WAIT. In every call: here for a peer, in a peer's thread for its bytes
    // or for room for ours.
    while (!mailbox_.stopping()) accept();
    drain();
  }

 private:
  // In the thread of whoever has the answer: it wakes the one that waits for
  // it, and no other.
  void deliver(protocol::Letter letter) {
    const std::scoped_lock lock(mutex_);
    Connection* c = connections_.find(letter.conversation);
    if (!c) return;
    c->answer = std::move(letter.answer);
    c->told.notify_one();
  }

  // What others have to say to this conversation: that the program stops, or
  // the answer that it waits for.
  bool collect(Connection& c) {
    if (mailbox_.stopping() && !c.stopping && !stop(c)) return false;
    if (c.session.pending())
      if (const std::string answer = take_answer(c); !answer.empty())
        c.session.deliver(answer);
    return true;
  }

  // Sleeps until it is there, unless other answers are to go out first. The
  // lock is given back before the session has the answer: it goes on with the
  // next request, for which deliver() may be called in this very thread.
  std::string take_answer(Connection& c) {
    std::unique_lock lock(mutex_);
    if (!c.session.has_output())
      c.told.wait_for(lock, c.deadline.left(), [&] {
        return !c.answer.empty() || mailbox_.stopping() != c.stopping;
      });
    return std::exchange(c.answer, std::string());
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

  // 4. ACCEPT. Sleeps until there is a peer.
  bool accept() {
    const int fd = sys::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    net::Guest guest = listener_.admit(fd, errno);
    if (!guest) return fd >= 0;
    const std::scoped_lock lock(mutex_);
    const std::uint64_t id = connections_.next_id();
    try {
      Connection& c = connections_.emplace(
          std::move(guest), service_, protocol::ReturnAddress{&mailbox_, id});
      c.thread = std::thread([this, &c] { serve(c); });
      return true;
    } catch (const std::bad_alloc&) {
      net::count_lost(net::Want::memory);
    } catch (const std::system_error&) {
      net::count_lost(net::Want::thread);
      listener_.turn_away(std::move(connections_.find(id)->guest));
    }
    connections_.erase(id);  // there is nobody to serve it: it has to go
    return true;
  }

  // A peer's thread, from here to its end.
  void serve(Connection& c) {
    blocking::admit_calls(c.socket());
    while (collect(c) && affordable(c) && send(c) && in_time(c)) {
      // The rest of the answers goes first, or the one that is waited for.
      if (c.session.has_output() || c.session.pending()) continue;
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

  // 8. CLOSE. The socket and the thread end here. Somebody must wait for the
  // thread: the next one that ends.
  void close(Connection& c) {
    if (c.deadline.drained()) net::reset_on_close(c.socket());
    blocking::sleeps_in = -1;  // its number is anybody's from here on
    std::unique_lock lock(mutex_);
    std::thread before = std::exchange(last_, std::move(c.thread));
    connections_.erase(c.deadline.id());
    ended_.notify_all();
    lock.unlock();
    if (before.joinable()) before.join();
  }

  // Everybody who has come is let in, as long as there is time for that (who
  // comes meanwhile is not waited for: it may never end), everything that has
  // come is answered; then we end and wait for the peers to end.
  void drain() {
    sys::fcntl(listener_.fd(), F_SETFL, O_NONBLOCK);
    auto left = listener_.queued();
    constexpr auto let_in = net::Deadlines::let_in_time;
    while (left > 0 && mailbox_.stopping_for() < let_in && accept()) --left;
    mailbox_.on_wake({});
    listener_.close();
    std::unique_lock lock(mutex_);
    connections_.each([](std::uint64_t, Connection& c) {
      ::pthread_kill(c.thread.native_handle(), blocking::wake_signal);
      c.told.notify_one();
    });
    ended_.wait(lock, [this] { return connections_.size() == 0; });
    lock.unlock();
    if (last_.joinable()) last_.join();
    mailbox_.on_letter({});
  }

  net::Listener& listener_;
  protocol::Service& service_;
  net::Mailbox& mailbox_;
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
