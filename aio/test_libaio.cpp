// What only libaio promises: what a context takes and what it refuses, its
// slots, and that no poll holds a socket open.

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <fstream>

#include "aio/ring_libaio.hpp"
#include "tests/model/instructions.hpp"
#include "tests/model/loop.hpp"
#include "tests/tools/command.hpp"

namespace {

using libaio::Asked;
using libaio::Ring;
using tests::HoldingService;
using tests::LaterService;
using tests::Loop;
using tests::soon;
using tests::Visitor;

using Libaio = tests::ModelTest;

const unsigned setups = net::counter("sys.", "io_setup");
const unsigned submits = net::counter("sys.", "io_submit");
const unsigned waits = net::counter("sys.", "io_getevents");

// ---- A context --------------------------------------------------------------

/// What became of each that was asked for.
using Results = std::map<std::uint64_t, long>;

/// Hands over what is noted; `fill` fills in an entry by its id.
template <class Fill>
void hand_over(Ring& ring, Results& results, Fill fill) {
  ring.submit(
      [&](Asked, std::uint64_t id, iocb* entry) {
        fill(id, entry);
        return true;
      },
      [&](Asked, std::uint64_t id, long result) { results[id] = result; });
}

void take(Ring& ring, Results& results) {
  const timespec at_once{};
  ring.wait(&at_once);
  ring.take(
      [&](Asked, std::uint64_t id, long result) { results[id] = result; });
}

// io_submit(2) says how many it has taken, and of the next one only why not.
TEST_F(Libaio, WhatIsRefusedIsToldAndWhatIsBehindItIsTaken) {
  const net::Fd ready(::eventfd(1, EFD_CLOEXEC));
  Ring ring(8, true);
  Results results;
  for (std::uint64_t id = 1; id <= 5; ++id) ring.note(Asked::readable, id);
  hand_over(ring, results, [&](std::uint64_t id, iocb* entry) {
    ::io_prep_poll(entry, id % 2 ? ready.get() : -1, POLLIN);
  });
  EXPECT_EQ(results, (Results{{2, -EBADF}, {4, -EBADF}}));
  take(ring, results);
  EXPECT_EQ(
      results,
      (Results{
          {1, POLLIN}, {2, -EBADF}, {3, POLLIN}, {4, -EBADF}, {5, POLLIN}}));
}

// What finds no slot stays noted, and is handed over when there is one.
TEST_F(Libaio, NoMoreIsHandedOverThanThereAreSlots) {
  const net::Fd ready(::eventfd(1, EFD_CLOEXEC)),
      idle(::eventfd(0, EFD_CLOEXEC));
  const auto poll = [&](std::uint64_t id, iocb* entry) {
    ::io_prep_poll(entry, id == 1 ? ready.get() : idle.get(), POLLIN);
  };
  Ring ring(8, true);
  Results results;
  for (std::uint64_t id = 1; id <= 9; ++id) ring.note(Asked::readable, id);
  hand_over(ring, results, poll);
  EXPECT_FALSE(ring.waits()) << "more than 8 were handed over, or fewer";
  take(ring, results);
  EXPECT_TRUE(ring.waits());
  hand_over(ring, results, poll);
  EXPECT_FALSE(ring.waits());
  ASSERT_EQ(::eventfd_write(idle.get(), 1), 0);
  take(ring, results);
  EXPECT_EQ(results.size(), 9u);
}

// As many events as there is room for, and the rest the next time; whether they
// are fetched by a call or not.
TEST_F(Libaio, EventsThatAreLeftComeLater) {
  constexpr unsigned count = 400;
  const net::Fd ready(::eventfd(1, EFD_CLOEXEC));
  for (const bool peeks : {true, false}) {
    Ring ring(count, peeks);
    Results results;
    for (unsigned id = 1; id <= count; ++id) ring.note(Asked::readable, id);
    while (ring.waits())
      hand_over(ring, results, [&](std::uint64_t, iocb* entry) {
        ::io_prep_poll(entry, ready.get(), POLLIN);
      });
    const std::uint64_t before = net::total(waits);
    take(ring, results);
    EXPECT_TRUE(ring.more());
    EXPECT_LT(results.size(), count);
    take(ring, results);
    EXPECT_FALSE(ring.more());
    EXPECT_EQ(results.size(), count);
    EXPECT_EQ(net::total(waits) - before, peeks ? 0u : 2u);
  }
}

/// Is this thread asleep?
bool asleep(int thread) {
  std::ifstream stat("/proc/self/task/" + std::to_string(thread) + "/stat");
  std::string text;
  std::getline(stat, text);
  return text.substr(text.rfind(')') + 2, 1) == "S";
}

// The experiment that fails: what is called asynchronous waits inside of
// io_submit(2) if the socket may block, and does not wait at all if it may not.
TEST_F(Libaio, APlainReadOfASocketIsNotAsynchronous) {
  for (const bool blocking : {true, false}) {
    int ends[2];
    ASSERT_EQ(
        ::socketpair(AF_UNIX, SOCK_STREAM | (blocking ? 0 : SOCK_NONBLOCK), 0,
                     ends),
        0);
    const net::Fd ours(ends[0]), peers(ends[1]);
    const int reader = ::gettid();
    std::atomic<bool> returned = false;
    bool waited = false;
    std::thread peer([&] {
      waited = soon([&] { return asleep(reader) || returned; }) && !returned;
      EXPECT_EQ(::write(peers.get(), "x", 1), 1);
    });
    Ring ring(8, true);
    Results results;
    char byte = 0;
    ring.note(Asked::receive, 1);
    hand_over(ring, results, [&](std::uint64_t, iocb* entry) {
      ::io_prep_pread(entry, ours.get(), &byte, 1, 0);
    });
    returned = true;
    take(ring, results);
    peer.join();
    EXPECT_EQ(waited, blocking);
    EXPECT_EQ(results, (Results{{1, blocking ? 1 : -EAGAIN}}));
  }
}

// ---- The server -------------------------------------------------------------

void expect_echo(Visitor& peer) {
  peer.write("ECHO a\r\n");
  ASSERT_EQ(peer.read(7), "$1\r\na\r\n");
}

/// Has something come for this peer, its end included?
bool has_come(const Visitor& peer) {
  pollfd one{peer.fd(), POLLIN, 0};
  return ::poll(&one, 1, 0) == 1;
}

// Eight slots: the listener's, the bell's, two spare ones, and two peers'.
TEST_F(Libaio, WhoFindsNoSlotWaitsUntilOthersLeave) {
  LaterService service;
  Loop loop(service, {{"slots", 8}});
  std::vector<std::unique_ptr<Visitor>> peers;
  for (int i = 0; i < 10; ++i) {
    peers.push_back(std::make_unique<Visitor>(loop.address));
    peers.back()->write("ECHO a\r\n");
  }
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(peers[i]->read(7), "$1\r\na\r\n");
    ASSERT_TRUE(soon([&] { return loop.clients() == 2 || i > 8; }));
    if (i + 2 < 10) {
      EXPECT_FALSE(has_come(*peers[i + 2]));
    }
    peers[i]->leave();
  }
  Visitor last(loop.address);
  expect_echo(last);
}

