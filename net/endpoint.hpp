#pragma once
// The address at which peers are awaited: how a socket comes to it, how the
// loops of a process share it, and how it is written.

#include <sys/types.h>

#include <cstdint>
#include <mutex>
#include <string>

#include "net/fd.hpp"
#include "net/handoff.hpp"
#include "net/model.hpp"

namespace net {

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

/// setsockopt(2) of a number. Throws std::system_error with the name `call`.
void set_option(int fd, int level, int option, int value, const char* call);

/// How the loops of a process come to the peers of one address.
enum class Share {
  port,    // each has a socket and a queue, and the kernel distributes
  socket,  // one socket and one queue for all: whoever is first
  guests   // one loop has the socket, accepts, and hands out (handoff.hpp)
};

/// Where the process listens, shared by its loops: the first to come claims
/// the address, so that an address in use is an error, and the others join it
/// with SO_REUSEPORT, each with a queue of its own, unless they are to share.
/// An inherited descriptor, which is taken over, and a Unix path have one queue
/// for all. Thread-safe.
class Endpoint {
 public:
  /// For so many loops.
  explicit Endpoint(const Options& options, unsigned loops = 1)
      : options_(options), loops_(loops), handoff_(loops) {}
  /// Removes the Unix socket's file, if it was made here and is still ours.
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  /// Claims the address now, if nobody has, and says which port it came to:
  /// "127.0.0.1:7000", "/a/path". Throws as bound().
  std::string address();
  /// One more loop: its number, and a bound socket; none if another one hands
  /// guests to it. All loops share in the same way. Throws std::system_error
  /// naming the call.
  struct Place {
    unsigned loop;
    Fd socket;
    std::string url;
  };
  Place bound(Share share = Share::port);
  unsigned loops() const { return loops_; }
  Handoff& handoff() { return handoff_; }

 private:
  Fd claim();
  Fd next(Share share) const;

  const Options& options_;
  const unsigned loops_;
  std::mutex mutex_;
  unsigned bound_ = 0;
  std::string url_;
  Fd claim_;  // kept until the last has come, who takes it
  dev_t device_ = 0;
  ino_t inode_ = 0;  // of the Unix socket's file; 0: none was made here
  Handoff handoff_;
};

}  // namespace net
