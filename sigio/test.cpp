// What only this model promises: that no change is lost for which no signal
// came, and that a signal which is of somebody else does no harm.

#include <memory>
#include <string>
#include <vector>

#include "sigio/signals.hpp"
#include "tests/model/instructions.hpp"
#include "tests/model/loop.hpp"

namespace {

using tests::FewSignals;
using tests::HoldingService;
using tests::LaterService;
using tests::Loop;
using tests::soon;
using tests::Visitor;

const unsigned waits = net::counter("sys.", model::server.ideal[0].call);
const unsigned receives = net::counter("sys.", "recv");
const unsigned overflows = net::counter("model.", "overflows");
const unsigned scans = net::counter("model.", "scans");

/// Its signals say of whom they are, and may find the queue full.
bool has_queue() {
  return std::string_view(model::server.variant) != "classic";
}

/// All signals are taken, and nothing is received any more.
bool quiet() {
  const auto calls = [] { return net::total(waits) + net::total(receives); };
  const std::uint64_t before = calls();
  ::poll(nullptr, 0, 20);
  return calls() == before;
}

/// A peer, and another one whose request the loop is held by.
class Held {
 public:
  Held() { echo(peer); }
  ~Held() { let_go(); }
  static void echo(Visitor& by) {
    by.write("ECHO a\r\n");
    ASSERT_EQ(by.read(7), "$1\r\na\r\n");
  }
  void hold() {
    holder_.write("HOLD\r\n");
    service.held.wait();
  }
  void let_go() {
    if (!service.let_go.try_wait()) service.let_go.count_down();
  }

  /// One receive brings all that it keeps behind an answer that is awaited.
  struct Service : HoldingService {
    Service() { limits_.parked_max = 4 << 10; }
  } service;
  Loop loop{service};

 private:
  Visitor holder_{loop.address};

