// # The server's program
//
// Puts the parts together: options, the store, the ring, and one thread for
// every loop of the model. The main thread sleeps until a signal comes; all
// other threads have every signal blocked, so none of them is ever interrupted.

#include <pthread.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <deque>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include "net/clients.hpp"
#include "net/clock.hpp"
#include "net/endpoint.hpp"
#include "net/listener.hpp"
#include "net/mailbox.hpp"
#include "net/probe.hpp"
#include "net/shared_memory.hpp"
#include "net/timeline.hpp"
#include "node/lookups.hpp"
#include "node/node.hpp"
#include "node/store.hpp"
#include "program/options.hpp"
#include "program/prepare.hpp"
#include "program/sha1.hpp"
#include "program/surroundings.hpp"

namespace {

using program::ServerOptions;

constexpr int failed_code = 1;
constexpr int skipped_code = 77;       // the model cannot run here
constexpr int interrupted_code = 130;  // as a shell says it of SIGINT
constexpr protocol::Nanoseconds stop_ns = 2'000'000'000;

/// A thread that has ended tells the main thread so, by a signal of its own.
constexpr int ended_signal = SIGUSR1;

sigset_t awaited_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, ended_signal})
    ::sigaddset(&set, signal);
  return set;
}

/// Before the first thread, since threads inherit it. SIGPIPE too: not every
/// call that writes to a socket can be told to do without.
void block_all_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

/// A server never waits for a reply: duplex is said of the client by which it
/// asks other nodes.
void print_traits(const net::Model& model, const net::Model& client) {
  const net::Traits& traits = model.traits;
  const auto word = [](bool promised) { return promised ? "yes" : "no"; };
  std::printf(
      "model=%s\nvariant=%s\nconcurrent=%s\nfull=%s\nsleeps=%s\n"
      "threads=%s\nduplex=%s\nstore=%s\nlimits=%s\nring=%s\n",
      model.name, model.variant, traits.concurrent, traits.full,
      word(traits.sleeps), traits.threads, word(client.traits.duplex),
      word(traits.store), word(traits.limits), word(traits.ring));
}

/// Workers are the model's own affair, and processes too.
unsigned loops_of(const ServerOptions& options) {
  const bool loops = model::server.traits.threads == std::string_view("loops");
  return loops ? options.net.threads : 1;
}

/// Descriptors that are no peer's: a loop's listener, reserve, bell and what
/// its model waits with; the same of the client, and its connections to the
/// other nodes; the standard streams, the trace, what is inherited or opened
/// for a moment.
std::uint64_t descriptors_of_our_own(const ServerOptions& options) {
  constexpr std::uint64_t process = 28, loop = 4, client = 4;
  const std::uint64_t nodes = options.ring.size();
  return process + loop * loops_of(options) + (nodes ? client + nodes : 0);
}

/// A peer is a descriptor: so as many as we may have. Returns how many.
std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

node::HashKey random_key() {
  node::HashKey key;
  if (::getrandom(&key, sizeof key, 0) != sizeof key)
    throw std::system_error(errno, std::generic_category(), "getrandom");
  return key;
}

/// What the store and its lock lie in. Addresses are asked for, no memory yet;
/// ulimit -v can refuse them, and so can a kernel that promises no more memory
/// than it has.
net::SharedMemory memory_for(std::size_t memory_max) {
  constexpr std::size_t lock = 4096;
  try {
    return net::SharedMemory(node::Store::region_size(memory_max) + lock);
  } catch (const std::system_error& error) {
    const bool large = memory_max > std::size_t{16} << 20;
    throw std::runtime_error(
        std::string(error.what()) + ": the store's memory cannot be had; try " +
        (large ? "--max-memory 16m"
               : "--max-memory 64k, or a larger ulimit -v"));
  }
}

bool forks() {
  return model::server.traits.full == std::string_view("processes");
}

dht::Member member(const std::string& address) {
  return {program::sha1(address), address};
}

