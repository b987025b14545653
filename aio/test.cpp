// What only this model promises: a thread for each request, one request at a
// time, and that nobody is forgotten of whom nothing was told.

#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>

#include "aio/calls.hpp"
#include "aio/operation.hpp"
#include "aio/told.hpp"
#include "tests/model/loop.hpp"
#include "tests/tools/command.hpp"

namespace {

using tests::FewSignals;
using tests::LaterService;
using tests::Loop;
using tests::soon;
using tests::Visitor;

const unsigned reads = net::counter("lib.", "aio_read");
const unsigned questions = net::counter("lib.", "aio_error");

bool is(const char* variant) {
  return model::server.variant == std::string_view(variant);
}

void echo(Visitor& peer) {
  peer.write("ECHO a\r\n");
  ASSERT_EQ(peer.read(7), "$1\r\na\r\n");
}

using Visitors = std::vector<std::unique_ptr<Visitor>>;

Visitors join(const Loop& loop, std::size_t count) {
  Visitors peers;
  while (peers.size() < count) {
    peers.push_back(std::make_unique<Visitor>(loop.address));
    echo(*peers.back());
  }
  return peers;
}

/// A shell script's output. $SERVER is this variant's program; start() starts
/// it with its options and sets $port, join() connects and sets $peer, end()
/// ends it and says how it ended.
std::string script(const std::string& text) {
  const std::string program = std::string("$BIN/") + model::server.name + "-" +
                              model::server.variant + "-server";
  // Under strace nobody can look for leaks.
  return tests::run("ASAN_OPTIONS=detect_leaks=0 bash 2>&1 <<'END'\nSERVER=" +
                    program + R"(
trap '' PIPE
trap '[ -z "$process" ] || kill $(pgrep -P $process) $process' EXIT
start() {
  exec {ready}< <("$@" --port 0 2>/dev/null & echo $!; wait $!; echo ended $?)
  read -r process <&$ready; read -r _ _ _ url <&$ready; port=${url##*:}
}
join() { exec {peer}<>/dev/tcp/127.0.0.1/$port; }
end() { [ $# = 0 ] || kill "$@"; read -r how <&$ready; echo "$how"; process=; }
hear() { read -r -t 20 said <&$peer; echo "$said"; }
ask() { printf '%s\r\n' "$1" >&$peer; hear; }
)" + text + "\nEND\n:")
      .text;
}

// Without a word about the size of its pool the library has 20 threads: the
// bell has one, and the 20th idle peer would be the last to be heard.
TEST(Aio, AsManyIdlePeersAreServedAsThereMayBeThreads) {
  LaterService service;
  Loop loop(service);
  const Visitors idle = join(loop, 100);
  for (const auto& peer : idle) echo(*peer);
}

TEST(Aio, WhoFindsNoThreadIsTold) {
  EXPECT_EQ(script(R"(
$SERVER --aio-threads 3 --traits | grep concurrent
start $SERVER --aio-threads 3
for i in 1 2 3; do join; ask PING; done
join; hear
end -TERM $process)"),
            "concurrent=3\n+PONG\r\n+PONG\r\n+PONG\r\n"
            "-ERR max number of clients reached\r\nended 0\n");
}

bool can_trace() { return tests::run("strace -o /dev/null true").status == 0; }

// Or the library would let him wait, without a word, for a thread of those who
// have one.
TEST(Aio, ForWhomThereIsNoThreadIsTold) {
  if (!can_trace()) GTEST_SKIP() << "strace cannot trace here";
  EXPECT_EQ(
      script(R"(
start $SERVER; join; ask PING
strace -f -qq -o /dev/null -e trace=clone3 -e inject=clone3:error=EAGAIN \
  -p $process &
while grep -q '^TracerPid:.0' /proc/$process/status; do sleep 0.01; done
join; hear
kill $!; wait $!
join; ask PING; end $process)"),
      "+PONG\r\n-ERR max number of clients reached\r\n+PONG\r\nended 0\n");
}

// A write that is asked while a read is out is made after it.
TEST(Aio, AnAnswerThatCameLateGoesOutThoughThePeerSaysNothing) {
  LaterService service;
  Loop loop(service);
  Visitor peer(loop.address);
  peer.write("LATER x\r\n");
  const LaterService::Asked asked = service.take();
  const std::uint64_t before = net::total(reads);
  ::poll(nullptr, 0, 50);
  EXPECT_EQ(net::total(reads), before);
  asked.post();
  EXPECT_EQ(peer.read(4), "+x\r\n");
}

// It has a read out when it is closed. The next peer gets its descriptor, and
// would have to wait behind that read.
TEST(Aio, ADescriptorIsGivenToTheNextWhenNoRequestIsOutForIt) {
  LaterService service;
  service.limits_.frame_time = std::chrono::milliseconds(30);
  Loop loop(service);
  for (int i = 0; i < 10; ++i) {
    Visitor late(loop.address);
    late.write("ECHO");
    EXPECT_EQ(late.read(1), "");
    Visitor next(loop.address);
    echo(next);
  }
}

// Whoever is in the middle of it: unread, read by a thread, or told.
TEST(Aio, WhatCameBeforeTheStopIsAnswered) {
  for (int i = 0; i < tests::sized(20, 200); ++i) {
    LaterService service;
    Loop loop(service);
    const Visitors peers = join(loop, 8);
    for (const auto& peer : peers) peer->write("ECHO a\r\n");
    loop.mailbox.stop();
    for (const auto& peer : peers) EXPECT_EQ(peer->read(8), "$1\r\na\r\n");
  }
}

// The read that is out ends when the peer has ended, and not by our hand.
TEST(Aio, AfterTheStopPeersAreWaitedFor) {
  LaterService service;
  Loop loop(service);
  Visitors peers = join(loop, 2);
  loop.mailbox.stop();
  for (const auto& peer : peers) EXPECT_EQ(peer->read(1), "");
  peers.pop_back();
  EXPECT_TRUE(soon([&] { return loop.clients() == 1; }));
  ::poll(nullptr, 0, 100);
  EXPECT_EQ(loop.clients(), 1u);
}

/// Asks until nothing more can be sent, and reads nothing: a thread sleeps in
/// write(2), and of the next request only the beginning has been read.
void ask_without_reading(Visitor& deaf) {
  const std::string request =
      "*2\r\n$4\r\nECHO\r\n$1000000\r\n" + std::string(1'000'000, 'v') + "\r\n";
  const timeval limit{.tv_sec = 0, .tv_usec = 300'000};
  ::setsockopt(deaf.fd(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  std::size_t sent = 0;
  for (ssize_t n = 1; n > 0; sent += n > 0 ? static_cast<std::size_t>(n) : 0)
    n = ::send(deaf.fd(), request.data() + sent % request.size(),
               request.size() - sent % request.size(), MSG_NOSIGNAL);
}

// It is we who do not read.
TEST(Aio, WhoseAnswerIsOnItsWayIsNotLateWithHisNextRequest) {
  LaterService service;
  service.limits_.frame_time = std::chrono::milliseconds(100);
  Loop loop(service);
  Visitor deaf(loop.address), late(loop.address);
  ask_without_reading(deaf);
  late.write("ECHO");
  EXPECT_EQ(late.read(1), "");
  ::poll(nullptr, 0, 200);
  EXPECT_EQ(loop.clients(), 1u);
  deaf.leave();
}

TEST(Aio, TheStopCallsBackWhoSleepsInAWrite) {
  LaterService service;
  Loop loop(service);
  Visitor deaf(loop.address);
  ask_without_reading(deaf);
  const auto began = net::now();
  loop.stop();
  EXPECT_LT(net::now() - began, 2'000'000'000);
  EXPECT_EQ(loop.clients(), 0u);
}

TEST(Aio, IdlePeersAreLookedAtNowAndThenAtMost) {
  LaterService service;
  Loop loop(service);
  const Visitors idle = join(loop, 50);
  ::poll(nullptr, 0, 100);
  const std::uint64_t before = net::total(questions);
  ::poll(nullptr, 0, 1'000);
  EXPECT_LE(net::total(questions) - before, 5u * 50u);
}

// The thread that would bring what has come may never be made: so he is waited
// for once, and not again before a read is done.
TEST(Aio, WhoHasBytesThatNobodyBringsIsHeldOnce) {
  std::array<int, 2> ends, idle;
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()), 0);
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, idle.data()), 0);
  const net::Fd peer(ends[1]), silent(idle[0]), other(idle[1]);
  LaterService service;
  protocol::Pool pool(service.budget());
  net::Clients clients;
  clients.now = 1;
  aio::Conversation<aio::by_nothing> one({net::Fd(ends[0]), net::Seat(clients)},
                                         service, pool, {nullptr, 2});
  std::byte room{};
  ASSERT_TRUE(one.operation.read(silent.get(), {&room, 1}));
  EXPECT_FALSE(one.hold()) << "nothing has come";
  ASSERT_EQ(::write(peer.get(), "x", 1), 1);
  EXPECT_TRUE(one.hold());
  EXPECT_TRUE(one.is_held());
  EXPECT_FALSE(one.hold());
  one.behind = false;  // by a read that is done
  EXPECT_TRUE(one.hold());
  ASSERT_EQ(::write(other.get(), "x", 1), 1);
  EXPECT_TRUE(soon([&] { return one.operation.result().has_value(); }));
}

// ---- told by signals

// What the library read before it found the queue full is lost with the
// result: nobody would be answered rightly from there on.
TEST(Aio, WhoseSignalIsLostIsClosedAndCounted) {
  if (!is("signal")) GTEST_SKIP() << "it is not told by signals";
  const unsigned lost = net::counter("model.", "lost_signals");
  const std::uint64_t before = net::total(lost);
  LaterService service;
  Loop loop(service);
  Visitor idle(loop.address), unlucky(loop.address);
  echo(idle);
  echo(unlucky);
  ::poll(nullptr, 0, 50);  // all it has asked for is out
  {
    const FewSignals none(0);
    unlucky.write("ECHO a\r\n");
    EXPECT_TRUE(soon([&] { return loop.clients() == 1; }));
  }
  EXPECT_EQ(unlucky.read(1), "");
  EXPECT_EQ(net::total(lost), before + 1);
  echo(idle);
}

TEST(Aio, TooFewSignalsAreRefusedInOneLine) {
  if (!is("signal")) GTEST_SKIP() << "it is not told by signals";
  EXPECT_EQ(script("ulimit -i 1000; $SERVER --port 0 2>&1; echo $?"),
            "1024 signals may be in the queue at once, and 1000 are allowed: "
            "raise that (ulimit -i) or lower --aio-threads\n77\n");
}

// ---- told by threads

// Each thread can make two others and no more: there is soon none that would
// tell.
TEST(Aio, WhoIsNotToldOfIsFound) {
  if (!is("thread")) GTEST_SKIP() << "it is not told by threads";
  if (!can_trace()) GTEST_SKIP() << "strace cannot trace here";
  const std::string said = script(R"(
start strace -f -qq -o /dev/null -e trace=clone3 \
  -e inject=clone3:error=EAGAIN:when=3+ $SERVER
join; for i in 1 2 3 4 5 6; do ask PING; done
ask 'INFO model' >/dev/null; hear; hear
end $(pgrep -P $process))");
  EXPECT_TRUE(said.starts_with("+PONG\r\n+PONG\r\n+PONG\r\n+PONG\r\n+PONG\r\n"))
      << said;
  EXPECT_NE(said.find("untold:"), std::string::npos) << said;
  EXPECT_EQ(said.find("untold:0"), std::string::npos) << said;
  EXPECT_TRUE(said.ends_with("ended 0\n")) << said;
}

// While the main thread does not wait for it yet, SIGTERM goes to a thread that
// has it unblocked: those that tell have everything unblocked.
TEST(Aio, ASignalForTheMainThreadFindsIt) {
  if (!is("thread")) GTEST_SKIP() << "it is not told by threads";
  if (!can_trace()) GTEST_SKIP() << "strace cannot trace here";
  EXPECT_EQ(script(R"(
start strace -f -qq -o /dev/null -e trace=rt_sigtimedwait \
  -e inject=rt_sigtimedwait:delay_enter=1500000:when=1 $SERVER
join; ask PING
kill $(pgrep -P $process); ask PING; exec {peer}>&-
end)"),
            "+PONG\r\n+PONG\r\nended 0\n");
}

// It would send itself the signal for ever.
TEST(Aio, ASignalThatNobodyWaitsForEndsTheProcess) {
  EXPECT_EXIT(
      {
        aio::hand_on_signals();
        ::raise(SIGTERM);
        ::poll(nullptr, 0, 1'000);
      },
      testing::KilledBySignal(SIGTERM), "");
}

}  // namespace
