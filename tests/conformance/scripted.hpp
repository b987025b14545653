#pragma once
// A server that plays a part: whatever a client must be able to bear.

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "tests/conformance/peer.hpp"

namespace conformance {

/// Plays `script` to one connection after the other, in a thread of its own,
/// until it is destroyed. What a script throws ends that connection, since it
/// is the client that is under test.
class Scripted {
 public:
  using Script = std::function<void(Peer&)>;
  /// `socket` is bound: who has to name the address in the script knows it.
  explicit Scripted(Script script, Descriptor socket = bind_socket());
  ~Scripted();
  Scripted(const Scripted&) = delete;
  Scripted& operator=(const Scripted&) = delete;

  const std::string& address() const { return address_; }
  std::string port() const;

 private:
  void play();

  const Script script_;
  Descriptor listener_;
  const std::string address_;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

/// A script that answers each request by what `answer` makes of its words, and
/// ends with its client.
Scripted::Script answering(
    std::function<std::string(const std::vector<std::string>&)> answer);

}  // namespace conformance