std::vector<dht::Member> members(const std::vector<std::string>& addresses) {
  std::vector<dht::Member> all;
  all.reserve(addresses.size());
  for (const std::string& address : addresses) all.push_back(member(address));
  return all;
}

std::uint16_t port_of(const std::string& address) {
  if (address.starts_with('/')) return 0;
  const auto colon = address.rfind(':');
  return static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1)));
}

/// The parts of one node, in the order in which they need each other. The
/// mailboxes go last, since letters are posted until the last thread has ended.
class Server {
 public:
  explicit Server(const ServerOptions& options);

  /// Serves until a signal comes or a loop fails; returns the exit code.
  int run();

 private:
  node::Setup setup();
  void start();
  void begin(const std::string& name, std::function<void()> body);
  void guard(const std::string& name, const std::function<void()>& body);
  void opened(const std::string& url);
  void wait_for_stop();
  void stop();
  void wait_for_threads();
  bool write_trace() const;

  const ServerOptions& options_;
  const unsigned loops_;
  std::deque<net::Mailbox> mailboxes_;
  net::Mailbox bell_;  // of converse()
  net::Clients clients_;
  net::Endpoint endpoint_;
  std::deque<net::Listener> listeners_;
  const std::string bound_;  // the address, with the port that it came to
  const dht::Member self_;
  std::optional<dht::Chord> ring_;
  std::optional<node::Lookups> lookups_;
  net::SharedMemory memory_;
  net::RobustLock lock_;
  node::Store store_;
  program::Surroundings surroundings_;
  node::Node node_;

  const pthread_t main_ = ::pthread_self();
  const sigset_t awaited_ = awaited_signals();
  std::deque<std::thread> threads_;
  std::atomic<unsigned> ended_{0};  // threads
  std::atomic<unsigned> opened_{0};
  std::atomic<bool> failed_{false};
};

Server::Server(const ServerOptions& options)
    : options_(options),
      loops_(loops_of(options)),
      mailboxes_(loops_),
      endpoint_(options.net, loops_),
      bound_(endpoint_.address()),
      self_(member(options.announce.empty() ? bound_ : options.announce)),
      memory_(memory_for(options.memory_max)),
      lock_(memory_.resource()),
      store_(memory_.resource(), lock_, options.memory_max, random_key(),
             [this](std::string_view key) { return node_.slot(key); }),
      surroundings_(model::server, options.net, clients_, port_of(bound_)),
      node_(setup(), store_, surroundings_) {
  clients_.max = options.net.clients_max;
  const auto opened = [this](const std::string& url) { this->opened(url); };
  for (unsigned i = 0; i < loops_; ++i)
    listeners_.emplace_back(options.net, clients_, opened, &endpoint_);
}

// Makes the ring too, if there is one. Nobody else is asked by a node that is
// alone, and by one whose commands are answered in processes of their own.
node::Setup Server::setup() {
  if (!options_.ring.empty())
    ring_.emplace(dht::Space{}, members(options_.ring), self_.id,
                  options_.routing);
  if (options_.ring.size() > 1 && !forks())
    lookups_.emplace(*ring_, bell_, options_.lookup_time,
                     options_.net.limits.bulk_max);
  return {.placement = options_.keys,
          .hash = program::sha1,
          .overlay = ring_ ? &*ring_ : nullptr,
          .lookups = lookups_ ? &*lookups_ : nullptr,
          .redirect = options_.redirect,
          .address = self_.address,
          .id = dht::to_hex(self_.id),
          .limits = options_.net.limits};
}

int Server::run() {
  if (forks()) {
    // It takes its signals itself, and no other thread may exist when it forks.
    guard("serve", [this] {
      model::serve(listeners_[0], node_, mailboxes_[0], options_.net);
    });
  } else {
    // If not all threads can be had, those that run are stopped.
    guard("start", [this] { start(); });
    if (!failed_) wait_for_stop();
    stop();
    wait_for_threads();
  }
  std::fprintf(stderr, "%s\n",
               program::summary(model::server, clients_).c_str());
  if (!write_trace()) return failed_code;
  return failed_ ? failed_code : 0;
}

