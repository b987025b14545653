#pragma once
// The socket that peers connect to, and who may.

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "net/fd.hpp"
#include "net/model.hpp"

namespace net {

/// How many conversations the process has, over all loops. Thread-safe.
struct Clients {
  std::atomic<std::uint64_t> now{0};
  std::atomic<std::uint64_t> accepted{0};  // ever
  std::atomic<std::uint64_t> refused{0};   // told that there are too many
  std::uint64_t max = ~0ull;
};

/// A place among the Clients, from admission until it is destroyed. Move-only:
/// a connection keeps its seat beside its descriptor.
class Seat {
 public:
  Seat() = default;
  /// Takes a place that has been counted in `clients.now` already.
  explicit Seat(Clients& clients) : clients_(&clients) {}
  Seat(Seat&& other) noexcept
      : clients_(std::exchange(other.clients_, nullptr)) {}
  Seat& operator=(Seat&& other) noexcept {
    std::swap(clients_, other.clients_);
    return *this;
  }
  ~Seat() {
    if (clients_) clients_->now.fetch_sub(1, std::memory_order_relaxed);
  }

 private:
  Clients* clients_ = nullptr;
};

/// A peer that was admitted, but cannot be served, is counted: for want of
/// memory ("lost.memory", as a session that is lost later) or of a thread
/// ("net.no_thread").
enum class Want { memory, thread };
void count_lost(Want want);

/// A peer that may stay: its socket and its seat. False if there is none.
struct Guest final : protocol::Origin {
  Guest() = default;
  Guest(Fd its_socket, Seat its_seat)
      : socket(std::move(its_socket)), seat(std::move(its_seat)) {}

  std::string address() const override;
  explicit operator bool() const { return static_cast<bool>(socket); }

  Fd socket;
  Seat seat;
};

/// Where the process listens, shared by its loops: the first to come claims
/// the address, so that an address in use is an error, and the others join it
/// with SO_REUSEPORT, each with a queue of its own.
/// An inherited descriptor, which is taken over, and a Unix path have one queue
/// for all. Thread-safe.
class Endpoint {
 public:
  /// For so many loops.
  explicit Endpoint(const Options& options, unsigned loops = 1)
      : options_(options), loops_(loops) {}
  /// Removes the Unix socket's file, if it was made here and is still ours.
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  /// Claims the address now, if nobody has, and says which port it came to:
  /// "127.0.0.1:7000", "/a/path". Throws as bound().
  std::string address();
  /// A bound socket for one more loop. Throws std::system_error naming the
  /// call.
  Fd bound();

 private:
  Fd claim();
  Fd next() const;

  const Options& options_;
  const unsigned loops_;
  std::mutex mutex_;
  unsigned bound_ = 0;
  Fd claim_;  // kept until the last has come, who takes it
  dev_t device_ = 0;
  ino_t inode_ = 0;  // of the Unix socket's file; 0: none was made here
};

/// One loop's listening socket. One thread.
class Listener {
 public:
  /// `opened` is called in open() when peers can connect, with the URL
  /// (tcp://127.0.0.1:7000, tcp://[::1]:7000, unix:/path). `endpoint` is shared
  /// by several loops; null: this is the only one. All outlive the listener.
  Listener(const Options& options, Clients& clients,
           std::function<void(const std::string& url)> opened,
           Endpoint* endpoint = nullptr);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// socket, bind, listen. `flags` is SOCK_NONBLOCK or 0; so is `peer_flags`,
  /// for the sockets that are accepted in the model's stead (see admit()). What
  /// every accepted socket inherits (TCP_NODELAY, --send-buffer) is set here,
  /// once. Throws std::system_error naming the call.
  void open(int flags, int peer_flags);
  void open(int flags) { open(flags, flags); }
  int fd() const { return socket_.get(); }
  /// How many peers have connected and are not accepted yet: all who have to be
  /// let in before a close, for it would reset them. More may come meanwhile.
  unsigned queued() const;
  /// No more peers.
  void close();

  /// A peer has been accepted: `fd` is what accept4 returned (or a completion
  /// carried), -1 or a negative errno included when `error` says why it failed.
  /// Gives a seat, or tells the peer that there are too many and closes. A
  /// failure that concerns one peer, or nobody (EAGAIN, EINTR, ECONNABORTED),
  /// is no guest. EMFILE and ENFILE: accept takes a descriptor before it looks
  /// for a peer; so the reserve descriptor is given up, everybody who waits is
  /// told and closed, and a peer is handed out after all if descriptors have
  /// come free. Never spins: with a blocking listener it sleeps until somebody
  /// comes, at most 100 ms, and where even the reserve is gone, or memory,
  /// it pauses for 10 ms.
  Guest admit(int fd, int error);

 private:
  Guest seat(Fd peer);
  Guest exhausted(int error);
  Guest take_turns();
  bool waiting(int timeout_ms) const;
  void refuse(Fd peer);
  void complain(int error);

  const Options& options_;
  Clients& clients_;
  std::function<void(const std::string& url)> opened_;
  std::optional<Endpoint> own_;  // if nobody shares it
  Endpoint& endpoint_;
  // Opened before anything else, for a low number: it has to be below the limit
  // even if that is lowered later.
  Fd reserve_;
  Fd socket_;
  bool blocking_ = false;
  int peer_flags_ = 0;
  std::int64_t complained_ns_ = 0;  // 0: never
};

/// Binds as --bind and --port say, without listening: `ring` and the tests
/// hand such sockets to servers as --listen-fd. (A Unix socket listens at
/// once: bound only, it could not be told from one whose server has died.)
/// `bind` is an address, a name or a path. `reuse_port` is for loops that
/// share a port. Throws std::system_error naming the call, or
/// std::runtime_error for a name that nobody knows.
Fd bind_socket(const std::string& bind, std::uint16_t port,
               bool reuse_port = false);

/// tcp://..., unix:/... of a bound socket; and "host:port" of the same. Throw
/// std::system_error.
std::string url_of(int fd);
std::string address_of(int fd);

/// The next close of this socket resets the peer instead of ending orderly.
/// For those who are left at the stop, and counted as "net.reset".
void reset_on_close(int fd);

}  // namespace net
