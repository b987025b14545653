#include "program/waiting.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "net/endpoint.hpp"

namespace {

/// Serves so many peers at once, and whoever comes later when one has left,
/// unless it is `unfair`.
class Server {
 public:
  explicit Server(std::size_t at_once, std::string_view answer = "+PONG\r\n",
                  bool unfair = false)
      : at_once_(at_once), answer_(answer), unfair_(unfair) {
    ::listen(listener_.get(), 64);
    thread_ = std::thread([this] { serve(); });
  }
  ~Server() {
    over_ = true;
    thread_.join();
  }
  std::string address() const { return net::address_of(listener_.get()); }

 private:
  void serve() {
    while (!over_) {
      std::vector<pollfd> watched;
      if (peers_.size() < at_once_ && !(unfair_ && full_))
        watched.push_back({listener_.get(), POLLIN, 0});
      for (const net::Fd& peer : peers_)
        watched.push_back({peer.get(), POLLIN, 0});
      ::poll(watched.data(), watched.size(), 10);
      for (const pollfd& ready : watched)
        if (ready.revents != 0) turn(ready.fd);
      full_ |= peers_.size() == at_once_;
    }
  }

  void turn(int fd) {
    if (fd == listener_.get()) {
      peers_.emplace_back(::accept(fd, nullptr, nullptr));
      return;
    }
    char room[64];
    if (::recv(fd, room, sizeof room, 0) > 0)
      ::send(fd, answer_.data(), answer_.size(), MSG_NOSIGNAL);
    else
      std::erase_if(peers_, [fd](const net::Fd& it) { return it.get() == fd; });
  }

  const std::size_t at_once_;
  const std::string_view answer_;
  const bool unfair_;
  const net::Fd listener_ = net::bind_socket("127.0.0.1", 0);
  std::vector<net::Fd> peers_;
  bool full_ = false;
  std::atomic<bool> over_ = false;
  std::thread thread_;
};

struct Shown {
  bool right = false;
  std::string text;
};

Shown show(const Server& server) {
  testing::internal::CaptureStdout();
  const bool right = program::show_waiting(server.address());
  return {right, testing::internal::GetCapturedStdout()};
}

TEST(Waiting, EndsWhenOneLeaves) {
  const Server server(3);
  const Shown shown = show(server);
  EXPECT_TRUE(shown.right) << shown.text;
  EXPECT_NE(shown.text.find("peer 4 is connected, and is not answered\n"
                            "  peer 1 leaves, and peer 4 is answered\n"),
            std::string::npos)
      << shown.text;
}

TEST(Waiting, IsForNobodyWhereAllAreServed) {
  const Server server(100);
  const Shown shown = show(server);
  EXPECT_TRUE(shown.right);
  EXPECT_NE(shown.text.find("20 peers are answered, and nobody waits"),
            std::string::npos)
      << shown.text;
}

TEST(Waiting, WithoutEndIsWrong) {
  const Server server(2, "+PONG\r\n", true);
  const Shown shown = show(server);
  EXPECT_FALSE(shown.right);
  EXPECT_NE(shown.text.find("peer 3 is not answered: WRONG"), std::string::npos)
      << shown.text;
}

TEST(Waiting, OfTheVeryFirstIsWrong) {
  const Server server(5, "-ERR\r\n");
  EXPECT_FALSE(show(server).right);
}

}  // namespace
