// # The blocking client
//
// One thread per peer: it says what there is to say, sleeps until all of that
// is sent, sleeps until all of it is answered, and only then has an ear for
// something new. The thread that began them all sleeps until there is a new
// peer, or something to say to one.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <thread>

#include "blocking/calls.hpp"
#include "net/client.hpp"

namespace {

struct Connection {
  Connection(protocol::Peer& with, std::uint64_t tag) : peer(with), id(tag) {}

  protocol::Peer& peer;
  std::uint64_t id;
  std::thread thread;
  std::atomic<bool> over = false;        // close it, and end
  std::atomic<bool> talking = false;     // not between two conversations
  std::atomic<std::uint64_t> heard = 0;  // bytes, handed over
  // The rest is under the client's lock.
  net::Fd socket;
  bool speak = false;  // there is something to say
  std::condition_variable told;
};

class Client {
 public:
  Client(protocol::Agenda& agenda, net::Mailbox& mailbox,
         const net::Options& options)
      : agenda_(agenda), mailbox_(mailbox), options_(options), look_(agenda) {
    mailbox_.on_wake([this] { tell(); });
  }

  void run() {
    while (!agenda_.over() && !mailbox_.stopping()) {
      while (protocol::Peer* peer = agenda_.given_up()) give_up(*peer);
      while (protocol::Peer* peer = agenda_.next()) start(*peer);
      while (protocol::Peer* peer = agenda_.due(net::now())) speak(*peer);
      wait();
    }
    stop();
  }

 private:
  void tell() {
    const std::scoped_lock lock(mutex_);
    told_ = true;
    news_.notify_all();
  }

  // The thread that begins the others: sleeps until there is new work.
  void wait() {
    if (agenda_.overdue(net::now())) return look();
    constexpr protocol::Nanoseconds hour = 3'600'000'000'000;
    const protocol::Nanoseconds left = net::time_to_sleep(agenda_.next_due());
    std::unique_lock lock(mutex_);
    news_.wait_for(lock, std::chrono::nanoseconds(left < 0 ? hour : left),
                   [this] { return std::exchange(told_, false); });
  }

  // Before anybody is called late: what is in no socket, and in no thread's
  // hands either, has not come. A thread that is awake only has to go on.
  void look() {
    look_.begin(net::now());
    std::unique_lock lock(mutex_);
    connections_.each([this](std::uint64_t, Connection& c) {
      if (c.talking && blocking::has_more(c.socket.get(), c.heard))
        look_.left();
    });
    if (!look_.whole()) news_.wait_for(lock, std::chrono::milliseconds(1));
    lock.unlock();
    look_.end();
  }

  // No memory, no thread: then there is no connection.
  void start(protocol::Peer& peer) try {
    const std::scoped_lock lock(mutex_);
    peer.tag = connections_.next_id();
    Connection& c = connections_.emplace(peer, peer.tag);
    c.thread = std::thread([this, &c] { serve(c); });
  } catch (const std::exception&) {
    {
      const std::scoped_lock lock(mutex_);
      connections_.erase(peer.tag);
    }
    agenda_.closed(peer, "no thread or no memory for it");
  }

  // Whoever sleeps in a call is woken by the end of its socket.
  void give_up(protocol::Peer& peer) {
    const std::scoped_lock lock(mutex_);
    if (Connection* c = connections_.find(peer.tag)) end(*c);
  }
  void end(Connection& c) {
    c.over = true;
    if (c.socket) sys::shutdown(c.socket.get(), SHUT_RDWR);
    c.told.notify_one();
  }

  // The peer's own thread says it, as soon as it is not asleep in a call.
  void speak(protocol::Peer& peer) {
    const std::scoped_lock lock(mutex_);
    Connection* c = connections_.find(peer.tag);
    if (!c) return;
    c->speak = true;
    c->told.notify_one();
  }

  // 1. CONNECT. Sleeps until the peer has answered or refused, as long as TCP
  // tries (two minutes). Interrupted, or out of time, it goes on by itself, and
  // another connect(2) sleeps for what is left of it (EINPROGRESS, EALREADY).
  int connect(Connection& c) {
    const auto address = net::parse_address(c.peer.address);
    if (!address) return EINVAL;
    net::Fd socket = net::open_socket(*address, 0);
    if (!socket) return errno;
    const int fd = socket.get();
    blocking::limit_sleeps(fd, options_.limits.reader_time);
    std::unique_lock lock(mutex_);
    c.socket = std::move(socket);  // from here on stop() shuts it down
    lock.unlock();
    while (sys::connect(fd, address->get(), address->length) != 0)
      if (c.over || !blocking::goes_on(errno)) return errno;
    return 0;
  }