 public:
  Visitor peer{loop.address};
};

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

using Crowd = std::vector<std::unique_ptr<Visitor>>;

Crowd join(const Loop& loop, int count) {
  Crowd crowd;
  for (int i = 0; i < count; ++i) {
    crowd.push_back(std::make_unique<Visitor>(loop.address));
    Held::echo(*crowd.back());
  }
  return crowd;
}

// Five hundred who ask while the loop is busy, of whom some end as well, and
// whose signals do not fit into the queue; and some who come meanwhile.
TEST(Sigio, NobodyIsLostWhenTheQueueIsFull) {
  constexpr int rounds = 20, count = 500;
  const FewSignals queue(64);
  const std::uint64_t before = net::total(overflows);
  for (int round = 0; round < rounds; ++round) {
    Held held;
    Crowd crowd = join(held.loop, count);
    held.hold();
    for (int i = 0; i < count; ++i) {
      crowd[i]->write("ECHO b\r\n");
      if (i % 3 == 0) ::shutdown(crowd[i]->fd(), SHUT_WR);
    }
    for (int i = 0; i < 20; ++i) {
      crowd.push_back(std::make_unique<Visitor>(held.loop.address));
      crowd.back()->write("ECHO b\r\n");
    }
    held.let_go();
    for (auto& peer : crowd) ASSERT_EQ(peer->read(7), "$1\r\nb\r\n") << round;
    for (int i = 0; i < count; i += 3)
      ASSERT_TRUE(crowd[i]->ends()) << i << ", " << round;
  }
  EXPECT_GE(net::total(overflows) - before, has_queue() ? rounds : 0);
}

// ---- what no signal tells

// The peer's end has come before the socket is armed, behind what he has sent.
TEST(Sigio, WhoHasEndedBeforeHeIsArmedIsAnsweredAndEnded) {
  Held held;
  held.hold();
  Visitor early(held.loop.address);
  early.write("ECHO b\r\n");
  ::shutdown(early.fd(), SHUT_WR);
  held.let_go();
  EXPECT_EQ(early.read(7), "$1\r\nb\r\n");
  EXPECT_TRUE(early.ends());
}

// It is the second of two signals, and is taken while a part of the bytes is
// still there: what comes short then is not all.
TEST(Sigio, AnEndWhoseSignalIsTakenTooEarlyIsNoticed) {
  for (const int requests : {1, 3'000, 6'000, 12'000}) {
    Held held;
    held.hold();
    std::thread writer([&] {
      held.peer.write(repeated("ECHO b\r\n", requests));
      ::shutdown(held.peer.fd(), SHUT_WR);
      held.let_go();
    });
    const std::string answers = repeated("$1\r\nb\r\n", requests);
    EXPECT_EQ(held.peer.read(answers.size()), answers);
    EXPECT_TRUE(held.peer.ends()) << requests;
    writer.join();
  }
}

// Only after EAGAIN is a signal sent when there is room; and then one, for it
// is no state that lasts.
TEST(Sigio, RoomIsToldOnceAndNobodySpins) {
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  const std::string value(1'000'000, 'v');
  const std::string request =
      "*2\r\n$4\r\nECHO\r\n$1000000\r\n" + value + "\r\n";
  std::thread writer([&] {
    for (int i = 0; i < 16; ++i) peer.write(request);
  });
  for (int i = 0; i < 16; ++i) {
    ASSERT_EQ(peer.read(10), "$1000000\r\n");
    ASSERT_EQ(peer.read(value.size() + 2), value + "\r\n");
  }
  writer.join();
  ::poll(nullptr, 0, 20);
  const std::uint64_t before = net::total(waits);
  ::poll(nullptr, 0, 50);
  EXPECT_LE(net::total(waits), before + 2);
}

// ---- signals that are not what they seem

// Somebody's signals are queued still when his descriptor is the next one's,
// of whom nothing is wanted: what they say, an end and an error, is not of him.
TEST(Sigio, SignalsOfWhoHadTheDescriptorBeforeHarmNobody) {
  Held held;
  held.hold();
  held.peer.write("ECHO b\r\n");
  Visitor next(held.loop.address);
  const std::string park(held.service.limits().parked_max, '\n');
  next.write("LATER x\r\n" + park);
  for (int i = 0; i < 20; ++i) held.peer.write("ECHO b\r\n");
  held.peer.reset();
  // The number of our own end is no longer free: the next is the server's.
  const net::Fd taken(::fcntl(next.fd(), F_DUPFD_CLOEXEC, 0));
  held.let_go();
  const LaterService::Asked asked = held.service.take();
  ASSERT_TRUE(soon(quiet));
  EXPECT_EQ(held.loop.clients(), 2u);
  asked.post();
  EXPECT_EQ(next.read(4), "+x\r\n");
  Held::echo(next);
}

// Of one with whom no call is due that would meet the error.
TEST(Sigio, APeerThatResetsWhileNothingIsWantedIsClosed) {
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address), other(loop.address);
  peer.write("LATER x\r\n" + std::string(service.limits().parked_max, '\n'));
  const LaterService::Asked asked = service.take();
  Held::echo(other);
  ASSERT_TRUE(soon(quiet));
  peer.reset();
  EXPECT_TRUE(soon([&] { return loop.clients() == 1; }));
  asked.post();
}

// By default they end a process. Whoever may send this one signals can send
// these, with any number for a descriptor.
TEST(Sigio, SignalsOfOthersEndNothing) {
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  Held::echo(peer);
  const std::uint64_t before = net::total(overflows) + net::total(scans);
  ::pthread_kill(loop.thread(), SIGIO);
  ASSERT_TRUE(
      soon([&] { return net::total(overflows) + net::total(scans) > before; }));
  for (const int number : {-1, 0, 1 << 30, peer.fd()})
    ::pthread_sigqueue(loop.thread(), SIGRTMIN, sigval{.sival_int = number});
  Held::echo(peer);
}

// Whoever runs the model may not have blocked them.
TEST(Sigio, BlocksItsSignalsBeforeTheyCanCome) {
  std::thread([] {
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
    const sigset_t set = sigio::block({SIGIO, sigio::ready_signal()});
    ::pthread_kill(::pthread_self(), SIGIO);
    ::pthread_kill(::pthread_self(), sigio::ready_signal());
    const timespec at_once{};
    EXPECT_EQ(::sigtimedwait(&set, nullptr, &at_once), SIGIO);
    EXPECT_EQ(::sigtimedwait(&set, nullptr, &at_once), sigio::ready_signal());
  }).join();
}

// Signals that came while the loop was busy: one call for each, or one for
// many, or one signal for all.
TEST(Sigio, SignalsThatWaitAreTakenOneByOneOrTogether) {
  constexpr int count = 100;
  Held held;
  Crowd crowd = join(held.loop, count);
  held.hold();
  for (auto& peer : crowd) peer->write("ECHO b\r\n");
  const std::uint64_t before = net::total(waits);
  held.let_go();
  for (auto& peer : crowd) ASSERT_EQ(peer->read(7), "$1\r\nb\r\n");
  const std::uint64_t calls = net::total(waits) - before;
  if (model::server.variant == std::string_view("queue")) {
    EXPECT_GE(calls, count);
  } else {
    EXPECT_LE(calls, 10u);
  }
}

TEST(Sigio, AnEchoTakesSoManyInstructions) {
  tests::expect_instructions(
      {{"queue", 1540}, {"classic", 1730}, {"signalfd", 1625}});
}

}  // namespace
