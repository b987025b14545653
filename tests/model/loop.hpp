#pragma once
// A model's server loop in a thread of the test's own, over a service that
// answers later when it is asked to.

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include <cstdlib>
#include <deque>
#include <future>
#include <latch>
#include <memory_resource>
#include <mutex>
#include <string>
#include <thread>

#include "net/address.hpp"
#include "net/clients.hpp"
#include "net/counters.hpp"
#include "net/listener.hpp"
#include "net/mailbox.hpp"
#include "net/model.hpp"
#include "net/probe.hpp"
#include "net/shared_memory.hpp"

namespace tests {

/// ECHO text: at once. LATER text: whoever calls take() has to post it.
class LaterService : public protocol::Service {
 public:
  void answer(std::span<const std::string_view> arguments,
              protocol::Reply& reply) override {
    const std::string text(arguments.size() > 1 ? arguments[1] : "");
    if (arguments[0] != "LATER") return reply.bulk(text);
    const std::scoped_lock lock(mutex_);
    asked_.push_back({reply.later(), text});
    come_.notify_all();
  }

  struct Asked {
    protocol::ReturnAddress to;
    std::string text;
    void post() const {
      to.postbox->post({to.conversation, "+" + text + "\r\n"});
    }
  };
  /// Sleeps until somebody has asked.
  Asked take() {
    std::unique_lock lock(mutex_);
    come_.wait(lock, [this] { return !asked_.empty(); });
    Asked asked = asked_.front();
    asked_.pop_front();
    return asked;
  }

  const protocol::Limits& limits() const override { return limits_; }
  protocol::Budget& budget() override { return budget_; }

  protocol::Limits limits_;

 private:
  protocol::Budget budget_{256 << 20};
  std::mutex mutex_;
  std::condition_variable come_;
  std::deque<Asked> asked_;
};

/// HOLD as well: the loop is busy with it until it is let go.
class HoldingService : public LaterService {
 public:
  void answer(std::span<const std::string_view> arguments,
              protocol::Reply& reply) override {
    if (arguments[0] != "HOLD") return LaterService::answer(arguments, reply);
    if (!held.try_wait()) held.count_down();
    let_go.wait();
    reply.simple("OK");
  }

  std::latch held{1}, let_go{1};
};

/// Tests that run the model itself: where it cannot run they are skipped, with
/// the reason that its programs give.
class ModelTest : public testing::Test {
 protected:
  void SetUp() override {
    static const std::string why =
        net::refusal({&model::server, &model::client}, usual_options());
    if (!why.empty()) GTEST_SKIP() << why;
  }
  static net::Options usual_options() {
    net::Options options;
    for (const net::Row& row : model::server.rows)
      options.own[row.name] = row.value;
    return options;
  }
};

/// How many conversations a Loop serves at once.
inline unsigned concurrent() {
  const char* const by = model::server.traits.concurrent_by;
  for (const net::Row& row : model::server.rows)
    if (by && row.name == std::string_view(by))
      return static_cast<unsigned>(row.value);
  const std::string promised = model::server.traits.concurrent;
  if (promised == "all") return ~0u;
  return promised == "threads" ? model::server.traits.threads_default
                               : static_cast<unsigned>(std::stoul(promised));
}
#define REQUIRE_CONCURRENT(n)    \
  if (tests::concurrent() < (n)) \
  GTEST_SKIP() << "it serves " << tests::concurrent() << " at once"

/// Where each peer has a process of its own, the service of a test sees nothing
/// of what the children do with their copies of it.
#define REQUIRE_ONE_PROCESS()                                     \
  if (model::server.traits.full == std::string_view("processes")) \
  GTEST_SKIP() << "it serves each peer in a process of its own"

/// One loop of model::server from construction to destruction.
class Loop {
  // Children of a server that forks see in it that the loop stops.
  net::SharedMemory shared_{64 << 10};
  std::pmr::deque<net::Mailbox> mailboxes_{1, &shared_.resource()};

