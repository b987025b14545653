#pragma once
// A peer of the servers under test: one socket, bounded waits, every byte in
// the test's own hands.

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tests/conformance/answer.hpp"
#include "tests/conformance/process.hpp"
#include "tests/conformance/resp.hpp"

namespace conformance {

/// Sizes of the peer's socket buffers; 0 leaves them to the kernel.
struct Buffers {
  int send = 0, receive = 0;
};

/// A connected blocking socket to "127.0.0.1:7000", "[::1]:7000" or "/path".
/// Throws Trouble if nobody listens there.
Descriptor connect_to(const std::string& address, Buffers buffers = {});

/// A socket bound to a free port of 127.0.0.1 (or to `address`, port 0), not
/// listening yet; and "host:port" of a bound socket.
Descriptor bind_socket(const std::string& address = "127.0.0.1");
std::string address_of(const Descriptor& socket);

/// The next close of this socket resets the connection.
void reset_on_close(const Descriptor& socket);

/// One thread at a time, except that one may send while another receives.
/// Every call waits at most patience() and throws Trouble beyond it, and when
/// the connection is reset.
class Peer {
 public:
  explicit Peer(const std::string& address, Buffers buffers = {})
      : Peer(connect_to(address, buffers)) {}
  explicit Peer(Descriptor socket);

  /// All of the bytes.
  void send(std::string_view bytes);
  /// As many as the kernel takes at once, perhaps none.
  std::size_t send_some(std::string_view bytes);
  /// Becomes ready to send within `bound`.
  bool writable(Milliseconds bound);

  /// Exactly n bytes; throws if the other side ends before.
  Answer receive(std::size_t n);
  /// As many bytes as are expected, or fewer: all that has come as soon as it
  /// differs, and at the end of our patience.
  Answer receive_like(std::string_view expected);
  /// The bytes of one frame, unread by receive() so far.
  Answer frame();
  Reply reply() { return decode(frame()); }
  /// Everything until the other side ends.
  Answer rest();
  /// The other side has ended and everything has been received, within
  /// `bound`.
  bool at_end(Milliseconds bound);
  /// The connection ends or is reset; what still comes is thrown away.
  void await_close();

  /// send() and frame().
  Answer ask(const std::vector<std::string>& arguments);

  void finish();  // FIN: nothing more will be sent
  void close() { socket_.close(); }
  void reset();  // RST

  int descriptor() const { return socket_.get(); }

 private:
  /// What has been sent since something was last received: for messages, and
  /// by whoever sends while another receives.
  struct Said {
    std::mutex mutex;
    Excerpt excerpt;
    bool heard = false;
  };

  bool receive_more();  // false at the end
  Answer answer(std::string bytes);
  Excerpt said() const;
  /// Says what was sent and what has come of the answer.
  [[noreturn]] void complain(const std::string& what) const;

  Descriptor socket_;
  std::string unread_;
  std::unique_ptr<Said> said_ = std::make_unique<Said>();
};

}  // namespace conformance
