#include "tests/conformance/flood.hpp"

#include <future>

namespace conformance {

std::size_t send_until_blocked(Peer& peer, std::size_t count,
                               std::size_t size) {
  std::size_t sent = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string bytes = echo_request(i, size);
    for (std::size_t at = 0; at < bytes.size();) {
      if (!peer.writable(Milliseconds(300))) return sent;
      const auto n = peer.send_some(std::string_view(bytes).substr(at));
      at += n;
      sent += n;
    }
  }
  return sent;
}

void exchange(Peer& peer, std::size_t count, std::size_t size,
              std::size_t sent) {
  const std::size_t each = echo_request(0, size).size();
  auto sending = std::async(std::launch::async, [&] {
    for (std::size_t i = sent / each; i < count; ++i) {
      const std::string bytes = echo_request(i, size);
      const std::size_t done = i == sent / each ? sent % each : 0;
      peer.send(std::string_view(bytes).substr(done));
    }
    peer.finish();
  });
  for (std::size_t i = 0; i < count; ++i) {
    const std::string expected = echo_answer(i, size);
    if (peer.receive(expected.size()) != expected)
      throw Trouble("answer " + std::to_string(i) + " differs");
  }
  sending.get();
  if (const std::string more = peer.rest(); !more.empty())
    throw Trouble("behind the last answer came " + printable(more));
}

}  // namespace conformance
