#include "net/listener.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "net/clock.hpp"
#include "net/counters.hpp"
#include "tests/net/listening.hpp"

namespace {

using tests::accept_from;
using tests::connect_to;
using tests::ListenerTest;
using tests::options_for;
using tests::refusal_of;

const std::string too_many = "-ERR max number of clients reached\r\n";

int option_of(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  EXPECT_EQ(::getsockopt(fd, level, name, &value, &size), 0);
  return value;
}

/// What a peer gets until the end; "reset" behind it if it ended by one.
std::string read_all(const net::Fd& socket) {
  std::string text;
  std::array<char, 256> room;
  for (;;) {
    const ssize_t n = ::recv(socket.get(), room.data(), room.size(), 0);
    if (n < 0 && errno == ECONNRESET) return text + "reset";
    if (n <= 0) return text;
    text.append(room.data(), static_cast<std::size_t>(n));
  }
}

std::uint64_t accepts() { return net::total(net::counter("sys.", "accept4")); }

TEST_F(ListenerTest, SaysWhereItIs) {
  open(options_for("127.0.0.1"));
  EXPECT_EQ(url_, "tcp://" + address());
  EXPECT_NE(address(), "127.0.0.1:0");
  EXPECT_TRUE(connect_to(address()));
}

TEST_F(ListenerTest, HandsItsOptionsDownToThePeers) {
  net::Options options = options_for("127.0.0.1");
  options.send_buffer = 5000;
  open(options);
  const net::Fd peer = connect_to(address());
  const auto guest = listener_->admit(accept_from(*listener_), 0);
  ASSERT_TRUE(guest);
  EXPECT_EQ(option_of(guest.socket.get(), IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(option_of(guest.socket.get(), SOL_SOCKET, SO_OOBINLINE), 1);
  // The kernel doubles it (socket(7)).
  EXPECT_EQ(option_of(guest.socket.get(), SOL_SOCKET, SO_SNDBUF), 10'000);
}

TEST_F(ListenerTest, BlocksOrNotAsTheModelWants) {
  open(options_for("127.0.0.1"), SOCK_NONBLOCK);
  EXPECT_TRUE(::fcntl(listener_->fd(), F_GETFL) & O_NONBLOCK);
  open(options_for("127.0.0.1"), 0);
  EXPECT_FALSE(::fcntl(listener_->fd(), F_GETFL) & O_NONBLOCK);
}

TEST_F(ListenerTest, LetsGoOfItsPortWhenItCloses) {
  open(options_for("127.0.0.1"));
  const std::string was = address();
  listener_->close();
  EXPECT_EQ(refusal_of(was), ECONNREFUSED);
}

TEST_F(ListenerTest, KnowsHowManyWait) {
  open(options_for("127.0.0.1"));
  EXPECT_EQ(listener_->queued(), 0u);
  const net::Fd first = connect_to(address()), second = connect_to(address());
  EXPECT_EQ(listener_->queued(), 2u);
  const net::Fd peer(::accept(listener_->fd(), nullptr, nullptr));
  EXPECT_EQ(listener_->queued(), 1u);
}

TEST_F(ListenerTest, GivesSeatsAndTakesThemBack) {
  clients_.max = 2;
  open(options_for("127.0.0.1"));
  std::vector<net::Fd> peers;
  std::vector<net::Guest> guests;
  for (int i = 0; i < 2; ++i) {
    peers.push_back(connect_to(address()));
    guests.push_back(listener_->admit(accept_from(*listener_), 0));
    EXPECT_TRUE(guests.back());
  }
  EXPECT_EQ(clients_.now, 2u);
  guests.erase(guests.begin());
  EXPECT_EQ(clients_.now, 1u);
  peers.push_back(connect_to(address()));
  EXPECT_TRUE(listener_->admit(accept_from(*listener_), 0));
  EXPECT_EQ(clients_.now, 1u);  // the guest was not kept
  EXPECT_EQ(clients_.accepted, 3u);
  EXPECT_EQ(clients_.refused, 0u);
}

// Who has said something already must not lose the answer to a reset.
TEST_F(ListenerTest, TellsWhoIsTooMany) {
  clients_.max = 0;
  open(options_for("127.0.0.1"));
  for (const std::string& said : {std::string(), std::string(20'000, 'x')}) {
    const net::Fd peer = connect_to(address());
    ASSERT_EQ(::send(peer.get(), said.data(), said.size(), 0),
              static_cast<ssize_t>(said.size()));
    EXPECT_FALSE(listener_->admit(accept_from(*listener_), 0));
    EXPECT_EQ(read_all(peer), too_many);
  }
  EXPECT_EQ(clients_.refused, 2u);
  EXPECT_EQ(clients_.now, 0u);
}

TEST_F(ListenerTest, RefusesADescriptorThatCannotBeWatched) {
  const unsigned counter = net::counter("model.", "refused_descriptors");
  const auto before = net::total(counter);
  open(options_for("127.0.0.1"));
  const net::Fd low = connect_to(address()), high = connect_to(address());
  const int next = net::Fd(::dup(low.get())).get();
  listener_->refuse_from(next + 1);
  const net::Guest guest = listener_->admit(accept_from(*listener_), 0);
  EXPECT_EQ(guest.socket.get(), next);
  EXPECT_FALSE(listener_->admit(accept_from(*listener_), 0));
  EXPECT_EQ(read_all(high), too_many);
  EXPECT_EQ(clients_.now, 1u);
  EXPECT_EQ(clients_.refused, 1u);
  EXPECT_EQ(net::total(counter), before + 1);
}

TEST_F(ListenerTest, MakesNoGuestOfAFailure) {
  open(options_for("127.0.0.1"));
  const auto before = accepts();
  for (const int error : {EAGAIN, EINTR, ECONNABORTED, EPROTO, EINVAL})
    EXPECT_FALSE(listener_->admit(-1, error));
  EXPECT_FALSE(listener_->admit(-EMFILE, EMFILE));  // and nobody waits
  EXPECT_EQ(accepts(), before);
  EXPECT_EQ(clients_.refused, 0u);
}

/// Lowers the limit of descriptors to those that are open.
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &old_);
    const net::Fd next(::open("/", O_PATH | O_CLOEXEC));
    rlimit low = old_;
    low.rlim_cur = static_cast<rlim_t>(next.get());
    ::setrlimit(RLIMIT_NOFILE, &low);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &old_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit old_{};
};

/// A listener, its peers, and what a model does with it. No test's member:
/// UndefinedBehaviorSanitizer needs descriptors to look at the virtual table of
/// a test that is used for the first time.
class Host {
 public:
  explicit Host(int flags = SOCK_NONBLOCK) : Host(flags, flags) {}
  Host(int flags, int peer_flags) : flags_(flags), peer_flags_(peer_flags) {
    open();
  }

  /// Anew.
  void open() {
    prepare();
    start();
  }
  void prepare() {
    listener_ = std::make_unique<net::Listener>(options_, clients, nullptr);
  }
  void start() { listener_->open(flags_, peer_flags_); }

  void connect(int count) {
    for (int i = 0; i < count; ++i) {
      peers.push_back(connect_to(net::address_of(listener().fd())));
      ASSERT_TRUE(peers.back());
    }
  }
  /// As a model does: accept, and hand over what came of it.
  net::Guest accept() {
    const int fd = ::accept4(listener().fd(), nullptr, nullptr, SOCK_CLOEXEC);
    error = errno;
    return listener().admit(fd, error);
  }
  net::Listener& listener() { return *listener_; }

  net::Clients clients;
  std::vector<net::Fd> peers;
  int error = 0;

 private:
  const int flags_, peer_flags_;
  const net::Options options_ = options_for("127.0.0.1");
  std::unique_ptr<net::Listener> listener_;
};

TEST(Exhausted, TellsEverybodyWhoWaits) {
  Host host;
  host.connect(5);
  {
    const NoDescriptors none;
    EXPECT_FALSE(host.accept());
    EXPECT_EQ(host.error, EMFILE);
    EXPECT_EQ(host.clients.refused, 5u);
    for (const net::Fd& peer : host.peers) EXPECT_EQ(read_all(peer), too_many);
    // And again: the reserve is there.
    EXPECT_FALSE(host.accept());
    EXPECT_EQ(host.clients.refused, 5u);
  }
  host.connect(1);
  EXPECT_TRUE(host.accept());
}

TEST(Exhausted, LooksBeforeItAccepts) {
  Host host;
  const NoDescriptors none;
  const auto before = accepts();
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(host.accept());
  EXPECT_EQ(accepts(), before);
}

// Between the failed accept and this call somebody else may have closed one.
TEST(Exhausted, ServesAPeerIfDescriptorsHaveComeFree) {
  Host host;
  host.connect(2);
  EXPECT_TRUE(host.listener().admit(-1, EMFILE));
  EXPECT_TRUE(host.listener().admit(-1, ENFILE));
  EXPECT_EQ(host.clients.accepted, 2u);
  EXPECT_EQ(host.clients.refused, 0u);
}

TEST(Exhausted, AcceptsAsTheModelDoes) {
  for (const int flags : {0, static_cast<int>(SOCK_NONBLOCK)}) {
    Host host(SOCK_NONBLOCK, flags);
    host.connect(1);
    const auto guest = host.listener().admit(-1, EMFILE);
    ASSERT_TRUE(guest);
    EXPECT_EQ(::fcntl(guest.socket.get(), F_GETFL) & O_NONBLOCK, flags);
    EXPECT_TRUE(::fcntl(guest.socket.get(), F_GETFD) & FD_CLOEXEC);
  }
}

TEST(Exhausted, SleepsWithABlockingListener) {
  Host host(0);
  const auto before = accepts();
  const auto began = net::now();
  EXPECT_FALSE(host.listener().admit(-1, EMFILE));
  EXPECT_GE(net::now() - began, 90'000'000);
  EXPECT_EQ(accepts(), before);
  host.connect(1);
  EXPECT_TRUE(host.listener().admit(-1, EMFILE));
}

TEST(Exhausted, DoesNotAcceptFromAListenerThatWasShutDown) {
  Host host(0);
  ::shutdown(host.listener().fd(), SHUT_RDWR);
  const auto before = accepts();
  EXPECT_FALSE(host.listener().admit(-1, EMFILE));
  EXPECT_EQ(accepts(), before);
}

TEST(Exhausted, PausesWithoutItsReserve) {
  Host host;
  {
    const NoDescriptors none;
    host.prepare();
  }
  host.start();
  host.connect(1);
  {
    const NoDescriptors none;
    const auto before = accepts();
    const auto began = net::now();
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(host.accept());
    EXPECT_GE(net::now() - began, 30'000'000);
    EXPECT_EQ(accepts(), before);
  }
  // It waits, and is served when there is room again.
  EXPECT_EQ(host.clients.refused, 0u);
  EXPECT_TRUE(host.accept());
}

// Whoever has taken the reserve's number gives it back, and a peer comes.
TEST(Exhausted, GivesNobodyThePlaceOfItsReserve) {
  Host host;
  net::Fd taken;
  {
    const NoDescriptors none;
    host.prepare();
  }
  host.start();
  host.connect(2);
  taken = net::Fd(::open("/", O_PATH | O_CLOEXEC));
  const NoDescriptors none;
  taken = net::Fd();
  EXPECT_FALSE(host.accept());
  EXPECT_FALSE(host.accept());
  EXPECT_EQ(host.clients.refused, 2u);
  for (const net::Fd& peer : host.peers) EXPECT_EQ(read_all(peer), too_many);
}

TEST(Exhausted, PausesWithoutMemory) {
  Host host;
  const auto began = net::now();
  EXPECT_FALSE(host.listener().admit(-1, ENOMEM));
  EXPECT_FALSE(host.listener().admit(-1, ENOBUFS));
  EXPECT_GE(net::now() - began, 20'000'000);
}

TEST(Exhausted, ComplainsOnceASecond) {
  Host host;
  testing::internal::CaptureStderr();
  const auto began = net::now();
  for (int i = 0; i < 30; ++i) host.listener().admit(-1, ENOMEM);
  const auto took = net::now() - began;
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(said.starts_with("accept: Cannot allocate memory")) << said;
  EXPECT_LE(std::ranges::count(said, '\n'), 1 + took / 1'000'000'000);
}

TEST_F(ListenerTest, ResetsWhoIsLeft) {
  open(options_for("127.0.0.1"));
  const auto before = net::total(net::counter("net.", "reset"));
  const net::Fd peer = connect_to(address());
  {
    const auto guest = listener_->admit(accept_from(*listener_), 0);
    net::reset_on_close(guest.socket.get());
  }
  EXPECT_EQ(read_all(peer), "reset");
  EXPECT_EQ(net::total(net::counter("net.", "reset")), before + 1);
}

}  // namespace
