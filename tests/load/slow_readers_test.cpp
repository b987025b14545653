#include "bench/load/slow_readers.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <thread>

#include "net/listener.hpp"

namespace {

/// Takes whatever comes and never answers.
class BlackHole {
 public:
  BlackHole() : listener_(net::bind_socket("127.0.0.1", 0)) {
    ::listen(listener_.get(), 1);
    address = net::address_of(listener_.get());
    thread_ = std::thread([this] { swallow(); });
  }
  ~BlackHole() { thread_.join(); }

  std::string address;
  std::atomic<std::size_t> swallowed = 0;

 private:
  void swallow() {
    const net::Fd peer(::accept(listener_.get(), nullptr, nullptr));
    std::array<char, 1 << 16> bytes;
    ssize_t n = 0;
    while ((n = ::recv(peer.get(), bytes.data(), bytes.size(), 0)) > 0)
      swallowed += static_cast<std::size_t>(n);
  }

  net::Fd listener_;
  std::thread thread_;
};

// Who writes until the buffers are full would never come to an end here.
TEST(SlowReaders, EndThoughTheServerTakesEverything) {
  BlackHole hole;
  {
    const load::SlowReaders readers(hole.address, 1);
    while (hole.swallowed < (20u << 20)) std::this_thread::yield();
  }
  EXPECT_GE(hole.swallowed, 20u << 20);
}

}  // namespace