 public:
  explicit Loop(protocol::Service& service,
                const std::map<std::string, std::uint64_t>& own = {}) {
    for (const net::Row& row : model::server.rows)
      options_.own[row.name] = row.value;
    for (const auto& [name, value] : own) options_.own[name] = value;
    options_.port = 0;
    options_.threads = model::server.traits.threads_default;
    block_signals();  // here too: a signal goes to whoever does not block it
    std::promise<std::string> opened;
    auto url = opened.get_future();
    thread_ = std::thread([this, &service, opened = std::move(opened)] mutable {
      block_signals();
      net::Listener listener(
          options_, clients_,
          [&opened](const std::string& at) { opened.set_value(at); });
      model::serve(listener, service, mailbox, options_);
    });
    address = url.get().substr(std::string("tcp://").size());
  }
  ~Loop() { stop(); }

  void stop() {
    mailbox.stop();
    if (thread_.joinable()) thread_.join();
  }
  std::uint64_t clients() const { return clients_.now; }
  pthread_t thread() { return thread_.native_handle(); }

  /// As program/ does before the first thread, but for those by which a test
  /// is ended.
  static void block_signals() {
    sigset_t all;
    ::sigfillset(&all);
    ::sigdelset(&all, SIGINT);
    ::sigdelset(&all, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  }

  net::Mailbox& mailbox = mailboxes_.front();
  std::string address;

 private:
  net::Options options_;
  net::Clients& clients_ =
      *std::pmr::polymorphic_allocator<>(&shared_.resource())
           .new_object<net::Clients>();
  std::thread thread_;
};

/// A peer that waits for everything, at most 20 s.
class Visitor {
 public:
  explicit Visitor(const std::string& address) {
    const auto to = net::parse_address(address);
    socket_ = net::open_socket(*to, 0);
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    EXPECT_EQ(::connect(fd(), to->get(), to->length), 0);
  }
  int fd() const { return socket_.get(); }

  void write(const std::string& bytes) {
    EXPECT_EQ(::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  /// So many bytes, fewer at the end or when the time is up.
  std::string read(std::size_t size) {
    std::string bytes(size, '\0');
    std::size_t have = 0;
    while (have < size) {
      const ssize_t n = ::recv(fd(), bytes.data() + have, size - have, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) break;
      have += static_cast<std::size_t>(n);
    }
    bytes.resize(have);
    return bytes;
  }
  /// The end, with nothing before it; false if it does not come in time.
  bool ends() {
    char byte;
    return ::recv(fd(), &byte, 1, 0) == 0;
  }
  void leave() { socket_ = net::Fd(); }
  void reset() {
    net::reset_on_close(fd());
    leave();
  }

 private:
  net::Fd socket_;
};

/// So many signals may be queued, for all processes of this user together.
class FewSignals {
 public:
  explicit FewSignals(rlim_t most) {
    ::getrlimit(RLIMIT_SIGPENDING, &before_);
    const rlimit few{most, before_.rlim_max};
    ::setrlimit(RLIMIT_SIGPENDING, &few);
  }
  ~FewSignals() { ::setrlimit(RLIMIT_SIGPENDING, &before_); }
  FewSignals(const FewSignals&) = delete;
  FewSignals& operator=(const FewSignals&) = delete;

 private:
  rlimit before_{};
};

/// Waits for a condition that another thread brings about, at most 20 s.
template <class Condition>
bool soon(Condition condition) {
  for (int i = 0; i < 20'000; ++i) {
    if (condition()) return true;
    ::poll(nullptr, 0, 1);
  }
  return condition();
}

/// The whole of it with EVERYTHING=1 (make test-all).
inline int sized(int usual, int everything) {
  const char* value = std::getenv("EVERYTHING");
  return value && *value && *value != '0' ? everything : usual;
}

}  // namespace tests
