#include "program/host.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <exception>
#include <string_view>
#include <utility>

#include "net/clock.hpp"
#include "net/error.hpp"
#include "net/timeline.hpp"

namespace program {
namespace {

constexpr int failed_code = 1;
constexpr int interrupted_code = 130;  // as a shell says it of SIGINT

/// So long the threads may take to end: the drain's 1.5 s, and what a machine
/// needs that has hardly any time for us, as with a sanitizer.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr protocol::Nanoseconds stop_ns = 10'000'000'000;
#else
constexpr protocol::Nanoseconds stop_ns = 5'000'000'000;
#endif

/// For what processes share, beside the mailboxes.
constexpr std::size_t shared_bytes = 64 << 10;

/// A thread that has ended tells the main thread so, by a signal of its own.
constexpr int ended_signal = SIGUSR1;

sigset_t awaited_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, ended_signal})
    ::sigaddset(&set, signal);
  return set;
}

}  // namespace

// SIGPIPE too: not every call that writes to a socket can be told to do
// without.
void Host::block_all_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

bool Host::forks() {
  return model::server.traits.full == std::string_view("processes");
}

// Workers are the model's own affair, and processes too.
unsigned Host::loops_of(const net::Options& options) {
  const bool loops = model::server.traits.threads == std::string_view("loops");
  return loops ? options.threads : 1;
}

Host::Host(const net::Options& options)
    : options_(options),
      loops_(loops_of(options)),
      // A deque takes its memory in chunks, which may be half empty.
      shared_(shared_bytes + 2 * loops_ * sizeof(net::Mailbox)),
      mailboxes_(loops_, &shared_.resource()),
      clients_(*std::pmr::polymorphic_allocator<>(&shared_.resource())
                    .new_object<net::Clients>()),
      endpoint_(options, loops_),
      bound_(endpoint_.address()),
      awaited_(awaited_signals()) {
  clients_.max = options.clients_max;
  const auto opened = [this](const std::string& url) { this->opened(url); };
  for (unsigned i = 0; i < loops_; ++i)
    listeners_.emplace_back(options, clients_, opened, &endpoint_);
}

bool Host::run(Application& application) {
  application.service().budget().divide_idle(loops_);
  // If not all threads can be had, those that run are stopped.
  guard("start", [&] {
    application.start(
        [this](const std::string& name, std::function<void()> body) {
          begin(name, std::move(body));
        });
    for (unsigned i = 0; i < loops_; ++i)
      begin("loop " + std::to_string(i),
            [this, &application, i] { serve(i, application.service()); });
  });
  if (!failed_) wait_for_stop();
  // The application first: its answers still find the loops.
  application.stop();
  for (net::Mailbox& mailbox : mailboxes_) mailbox.stop();
  wait_for_threads();
  return !failed_;
}

void Host::serve(unsigned loop, protocol::Service& service) {
  model::serve(listeners_[loop], service, mailboxes_[loop], options_);
}

void Host::begin(const std::string& name, std::function<void()> body) {
  threads_.emplace_back([this, name, body = std::move(body)] {
    ::pthread_setname_np(::pthread_self(), name.c_str());
    guard(name, body);
    ++ended_;
    ::pthread_kill(main_, ended_signal);
  });
}

void Host::guard(const std::string& name, const std::function<void()>& body) {
  try {
    body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name.c_str(), error.what());
    failed_ = true;
  }
}

/// The last loop to open says for all of them that peers can connect.
void Host::opened(const std::string& url) {
  if (++opened_ != loops_) return;
  if (const net::Fd peer(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)); !peer)
    net::fail(errno, "no descriptor is left for a peer (ulimit -n)");
  std::printf("ready %s %s %s\n", model::server.name, model::server.variant,
              url.c_str());
  std::fflush(stdout);
}

// A thread that has ended before it was told to has failed.
void Host::wait_for_stop() {
  int signal = 0;
  do {
    ::sigwait(&awaited_, &signal);
  } while (signal == ended_signal && ended_ == 0);
}

// Who sends SIGINT now has lost patience: the process ends as it is, and so it
// does where a loop has not ended in time. That is waited for in parts, of
// which one goes by, however long, while we are stopped ourselves (SIGSTOP, a
// debugger): the loops have the others afterwards.
void Host::wait_for_threads() {
  protocol::Nanoseconds left = stop_ns;
  while (ended_ < threads_.size()) {
    if (left <= 0) {
      std::fprintf(stderr, "a thread has not ended within %lld s\n",
                   static_cast<long long>(stop_ns / 1'000'000'000));
      net::trace::write();
      ::_exit(failed_code);
    }
    constexpr protocol::Nanoseconds part = stop_ns / 20;
    const protocol::Nanoseconds began = net::now();
    const timespec time = net::to_timespec(std::min(part, left));
    if (::sigtimedwait(&awaited_, nullptr, &time) == SIGINT) {
      net::trace::write();
      ::_exit(interrupted_code);
    }
    left -= std::min(part, net::now() - began);
  }
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace program
