#pragma once
// What every server's program has, whatever it is about: sockets, loops,
// signals and the stop.

#include <pthread.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory_resource>
#include <string>
#include <thread>

#include "net/listener.hpp"
#include "net/mailbox.hpp"
#include "net/model.hpp"
#include "net/shared_memory.hpp"

namespace program {

/// What a server is about: a service, the threads that it needs beside the
/// loops, and its stop.
class Application {
 public:
  virtual ~Application() = default;

  /// Used by all loops at once.
  virtual protocol::Service& service() = 0;
  /// In the main thread, before the first loop runs: begin(name, body) for each
  /// thread of its own. A body that throws fails the program.
  using Begin =
      std::function<void(const std::string& name, std::function<void()> body)>;
  virtual void start(const Begin& begin) { (void)begin; }
  /// In the main thread, before the loops are told: all answers that are still
  /// awaited are posted, and its threads come to their ends.
  virtual void stop() {}
};

/// The loops of the model that the program is linked with. The mailboxes go
/// last of all, since letters are posted until the last thread has ended: so a
/// host is made before its application, and outlives it.
class Host {
 public:
  /// Binds the address. `clients_max` is set. Every signal is blocked already
  /// (block_all_signals()). Throws std::system_error.
  explicit Host(const net::Options& options);

  /// The address, with the port that it came to.
  const std::string& address() const { return bound_; }
  net::Clients& clients() { return clients_; }

  /// Serves until a signal comes or a thread fails. False if one has failed.
  bool run(Application& application);

  /// Before the first thread, since threads inherit it.
  static void block_all_signals();
  /// Does the model serve each peer in a process of its own? Then only its
  /// loop's thread runs, which forks, while the main thread sleeps: a child has
  /// nothing of other threads but the locks that they held.
  static bool forks();
  /// Threads of the model that each have a listener, a bell and a table.
  static unsigned loops_of(const net::Options& options);

 private:
  void serve(unsigned loop, protocol::Service& service);
  void begin(const std::string& name, std::function<void()> body);
  void guard(const std::string& name, const std::function<void()>& body);
  void opened(const std::string& url);
  void wait_for_stop();
  void wait_for_threads();

  const net::Options& options_;
  const unsigned loops_;
  // Children see in it that the program stops, and count themselves.
  net::SharedMemory shared_;
  std::pmr::deque<net::Mailbox> mailboxes_;
  net::Clients& clients_;
  net::Endpoint endpoint_;
  std::deque<net::Listener> listeners_;
  const std::string bound_;

  const pthread_t main_ = ::pthread_self();
  const sigset_t awaited_;
  std::deque<std::thread> threads_;
  std::atomic<unsigned> ended_{0};  // threads
  std::atomic<unsigned> opened_{0};
  std::atomic<bool> failed_{false};
};

}  // namespace program
