#include "net/endpoint.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "tests/net/listening.hpp"

namespace {

using tests::accept_from;
using tests::connect_to;
using tests::options_for;
using tests::refusal_of;

class EndpointTest : public tests::ListenerTest {};

TEST_F(EndpointTest, TakesIPv6) {
  for (const char* bind : {"::1", "[::1]"}) {
    try {
      open(options_for(bind));
    } catch (const std::system_error& error) {
      if (error.code().value() != EADDRNOTAVAIL &&
          error.code().value() != EAFNOSUPPORT)
        throw;
      GTEST_SKIP() << "no IPv6 here: " << error.what();
    }
    EXPECT_TRUE(url_.starts_with("tcp://[::1]:")) << url_;
    EXPECT_TRUE(connect_to(address()));
  }
}

TEST_F(EndpointTest, TakesAName) {
  open(options_for("localhost"));
  EXPECT_TRUE(connect_to(address()));
  EXPECT_THROW(net::bind_socket("no such name", 0), std::runtime_error);
}

TEST_F(EndpointTest, NamesTheCallThatFailed) {
  open(options_for("127.0.0.1"));
  net::Options same = options_;
  same.port = static_cast<std::uint16_t>(
      std::stoi(address().substr(address().rfind(':') + 1)));
  net::Listener other(same, clients_, {});
  try {
    other.open(0);
    FAIL() << "two listeners at one port";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), EADDRINUSE);
    EXPECT_TRUE(std::string(error.what()).starts_with("bind 127.0.0.1 port "))
        << error.what();
  }
}

/// Several loops of one process.
class LoopsTest : public testing::Test {
 protected:
  static constexpr unsigned loops = 3;

  void open(const net::Options& options, net::Share share = net::Share::port) {
    options_ = options;
    options_.threads = loops;
    endpoint_ = std::make_unique<net::Endpoint>(options_, loops);
    address_ = endpoint_->address();
    for (unsigned i = 0; i < loops; ++i) {
      listeners_.push_back(std::make_unique<net::Listener>(
          options_, clients_,
          [this](const std::string& url) { urls_.push_back(url); },
          endpoint_.get()));
      listeners_.back()->open(SOCK_NONBLOCK, share, mailboxes_[i]);
    }
  }
  /// How many of so many peers each loop got.
  std::vector<int> accept(int count) {
    std::vector<net::Fd> peers;
    peers.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) peers.push_back(connect_to(address_));
    std::vector<int> got(loops);
    for (unsigned i = 0; i < loops; ++i)
      while (net::Guest guest = listeners_[i]->admit(
                 ::accept4(listeners_[i]->fd(), nullptr, nullptr, SOCK_CLOEXEC),
                 errno))
        ++got[i];
    return got;
  }
  static int sum(const std::vector<int>& numbers) {
    int sum = 0;
    for (const int number : numbers) sum += number;
    return sum;
  }
  /// Nobody takes peers any more once all have closed.
  void expect_end() {
    for (const auto& listener : listeners_) listener->close();
    EXPECT_EQ(refusal_of(address_), ECONNREFUSED);
  }

  net::Options options_;
  net::Clients clients_;
  std::vector<net::Mailbox> mailboxes_{loops};
  std::unique_ptr<net::Endpoint> endpoint_;
  std::string address_;
  std::vector<std::unique_ptr<net::Listener>> listeners_;
  std::vector<std::string> urls_;
};

TEST_F(LoopsTest, ShareAPort) {
  open(options_for("127.0.0.1"));
  EXPECT_EQ(urls_, std::vector<std::string>(loops, "tcp://" + address_));
  const auto got = accept(120);
  EXPECT_EQ(sum(got), 120);
  for (const int peers : got) EXPECT_GT(peers, 0);
  expect_end();
}

// One who would share it as well: the kernel would give it a part of our peers.
TEST_F(LoopsTest, ClaimAPortThatIsFreeOfEverybody) {
  const net::Fd other = net::bind_socket("127.0.0.1", 0, true);
  ASSERT_EQ(::listen(other.get(), 1), 0);
  const std::string taken = net::address_of(other.get());
  net::Options options = options_for("127.0.0.1");
  options.port =
      static_cast<std::uint16_t>(std::stoi(taken.substr(taken.rfind(':') + 1)));
  net::Endpoint endpoint(options, loops);
  EXPECT_THROW(endpoint.bound(), std::system_error);
}

// One queue: whoever comes first finds all who wait.
TEST_F(LoopsTest, ShareASocket) {
  open(options_for("127.0.0.1"), net::Share::socket);
  EXPECT_EQ(accept(20), (std::vector<int>{20, 0, 0}));
  listeners_[0]->close();
  const net::Fd peer = connect_to(address_);
  EXPECT_TRUE(listeners_[1]->admit(accept_from(*listeners_[1]), 0));
  // Nobody else may join who would share the port.
  net::Options same = options_for("127.0.0.1");
  same.port = static_cast<std::uint16_t>(
      std::stoi(address_.substr(address_.rfind(':') + 1)));
  EXPECT_THROW(net::bind_socket("127.0.0.1", same.port, true),
               std::system_error);
  expect_end();
}