bool Server::write_trace() const {
  if (net::trace::write()) return true;
  std::fprintf(stderr, "%s: cannot be written\n", options_.trace.c_str());
  return false;
}

void Server::start() {
  if (lookups_)
    begin("converse",
          [this] { model::converse(*lookups_, bell_, options_.net); });
  for (unsigned i = 0; i < loops_; ++i)
    begin("loop " + std::to_string(i), [this, i] {
      model::serve(listeners_[i], node_, mailboxes_[i], options_.net);
    });
}

void Server::begin(const std::string& name, std::function<void()> body) {
  threads_.emplace_back([this, name, body = std::move(body)] {
    ::pthread_setname_np(::pthread_self(), name.c_str());
    guard(name, body);
    ++ended_;
    ::pthread_kill(main_, ended_signal);
  });
}

void Server::guard(const std::string& name, const std::function<void()>& body) {
  try {
    body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
    failed_ = true;
  }
}

/// The last loop to open says for all of them that peers can connect.
void Server::opened(const std::string& url) {
  if (++opened_ != loops_) return;
  std::printf("ready %s %s %s\n", model::server.name, model::server.variant,
              url.c_str());
  std::fflush(stdout);
}

// A thread that has ended before it was told to has failed.
void Server::wait_for_stop() {
  int signal = 0;
  do {
    ::sigwait(&awaited_, &signal);
  } while (signal == ended_signal && ended_ == 0);
}

// Lookups first: their answers still find the loops.
void Server::stop() {
  if (lookups_) lookups_->stop();
  for (net::Mailbox& mailbox : mailboxes_) mailbox.stop();
  bell_.stop();
}

// Who sends SIGINT now has lost patience: the process ends as it is, and so it
// does where a loop has not ended in time. That is waited for in parts, of
// which one goes by, however long, while we are stopped ourselves (SIGSTOP, a
// debugger): the loops have the others afterwards.
void Server::wait_for_threads() {
  protocol::Nanoseconds left = stop_ns;
  while (ended_ < threads_.size()) {
    if (left <= 0) {
      std::fprintf(stderr, "a thread has not ended within 2 s\n");
      write_trace();
      ::_exit(failed_code);
    }
    constexpr protocol::Nanoseconds part = stop_ns / 20;
    const protocol::Nanoseconds began = net::now();
    const timespec time = net::to_timespec(std::min(part, left));
    if (::sigtimedwait(&awaited_, nullptr, &time) == SIGINT) {
      write_trace();
      ::_exit(interrupted_code);
    }
    left -= std::min(part, net::now() - began);
  }
  for (std::thread& thread : threads_) thread.join();
}

std::string refusal(const ServerOptions& options) {
  if (options.ring.size() > 1)
    return net::refusal({&model::server, &model::client}, options.net);
  return net::refusal({&model::server}, options.net);
}

int serve(ServerOptions options) {
  const std::uint64_t descriptors = raise_descriptor_limit();
  const std::uint64_t ours = descriptors_of_our_own(options);
  if (options.net.clients_max == 0)
    options.net.clients_max =
        descriptors > 2 * ours ? descriptors - ours : descriptors / 2;
  block_all_signals();
  if (const std::string why = refusal(options); !why.empty()) {
    std::fprintf(stderr, "%s\n", why.c_str());
    return skipped_code;
  }
  if (!options.trace.empty()) net::trace::to(options.trace);
  options.net.listen_fd = program::keep_off_streams(options.net.listen_fd);
  return Server(options).run();
}

}  // namespace

int main(int count, char** words) {
  try {
    program::prepare();
    auto options = program::parse_server({words + 1, words + count},
                                         model::server, model::client);
    if (!options) return program::print(options.error());
    if (!options->traits) return serve(*std::move(options));
    print_traits(model::server, model::client);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return failed_code;
  }
}
