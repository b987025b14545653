#include "bench/load/slow_readers.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <thread>

#include "net/endpoint.hpp"

namespace {

/// Takes whatever comes, and returns it or never answers.
class Swallower {
 public:
  explicit Swallower(bool echoes)
      : listener_(net::bind_socket("127.0.0.1", 0)), echoes_(echoes) {
    ::listen(listener_.get(), 1);
    address = net::address_of(listener_.get());
    thread_ = std::thread([this] { swallow(); });
  }
  ~Swallower() { thread_.join(); }

  std::string address;
  std::atomic<std::size_t> swallowed = 0;

 private:
  void swallow() {
    const net::Fd peer(::accept(listener_.get(), nullptr, nullptr));
    if (!peer) return;
    std::array<char, 1 << 16> bytes;
    ssize_t n = 0;
    while ((n = ::recv(peer.get(), bytes.data(), bytes.size(), 0)) > 0) {
      const auto size = static_cast<std::size_t>(n);
      swallowed += size;
      if (!echoes_) continue;
      ::send(peer.get(), bytes.data(), size, MSG_NOSIGNAL);
    }
  }

  net::Fd listener_;
  const bool echoes_;
  std::thread thread_;
};

// Who writes until the buffers are full would never come to an end here.
TEST(SlowReaders, EndThoughTheServerTakesEverything) {
  Swallower hole(false);
  {
    const load::SlowReaders readers(hole.address, 1);
    while (hole.swallowed < (20u << 20)) std::this_thread::yield();
  }
  EXPECT_GE(hole.swallowed, 20u << 20);
}

// An echo returns the request, a server only what it asks to be told.
TEST(SlowReaders, KnowWhoAnswers) {
  Swallower for_echo(true), for_server(true);
  const load::SlowReaders echoed(for_echo.address, 1, load::Answers::echo);
  const load::SlowReaders served(for_server.address, 1, load::Answers::server);
  while (served.fault().empty() || echoed.compared() < 2 << 10)
    std::this_thread::yield();
  EXPECT_EQ(served.fault(), "a slow reader was answered wrongly");
  EXPECT_EQ(echoed.fault(), "");
}

}  // namespace
