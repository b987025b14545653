// SIGTERM: whatever is going on, nobody's answer is cut in the middle, and the
// process ends with 0 before two seconds are over.

#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <future>
#include <thread>

#include "tests/conformance/crowd.hpp"
#include "tests/conformance/server.hpp"
#include "tests/conformance/tracer.hpp"

namespace conformance {
namespace {

class Stop : public ServerTest {
 protected:
  std::string obstacle() const {
    return sleeps() ? Tracer::obstacle()
                    : "a tracer is in the way of each of its calls";
  }
  /// Stands still as a whole until go_on(): what is sent meanwhile has come,
  /// and nobody has looked at it.
  static void halt(const Process& process) {
    process.signal(SIGSTOP);
    siginfo_t told{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(process.pid()), &told,
                       WSTOPPED | WNOWAIT),
              0);
  }
  static void end_and_go_on(const Process& process) {
    process.signal(SIGTERM);
    process.signal(SIGCONT);
  }
};

TEST_P(Stop, AnIdleServerEndsAtOnceAndLeavesItsAccount) {
  Server& server = start();
  EXPECT_EQ(server.ask({"ECHO", "hello"}), bulk("hello"));
  server.process().signal(SIGTERM);
  EXPECT_EQ(server.process().wait(stop_bound()), 0);
  EXPECT_EQ(lines_of(server.process().output()).size(), 1u);
  const Account account = server.account();
  EXPECT_EQ(account.at("requests"), 1);
  EXPECT_EQ(account.at("accepted"), 1);
  EXPECT_EQ(account.at("refused"), 0);
  EXPECT_EQ(account.at("reset"), 0);
  EXPECT_EQ(account.at("evicted"), 0);
  EXPECT_EQ(account.at("late"), 0);
}

// Who reads on when the stop has begun has what he is owed: for each of them
// the server waits until there is room, and more often than once.
TEST_P(Stop, ReadersWhoPauseHaveTheirAnswersWhole) {
  REQUIRE_CONCURRENT(22u);
  if (sanitized()) GTEST_SKIP() << "so much takes longer than a stop may";
  constexpr std::size_t pings = 4'000;
  Server& server = start({"--reader-time", "800", "--send-buffer", "65536"});
  const std::string value(300'000, 'x');
  EXPECT_EQ(server.ask({"SET", "key", value}), ok);
  std::string asked = request({"GET", "key"}), owed = bulk(value);
  for (std::size_t i = 0; i < pings; ++i) {
    asked += "PING\r\n";
    owed += pong;
  }
  std::vector<Peer> readers;
  for (int i = 0; i < 20; ++i) {
    readers.push_back(server.connect({.receive = 16384}));
    readers.back().send(asked);
  }
  std::this_thread::sleep_for(Milliseconds(250));
  server.process().signal(SIGTERM);
  std::this_thread::sleep_for(Milliseconds(300));
  std::vector<std::future<Answer>> rests;
  for (Peer& reader : readers)
    rests.push_back(
        std::async(std::launch::async, [&] { return reader.rest(); }));
  for (auto& rest : rests) EXPECT_TRUE(rest.get() == owed);
  EXPECT_EQ(server.process().wait(stop_bound()), 0);
}

// Nobody has asked for these, and by default they end a process.
TEST_P(Stop, IsAskedForByNoOtherSignal) {
  if (own_program())
    GTEST_SKIP() << "what else ends a program is its own affair";
  Server& server = start();
  EXPECT_EQ(server.ask({"PING"}), pong);
  for (const int signal : {SIGUSR2, SIGALRM, SIGPIPE, SIGIO, SIGPROF, SIGRTMIN})
    server.process().signal(signal);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(server.ask({"PING"}), pong);
}

TEST_P(Stop, InterruptDoesTheSame) {
  Server& server = start();
  EXPECT_EQ(server.ask({"PING"}), pong);
  server.process().signal(SIGINT);
  EXPECT_EQ(server.process().wait(stop_bound()), 0);
  EXPECT_THROW(server.connect(), Trouble);
}

// Idle peers are told by a FIN, not by a reset.
TEST_P(Stop, IdlePeersSeeTheEnd) {
  REQUIRE_CONCURRENT(20u);
  Server& server = start();
  std::vector<Peer> peers;
  for (int i = 0; i < 20; ++i) {
    peers.push_back(server.connect());
    EXPECT_EQ(peers.back().ask({"PING"}), pong);
  }
  server.process().signal(SIGTERM);
  for (Peer& peer : peers) EXPECT_EQ(peer.rest(), "");
  peers.clear();
  EXPECT_EQ(server.process().wait(stop_bound()), 0);
  if (held_to(Level::limits)) {
    EXPECT_EQ(server.account().at("reset"), 0);
  }
}

// Whole requests lie in the sockets of peers who are known, or who still wait
// in the queue: they came before the signal, so they are answered.
TEST_P(Stop, WhatHasComeIsAnswered) {
  REQUIRE_CONCURRENT(200u);
  for (const bool known : {true, false}) {
    // A slow machine needs 4 ms to let one in, and has 0.75 s for all.
    const std::size_t count = known ? 200 : 40;
    Server& server = start();
    std::vector<Peer> peers;
    const auto join = [&] {
      while (peers.size() < count) peers.push_back(server.connect());
    };
    if (known) {
      join();
      for (Peer& peer : peers) EXPECT_EQ(peer.ask({"PING"}), pong);
    }
    halt(server.process());
    join();
    for (Peer& peer : peers) peer.send(request({"PING"}));
    end_and_go_on(server.process());
    for (Peer& peer : peers) EXPECT_EQ(peer.rest(), pong) << known;
    peers.clear();
    EXPECT_EQ(server.process().wait(stop_bound()), 0);
    EXPECT_EQ(server.account().at("requests"), known ? 2 * count : count);
  }
}

// More than one receive brings, and more than a portion; but no more than the
// kernel takes for a peer at once.
TEST_P(Stop, AllThatHasComeWholeIsAnswered) {
  constexpr std::size_t pings = 8'000;
  Server server(GetParam(), {});
  server.await_ready();
  REQUIRE_CONCURRENT(2u);
  Peer large = server.connect(), many = server.connect();
  for (Peer* peer : {&large, &many}) EXPECT_EQ(peer->ask({"PING"}), pong);
  halt(server.process());
  large.send(request({"SET", "key", std::string(50'000, 'x')}));
  std::string asked, answered;
  for (std::size_t i = 0; i < pings; ++i) {
    asked += "PING\r\n";
    answered += pong;
  }
  many.send(asked);
  end_and_go_on(server.process());
  EXPECT_EQ(large.rest(), ok);
  EXPECT_EQ(many.rest(), answered);
  EXPECT_EQ(server.process().wait(stop_bound()), 0);
}

// One who is too many is told so, and is no reason to forget those behind him:
// the listener's end would reset them.
TEST_P(Stop, WhoIsTooManyInTheQueueIsTold) {
  Server& server = start({"--max-clients", "1"});
  Peer inside = server.connect();
  EXPECT_EQ(inside.ask({"PING"}), pong);
  halt(server.process());
  std::vector<Peer> outside;
  while (outside.size() < 5) outside.push_back(server.connect());
  end_and_go_on(server.process());
  for (Peer& peer : outside)
    EXPECT_EQ(peer.rest(), "-ERR max number of clients reached\r\n");
  EXPECT_EQ(inside.rest(), "");
  inside.close();
  EXPECT_EQ(server.process().wait(stop_bound()), 0);
}

/// How often the server has made a call, by its account; 0 if it never does.
double calls_of(const Account& account, const std::string& call) {
  const auto found = account.find("calls." + call);
  return found == account.end() ? 0 : found->second;
}

// They are let in, are told the end, and have their time to end too. Meanwhile
// the server sleeps.
TEST_P(Stop, IdlePeersWhoWaitedInTheQueueAreWaitedForAsleep) {
  REQUIRE_CONCURRENT(4u);
  Server& server = start({"--drain-time", "300"});
  halt(server.process());
  std::vector<Peer> peers;
  for (int i = 0; i < 4; ++i) peers.push_back(server.connect());
  end_and_go_on(server.process());
  for (Peer& peer : peers) EXPECT_EQ(peer.rest(), "");
  EXPECT_EQ(server.process().wait(stop_bound()), 0);
  const Account account = server.account();
  EXPECT_EQ(account.at("accepted"), 4);
  EXPECT_EQ(account.at("late"), 4);
  EXPECT_EQ(account.at("reset"), 0);
  if (!traits()["sleeps"].starts_with("y")) return;
  EXPECT_LE(calls_of(account, "recv"), 40);
}

// Whoever started the server may have kept the listener open too. Peers who
// come then are nobody's, and no reason to wake up.
TEST_P(Stop, AListenerThatSomebodyElseHoldsIsLeftAlone) {
  REQUIRE_SOCKET();
  Descriptor listener = bind_socket();
  const Descriptor kept(::dup(listener.get()));
  Server& server =
      start(GetParam(), {"--drain-time", "300"}, std::move(listener));
  Peer peer = server.connect();
  EXPECT_EQ(peer.ask({"PING"}), pong);
  server.process().signal(SIGTERM);
  EXPECT_EQ(peer.rest(), "");
  const Peer late = server.connect();
  EXPECT_EQ(server.process().wait(stop_bound()), 0);
  const Account account = server.account();
  EXPECT_EQ(account.at("accepted"), 1);
  if (!sleeps()) return;
  EXPECT_LE(calls_of(account, "accept4"), 20);
}

/// Peers who always have up to 64 requests on their way, until the server's
/// FIN. Only then do they fall silent, as clients do.
class Load {
 public:
  Load(const Server& server, std::size_t peers) : sent_(peers) {
    for (std::size_t i = 0; i < peers; ++i) crowd_.join(server.address());
  }

  bool run(const std::function<bool()>& done) {
    return crowd_.run([&] {
      for (std::size_t i = 0; i < sent_.size(); ++i) top_up(i);
      return done();
    });
  }
  std::size_t received() const {
    std::size_t bytes = 0;
    for (const auto& member : members()) bytes += member->incoming.size();
    return bytes;
  }
  bool all_ended() const {
    return crowd_.count([](const Member& m) { return m.open(); }) == 0;
  }
  /// What the i-th would have got for all that it has sent.
  std::string expected(std::size_t i) const {
    std::string answers;
    for (std::size_t n = 0; n < sent_[i]; ++n)
      answers += echo_answer(i << 32 | n, size_);
    return answers;
  }
  std::vector<std::unique_ptr<Member>>& members() { return crowd_.members(); }
  const std::vector<std::unique_ptr<Member>>& members() const {
    return const_cast<Load*>(this)->crowd_.members();
  }

 private:
  void top_up(std::size_t i) {
    Member& member = *crowd_.members()[i];
    const std::size_t answered = member.incoming.size() / bulk_size();
    if (member.ended) member.socket.close();  // it has fallen silent
    while (member.open() && sent_[i] < answered + 64)
      member.outgoing += echo_request(i << 32 | sent_[i]++, size_);
  }
  std::size_t bulk_size() const { return echo_answer(0, size_).size(); }

  Crowd crowd_;
  std::vector<std::size_t> sent_;
  const std::size_t size_ = 300;
};

TEST_P(Stop, UnderLoadEveryAnswerIsWholeAndCounted) {
  const std::size_t peers = std::min<std::size_t>(50, traits().concurrent());
  Server& server = start();
  Load load(server, peers);
  ASSERT_TRUE(load.run([&] { return load.received() > 3'000'000; }));
  server.process().signal(SIGTERM);
  ASSERT_TRUE(load.run([&] { return load.all_ended(); }));
  std::size_t answered = 0;
  for (std::size_t i = 0; i < peers; ++i) {
    const Member& member = *load.members()[i];
    EXPECT_TRUE(member.ended && !member.reset) << i;
    EXPECT_TRUE(load.expected(i).starts_with(member.incoming)) << i;
    const Frames frames = frames_of(member.incoming);
    EXPECT_TRUE(frames.exact) << i << " ends inside a frame";
    answered += frames.count;
  }
  EXPECT_EQ(server.process().wait(stop_bound()), 0);
  const Account account = server.account();
  EXPECT_EQ(account.at("requests"), static_cast<double>(answered));
  EXPECT_EQ(account.at("reset"), 0);
}

// Who does not even read is left behind when the time is up, and counted.
TEST_P(Stop, APeerWhoDoesNotReadIsResetInTime) {
  Server& server = start({"--send-buffer", "16384"});
  EXPECT_EQ(server.ask({"SET", "key", std::string(1 << 20, 'x')}), ok);
  Peer peer = server.connect({.receive = 4096});
  for (int i = 0; i < 4; ++i) peer.send(request({"GET", "key"}));
  EXPECT_EQ(peer.receive_like("$1048576\r\n"), "$1048576\r\n");
  server.process().signal(SIGTERM);
  EXPECT_EQ(server.process().wait(stop_bound()), 0);
  EXPECT_EQ(server.account().at("reset"), 1);
}

// New peers come faster than they are let in: the queue may never be empty, and
// the listener has to be closed all the same.
TEST_P(Stop, AStreamOfNewPeersDoesNotHoldIt) {
  Server& server = start();
  EXPECT_EQ(server.ask({"PING"}), pong);
  std::atomic<bool> over = false;
  std::atomic<std::size_t> connected = 0;
  std::vector<std::future<void>> streams;
  for (int i = 0; i < 4; ++i)
    streams.push_back(std::async(std::launch::async, [&] {
      while (!over) {
        try {
          Peer peer = server.connect();
          if (++connected % 16 == 0) peer.reset();
        } catch (const Trouble&) {
          // It has gone, or is going.
        }
      }
    }));
  EXPECT_TRUE(eventually([&] { return connected > 200; }));
  server.process().signal(SIGTERM);
  EXPECT_TRUE(eventually([&] { return server.process().ended().has_value(); },
                         stop_bound()));
  over = true;
}

// Who has our end and does not end himself is late after --drain-time. If he
// had that a second time, it would be more than a stop may take, and a reset.
TEST_P(Stop, PeersWhoDoNotEndAreLate) {
  REQUIRE_CONCURRENT(3u);
  Server& server = start({"--drain-time", "900"});
  std::vector<Peer> peers;
  for (int i = 0; i < 3; ++i) {
    peers.push_back(server.connect());
    EXPECT_EQ(peers.back().ask({"PING"}), pong);
  }
  EXPECT_EQ(server.stop(), 0);
  EXPECT_EQ(server.account().at("late"), 3);
  EXPECT_EQ(server.account().at("reset"), 0);
}

// A machine that has nothing left for us, so that each peer takes 60 ms to let
// in: not all who wait can be, and who was there is answered all the same.
TEST_P(Stop, LettingInLeavesTimeToAnswer) {
  if (!obstacle().empty()) GTEST_SKIP() << obstacle();
  const std::size_t count = 40, answers = size_of(8, 3);
  REQUIRE_CONCURRENT(count + 1);
  // Below a tracer nobody can look for leaks, and that is a failure by itself.
  Server server(
      {"env", "/usr/bin/env"},
      {"ASAN_OPTIONS=detect_leaks=0", GetParam().path, "--drain-time", "300"});
  server.await_ready();
  const std::string value(900'000, 'x');
  EXPECT_EQ(server.ask({"SET", "key", value}), ok);
  Peer known = server.connect();
  EXPECT_EQ(known.ask({"PING"}), pong);
  const Tracer tracer(
      server, {"-o", "/dev/null", "-e", "inject=accept4:delay_exit=60000"});
  halt(server.process());
  std::vector<Peer> waiting;
  while (waiting.size() < count) waiting.push_back(server.connect());
  std::string asked, answered;
  for (std::size_t i = 0; i < answers; ++i) {
    asked += request({"GET", "key"});
    answered += "$900000\r\n" + value + "\r\n";
  }
  known.send(asked);
  end_and_go_on(server.process());
  EXPECT_EQ(known.rest(), answered);
  EXPECT_EQ(server.process().wait(stop_bound()), 0);
  const Account account = server.account();
  if (calls_of(account, "accept4") == 0) return;  // the kernel lets them in
  EXPECT_LT(account.at("accepted"), count);
}

/// Nobody can connect any more: the first signal has arrived.
bool is_closed(const Server& server) {
  try {
    server.connect();
    return false;
  } catch (const Trouble&) {
    return true;
  }
}

TEST_P(Stop, ASecondInterruptEndsAtOnce) {
  // Who ends at once does not wait for his threads, which TSan would tell.
  Server server({"env", "/usr/bin/env"},
                {"TSAN_OPTIONS=report_thread_leaks=0", GetParam().path,
                 "--send-buffer", "16384"});
  server.await_ready();
  EXPECT_EQ(server.ask({"SET", "key", std::string(1 << 20, 'x')}), ok);
  Peer peer = server.connect({.receive = 4096});
  for (int i = 0; i < 4; ++i) peer.send(request({"GET", "key"}));
  EXPECT_EQ(peer.receive_like("$1048576\r\n"), "$1048576\r\n");
  server.process().signal(SIGINT);
  EXPECT_TRUE(eventually([&] {
    std::this_thread::sleep_for(Milliseconds(20));
    return is_closed(server);
  }));
  server.process().signal(SIGINT);
  EXPECT_EQ(server.process().wait(stop_bound()), 130)
      << server.process().errors();
}

INSTANTIATE_TEST_SUITE_P(Servers, Stop, testing::ValuesIn(servers()), name_of);

}  // namespace
}  // namespace conformance