// As long as the machine has slots a larger context takes the place of the one
// that is full. What was armed is armed again: a peer who had been idle, one
// who is slow to read, the listener and the bell.
TEST_F(Libaio, APeerMoreThanThereAreSlotsForFindsALargerContext) {
  LaterService service;
  Loop loop(service);
  const std::uint64_t before = net::total(setups);
  Visitor idle(loop.address), slow(loop.address), waiting(loop.address);
  expect_echo(idle);
  const std::string value(900'000, 'v');
  std::thread writer([&] {
    for (int i = 0; i < 8; ++i)
      slow.write("*2\r\n$4\r\nECHO\r\n$900000\r\n" + value + "\r\n");
  });
  waiting.write("LATER x\r\n");
  const LaterService::Asked asked = service.take();
  std::vector<std::unique_ptr<Visitor>> others;
  for (int i = 0; i < 600; ++i) {
    others.push_back(std::make_unique<Visitor>(loop.address));
    expect_echo(*others.back());
  }
  EXPECT_EQ(net::total(setups) - before, 1u);
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(slow.read(9), "$900000\r\n");
    ASSERT_EQ(slow.read(value.size() + 2), value + "\r\n");
  }
  writer.join();
  asked.post();
  EXPECT_EQ(waiting.read(4), "+x\r\n");
  expect_echo(idle);
  for (auto& other : others) expect_echo(*other);
}

/// So many requests, of which each has an answer of 64 KiB.
std::string echoes(int count) {
  std::string all;
  for (int i = 0; i < count; ++i)
    all += "*2\r\n$4\r\nECHO\r\n$65536\r\n" + std::string(65536, 'v') + "\r\n";
  return all;
}

// A poll has the socket, and close(2) alone would send nothing to a peer of
// whom something is awaited.
TEST_F(Libaio, WhoIsClosedWhileAPollIsArmedHearsOfIt) {
  LaterService service;
  service.limits_.frame_time = std::chrono::milliseconds(100);
  Loop loop(service);
  Visitor peer(loop.address);
  peer.write("*2\r\n$4\r\nECHO\r\n");
  EXPECT_EQ(peer.read(1), "");
  EXPECT_TRUE(has_come(peer)) << "it was not told in 20 s";
  EXPECT_TRUE(soon([&] { return loop.clients() == 0; }));
}

