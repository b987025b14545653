#pragma once
// Who lets peers in: POSIX AIO reads and writes, and does not accept.

#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <new>
#include <thread>
#include <utility>

#include "aio/calls.hpp"
#include "net/listener.hpp"
#include "net/mailbox.hpp"

namespace aio {

/// A thread that sleeps in accept4(2), and lays down whom it lets in for the
/// loop, whose bell it rings. From start() to stop() the listener is its own.
class Acceptor {
 public:
  Acceptor(net::Listener& listener, net::Mailbox& mailbox)
      : listener_(listener), mailbox_(mailbox) {}
  ~Acceptor() { stop(); }
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  /// Throws std::system_error.
  void start() {
    struct sigaction nothing{};
    nothing.sa_handler = [](int) {};  // and no SA_RESTART: the call ends
    ::sigaction(wake_signal, &nothing, nullptr);
    thread_ = std::thread([this] {
      ::pthread_setname_np(::pthread_self(), "accept");
      sigset_t woken;
      ::sigemptyset(&woken);
      ::sigaddset(&woken, wake_signal);
      ::pthread_sigmask(SIG_UNBLOCK, &woken, nullptr);
      while (!ending_) accept();
    });
  }

  /// Ends the thread. A signal that comes a moment before the call would end
  /// nothing, and the call sleep all the same: so the listener is made
  /// non-blocking first.
  void stop() {
    if (!thread_.joinable()) return;
    ending_ = true;
    sys::fcntl(listener_.fd(), F_SETFL, O_NONBLOCK);
    ::pthread_kill(thread_.native_handle(), wake_signal);
    thread_.join();
  }

  /// Lets in one more: in the thread, and after stop() by who wants to know
  /// whether anybody is left. False if nobody was there.
  bool accept() {
    const int fd = sys::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC);
    net::Guest guest = listener_.admit(fd, errno);
    if (!guest) return fd >= 0;
    if (has_thread()) {
      lay_down(std::move(guest));
    } else {
      net::count_lost(net::Want::thread);
      listener_.turn_away(std::move(guest));
    }
    return true;
  }

  /// The next one for the loop; false if there is none.
  net::Guest next() {
    const std::scoped_lock lock(mutex_);
    if (guests_.empty()) return {};
    net::Guest guest = std::move(guests_.front());
    guests_.pop_front();
    return guest;
  }

 private:
  static constexpr int wake_signal = SIGUSR1;

  // Where the library gets no thread for a request it keeps that to itself, and
  // lets it wait for one of those that sleep for other peers. So it is tried
  // whether there is one to be had, with a stack that is nearly as small as
  // theirs. (Another thread may take the place before the library does.)
  static bool has_thread() {
    pthread_attr_t small;
    ::pthread_attr_init(&small);
    ::pthread_attr_setstacksize(&small, small_stack);
    pthread_t trial;
    const bool made =
        ::pthread_create(
            &trial, &small, [](void* none) { return none; }, nullptr) == 0;
    if (made) ::pthread_join(trial, nullptr);
    ::pthread_attr_destroy(&small);
    return made;
  }

  void lay_down(net::Guest guest) try {
    const std::scoped_lock lock(mutex_);
    guests_.push_back(std::move(guest));
    mailbox_.wake();
  } catch (const std::bad_alloc&) {
    net::count_lost(net::Want::memory);
  }

  net::Listener& listener_;
  net::Mailbox& mailbox_;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
  std::mutex mutex_;  // guards what follows
  std::deque<net::Guest> guests_;
};

}  // namespace aio