TEST_F(LoopsTest, HandGuestsFromTheOneThatAccepts) {
  open(options_for("127.0.0.1"), net::Share::guests);
  EXPECT_EQ(urls_, std::vector<std::string>(loops, "tcp://" + address_));
  EXPECT_LT(listeners_[1]->fd(), 0);
  EXPECT_EQ(listeners_[1]->queued(), 0u);
  const unsigned second = net::counter("model.", "accepted_loop_1");
  const auto before = net::total(second);
  std::vector<net::Fd> peers;
  for (unsigned i = 0; i < loops; ++i) {
    peers.push_back(connect_to(address_));
    const int fd = accept_from(*listeners_[0]);
    EXPECT_EQ(static_cast<bool>(listeners_[0]->admit(fd, 0)), i == 0);
  }
  listeners_[1]->close();
  EXPECT_TRUE(listeners_[1]->handed());
  EXPECT_EQ(net::total(second), before + 1);
  EXPECT_FALSE(listeners_[1]->handed());
  // It has left, and is passed by.
  for (const bool kept : {true, false}) {
    peers.push_back(connect_to(address_));
    const int fd = accept_from(*listeners_[0]);
    EXPECT_EQ(static_cast<bool>(listeners_[0]->admit(fd, 0)), kept);
  }
  EXPECT_FALSE(listeners_[1]->handed());
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(listeners_[2]->handed());
  EXPECT_FALSE(listeners_[0]->handed());
  expect_end();
}

TEST_F(LoopsTest, ShareAnInheritedSocket) {
  net::Options options = options_for("");
  const int fd =
      ::fcntl(net::bind_socket("127.0.0.1", 0).get(), F_DUPFD_CLOEXEC, 0);
  options.listen_fd = fd;
  open(options);
  EXPECT_EQ(sum(accept(30)), 30);
  expect_end();
}

class PathTest : public tests::ListenerTest {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    path_ = directory_ + "/socket";
  }
  void TearDown() override {
    listener_.reset();
    ::unlink(path_.c_str());
    ::rmdir(directory_.c_str());
  }
  bool exists() const {
    struct stat file;
    return ::lstat(path_.c_str(), &file) == 0;
  }
  std::string directory_ = "/tmp/listener_XXXXXX";
  std::string path_;
};

TEST_F(PathTest, IsListenedOnAndRemoved) {
  open(options_for(path_));
  EXPECT_EQ(url_, "unix:" + path_);
  const net::Fd peer = connect_to(path_);
  EXPECT_TRUE(peer);
  EXPECT_TRUE(listener_->admit(accept_from(*listener_), 0));
  listener_.reset();
  EXPECT_FALSE(exists());
}

TEST_F(PathTest, IsTakenFromWhoHasDied) {
  {
    const net::Fd dead = net::bind_socket(path_, 0);
  }
  ASSERT_TRUE(exists());
  open(options_for(path_));
  EXPECT_TRUE(connect_to(path_));
}

TEST_F(PathTest, IsNotTakenFromWhoLives) {
  const net::Fd alive = net::bind_socket(path_, 0);
  net::Options options = options_for(path_);
  try {
    net::Endpoint(options).bound();
    FAIL() << "taken from who lives";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code().value(), EADDRINUSE);
  }
  EXPECT_TRUE(connect_to(path_));
}

TEST_F(PathTest, IsNotTakenFromAFile) {
  std::ofstream(path_) << "precious";
  EXPECT_THROW(open(options_for(path_)), std::system_error);
  std::string text;
  std::ifstream(path_) >> text;
  EXPECT_EQ(text, "precious");
}

TEST_F(PathTest, IsLeftToWhoHasTakenItSince) {
  open(options_for(path_));
  ::unlink(path_.c_str());
  const net::Fd other = net::bind_socket(path_, 0);
  listener_.reset();
  EXPECT_TRUE(connect_to(path_));
}

TEST_F(PathTest, IsTooLongToBeSilentAbout) {
  EXPECT_THROW(net::bind_socket("/" + std::string(200, 'a'), 0),
               std::system_error);
  EXPECT_THROW(net::bind_socket("/no/such/directory/socket", 0),
               std::system_error);
}

// Of many who start at once over a stale file one gets it, and keeps it.
TEST_F(PathTest, HasOneOwner) {
  for (int round = 0; round < 20; ++round) {
    {
      const net::Fd dead = net::bind_socket(path_, 0);
    }
    std::array<net::Fd, 4> owners;
    {
      std::vector<std::jthread> starting;
      starting.reserve(owners.size());
      for (net::Fd& owner : owners)
        starting.emplace_back([&] {
          try {
            owner = net::bind_socket(path_, 0);
          } catch (const std::system_error& error) {
            EXPECT_EQ(error.code().value(), EADDRINUSE) << error.what();
          }
        });
    }
    EXPECT_EQ(
        std::ranges::count_if(owners, [](const net::Fd& o) { return bool(o); }),
        1);
    EXPECT_TRUE(connect_to(path_));
  }
}

}  // namespace