// Who is left when the time of a stop is over is reset, though polls are armed
// for him.
TEST_F(Libaio, WhoIsLeftAtTheStopIsReset) {
  LaterService service;
  Loop loop(service);
  Visitor deaf(loop.address);
  const timeval limit{.tv_sec = 0, .tv_usec = 500'000};
  ::setsockopt(deaf.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  const std::string requests = echoes(64);
  while (::send(deaf.fd(), requests.data(), requests.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(requests.size())) {
  }
  loop.stop();
  EXPECT_TRUE(soon([&] {
    pollfd one{deaf.fd(), 0, 0};
    return ::poll(&one, 1, 0) == 1 && (one.revents & POLLERR);
  }));
}

// The poll for new peers is taken back: with it a listener that has been closed
// would let the kernel make one more connection, which nobody accepts.
TEST_F(Libaio, NobodyConnectsWhoComesAfterTheStop) {
  LaterService service;
  Loop loop(service);
  Visitor slow(loop.address);  // who does not end: so the stop takes a while
  expect_echo(slow);
  loop.mailbox.stop();
  EXPECT_EQ(slow.read(1), "");
  const auto to = net::parse_address(loop.address);
  const net::Fd socket = net::open_socket(*to, 0);
  EXPECT_NE(::connect(socket.get(), to->get(), to->length), 0);
  EXPECT_EQ(loop.clients(), 1u) << "it was over by then";
}

// What lies there for many peers takes a wait, and the reads and the writes of
// each batch a call.
TEST_F(Libaio, ARoundOfManyPeersTakesFewCalls) {
  constexpr unsigned peers = 256;
  HoldingService service;
  Loop loop(service);
  std::vector<std::unique_ptr<Visitor>> visitors;
  for (unsigned i = 0; i < peers; ++i) {
    visitors.push_back(std::make_unique<Visitor>(loop.address));
    expect_echo(*visitors.back());
  }
  Visitor holder(loop.address);
  holder.write("HOLD\r\n");
  service.held.wait();
  for (auto& visitor : visitors) visitor->write("ECHO a\r\n");
  const std::uint64_t before = net::total(submits) + net::total(waits);
  service.let_go.count_down();
  for (auto& visitor : visitors) EXPECT_EQ(visitor->read(7), "$1\r\na\r\n");
  // Reads, and writes with the polls behind them; some waits, as they come.
  EXPECT_LE(net::total(submits) + net::total(waits) - before,
            4 * peers / Ring::batch + 8);
}

// Whose socket has gone by the time that what was noted for him is handed over
// is passed by; and the next one with his number is somebody else.
TEST_F(Libaio, WhoHasGoneMeanwhileIsPassedBy) {
  HoldingService service;
  Loop loop(service);
  std::vector<std::unique_ptr<Visitor>> gone;
  for (int i = 0; i < 200; ++i) {
    gone.push_back(std::make_unique<Visitor>(loop.address));
    expect_echo(*gone.back());
  }
  Visitor holder(loop.address);
  holder.write("HOLD\r\n");
  service.held.wait();
  for (auto& visitor : gone) {
    visitor->write("ECHO a\r\nECHO b\r\n");
    visitor->reset();
  }
  std::vector<std::unique_ptr<Visitor>> next;
  for (int i = 0; i < 200; ++i) {
    next.push_back(std::make_unique<Visitor>(loop.address));
    next.back()->write("ECHO c\r\n");
  }
  service.let_go.count_down();
  for (auto& visitor : next) EXPECT_EQ(visitor->read(7), "$1\r\nc\r\n");
  EXPECT_TRUE(soon([&] { return loop.clients() == 201; }));
}

// Without the ring in its memory it asks for every event.
TEST_F(Libaio, EventsMayBeFetchedByCallsAlone) {
  LaterService service;
  Loop loop(service, {{"peek", 0}});
  std::vector<std::unique_ptr<Visitor>> visitors;
  for (int i = 0; i < 100; ++i)
    visitors.push_back(std::make_unique<Visitor>(loop.address));
  const std::string value(200'000, 'v');
  for (auto& visitor : visitors) expect_echo(*visitor);
  for (auto& visitor : visitors) {
    visitor->write("*2\r\n$4\r\nECHO\r\n$200000\r\n" + value + "\r\n");
    EXPECT_EQ(visitor->read(9 + 200'002), "$200000\r\n" + value + "\r\n");
  }
}

// ---- What the kernel refuses ------------------------------------------------

bool can_trace() { return tests::run("strace -o /dev/null true").status == 0; }

std::string command_without(const std::string& calls) {
  return "env ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o /dev/null -e "
         "inject=" +
         calls + " $BIN/" + model::server.name + "-" + model::server.variant +
         "-server --port 0";
}

/// A server's program to which strace refuses calls.
class ServerWithout {
 public:
  explicit ServerWithout(const std::string& calls)
      : pipe_(::popen(("exec " + command_without(calls)).c_str(), "r")) {
    char line[256] = "";
    if (!pipe_ || !std::fgets(line, sizeof line, pipe_)) return;
    const std::string ready(line);
    address = ready.substr(ready.rfind('/') + 1);
    address.pop_back();
  }
  ~ServerWithout() { stop(); }

  /// How it has ended.
  int stop() {
    if (!pipe_) return -1;
    Visitor visitor(address);
    visitor.write("INFO server\r\nQUIT\r\n");
    const std::string told = visitor.read(1 << 16);
    const std::string name = "process_id:";
    ::kill(std::stoi(told.substr(told.find(name) + name.size())), SIGTERM);
    return ::pclose(std::exchange(pipe_, nullptr));
  }

  std::string address;

 private:
  FILE* pipe_;
};

// Of what is refused for want of memory nothing has happened, and it is asked
// for again.
TEST_F(Libaio, RequestsForWhichThereIsNoMemoryAreMadeAgain) {
  if (!can_trace()) GTEST_SKIP() << "strace cannot trace here";
  ServerWithout server("io_submit:error=EAGAIN:when=2+3");
  std::vector<std::unique_ptr<Visitor>> visitors;
  const std::string value(40'000, 'v');
  for (int i = 0; i < 20; ++i) {
    visitors.push_back(std::make_unique<Visitor>(server.address));
    visitors.back()->write("*2\r\n$4\r\nECHO\r\n$40000\r\n" + value + "\r\n");
  }
  for (auto& visitor : visitors)
    EXPECT_EQ(visitor->read(8 + 40'002), "$40000\r\n" + value + "\r\n");
  EXPECT_EQ(server.stop(), 0);
}

// Where the machine has no slots left for a larger context, it goes on with the
// one that it has.
TEST_F(Libaio, WhereNoLargerContextIsToBeHadPeersWait) {
  if (!can_trace()) GTEST_SKIP() << "strace cannot trace here";
  ServerWithout server("io_setup:error=EAGAIN:when=2+");
  std::vector<std::unique_ptr<Visitor>> visitors;
  for (int i = 0; i < 510; ++i) {
    visitors.push_back(std::make_unique<Visitor>(server.address));
    expect_echo(*visitors.back());
  }
  Visitor late(server.address);
  late.write("ECHO a\r\n");
  expect_echo(*visitors.front());
  EXPECT_FALSE(has_come(late));
  visitors.clear();
  EXPECT_EQ(late.read(7), "$1\r\na\r\n");
  EXPECT_EQ(server.stop(), 0);
}

// And asks again: whoever had the slots may have ended.
TEST_F(Libaio, ALargerContextIsAskedForAgain) {
  if (!can_trace()) GTEST_SKIP() << "strace cannot trace here";
  ServerWithout server("io_setup:error=EAGAIN:when=2");
  std::vector<std::unique_ptr<Visitor>> visitors;
  for (int i = 0; i < 520; ++i) {
    visitors.push_back(std::make_unique<Visitor>(server.address));
    visitors.back()->write("ECHO a\r\n");
  }
  for (auto& visitor : visitors) EXPECT_EQ(visitor->read(7), "$1\r\na\r\n");
  EXPECT_EQ(server.stop(), 0);
}

TEST_F(Libaio, ARefusalIsOneLine) {
  if (!can_trace()) GTEST_SKIP() << "strace cannot trace here";
  for (const auto& [calls, words] : std::map<std::string, std::string>{
           {"io_setup:error=EAGAIN", "sysctl fs.aio-max-nr"},
           {"io_setup:error=ENOSYS", "seccomp"},
           {"io_submit:error=EINVAL", "needs Linux 4.18"},
           {"io_getevents:error=EPERM", "seccomp"},
           {"io_cancel:error=ENOSYS", "seccomp"}}) {
    const tests::Finished said = tests::run(command_without(calls));
    EXPECT_EQ(WEXITSTATUS(said.status), 77) << said.text;
    EXPECT_EQ(std::ranges::count(said.text, '\n'), 1) << said.text;
    EXPECT_NE(said.text.find(words), std::string::npos) << said.text;
    EXPECT_NE(said.text.find(calls.substr(0, calls.find(':'))),
              std::string::npos)
        << said.text;
  }
}

// As many as 2 100 where the next request comes while the last write is being
// looked at, and a turn more where it does not.
TEST_F(Libaio, AnEchoTakesSoManyInstructions) {
  tests::expect_instructions({{"libaio", 2600}});
}

}  // namespace