  // 2. ARM. Nothing: each call does its own waiting.
  // 3. WAIT. In every call; here, with nothing owed, for something to say. That
  // the peer has closed meanwhile shows only when it is spoken to.
  void listen(Connection& c) {
    std::unique_lock lock(mutex_);
    c.talking = false;
    c.told.wait(lock, [&] { return c.speak || c.over; });
    c.talking = true;
    c.speak = false;
  }

  // A peer's thread, from here to its end. For want of memory a conversation
  // ends, and not the process.
  void serve(Connection& c) try {
    close(c, talk(c));
  } catch (const std::bad_alloc&) {
    close(c, "out of memory");
  }

  std::string talk(Connection& c) {
    protocol::ClientSession& session = c.peer.session;
    int error = connect(c);
    // 4. CONNECTED. Or not.
    if (error == 0) agenda_.connected(c.peer);
    c.talking = true;
    while (error == 0 && !session.finished() && !c.over) {
      agenda_.say(c.peer, net::now());
      error = send(c);
      while (error == 0 && session.owed() && !session.finished()) {
        error = receive(c);
        if (error == 0) error = send(c);
      }
      if (error == 0 && !session.finished()) listen(c);
    }
    return error ? net::describe(error) : std::string(session.error());
  }

  // 5. RECEIVE. Sleeps until something has come. If nothing does (EAGAIN), it
  // must not keep from this peer for ever what there is to say by now: that is
  // for the next connection.
  int receive(Connection& c) {
    protocol::ClientSession& session = c.peer.session;
    const auto room = session.input();
    if (room.empty()) return ENOMEM;  // and recv(2) would sleep
    const ssize_t n = sys::recv(c.socket.get(), room.data(), room.size(), 0);
    const int error = errno;
    session.received(n > 0 ? static_cast<std::size_t>(n) : 0);
    if (n < 0) return error == EINTR ? 0 : error == EAGAIN ? ETIMEDOUT : error;
    if (n == 0) session.end_of_input();
    // 6. HAND OVER. The agenda takes the replies and may have more to say.
    agenda_.hand_over(c.peer, net::now());
    c.heard += static_cast<std::size_t>(n);
    return 0;
  }

  // 7. SEND. Sleeps until the kernel has taken all of it. EAGAIN: SO_SNDTIMEO.
  int send(Connection& c) {
    protocol::ClientSession& session = c.peer.session;
    while (session.has_output()) {
      const auto bytes = session.output();
      const ssize_t n =
          sys::send(c.socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      const int error = errno;
      session.sent(n > 0 ? static_cast<std::size_t>(n) : 0);
      if (n < 0 && error != EINTR && error != EAGAIN) return error;
    }
    return 0;
  }

  // 8. CLOSE. The socket and the thread end here. Somebody must wait for the
  // thread: the next one that ends.
  void close(Connection& c, std::string_view why) {
    protocol::Peer& peer = c.peer;
    std::thread before;
    {
      const std::scoped_lock lock(mutex_);
      before = std::exchange(last_, std::move(c.thread));
      connections_.erase(c.id);
    }
    if (before.joinable()) before.join();
    agenda_.closed(peer, why);
    // The agenda may hand the peer out again at once; or stop() waits for us.
    tell();
  }

  void stop() {
    mailbox_.on_wake({});
    std::unique_lock lock(mutex_);
    connections_.each([this](std::uint64_t, Connection& c) { end(c); });
    news_.wait(lock, [this] { return connections_.size() == 0; });
    lock.unlock();
    if (last_.joinable()) last_.join();
  }

  protocol::Agenda& agenda_;
  net::Mailbox& mailbox_;
  const net::Options& options_;
  net::Look look_;
  std::mutex mutex_;  // guards what follows
  bool told_ = false;
  std::condition_variable news_;
  net::Table<Connection> connections_;
  std::thread last_;
};

constexpr net::Ideal ideal[] = {{"recv", 1}, {"send", 1}};

}  // namespace

const net::Model model::client = {.name = "blocking",
                                  .variant = "thread",
                                  .traits = {.duplex = false},
                                  .ideal = ideal};

void model::converse(protocol::Agenda& agenda, net::Mailbox& mailbox,
                     const net::Options& options) {
  Client(agenda, mailbox, options).run();
}
