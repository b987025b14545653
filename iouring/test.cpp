// What only this model promises: few buffers, few completions, and requests
// that have to be taken back.

#include <sys/wait.h>

#include <algorithm>

#include "iouring/ring.hpp"
#include "tests/model/instructions.hpp"
#include "tests/model/loop.hpp"
#include "tests/tools/command.hpp"

namespace {

using tests::LaterService;
using tests::Loop;
using tests::soon;
using tests::Visitor;

using IoUring = tests::ModelTest;

const unsigned enobufs = net::counter("model.", "enobufs");
const unsigned overflows = net::counter("model.", "overflows");

/// 256 peers, each with one request on its way at a time, until each has had
/// `rounds` answers; the most answers that went to others between two of one.
int serve_everybody(Loop& loop, int rounds) {
  constexpr int peers = 256;
  std::vector<std::unique_ptr<Visitor>> visitors;
  std::vector<pollfd> polled;
  for (int i = 0; i < peers; ++i) {
    visitors.push_back(std::make_unique<Visitor>(loop.address));
    polled.push_back({visitors.back()->fd(), POLLIN, 0});
  }
  for (auto& visitor : visitors) visitor->write("ECHO a\r\n");
  std::vector<int> answers(peers), last(peers);
  int total = 0, longest = 0, unfinished = peers;
  while (unfinished > 0) {
    if (::poll(polled.data(), polled.size(), 10'000) <= 0) return -1;
    for (int i = 0; i < peers; ++i) {
      if (!(polled[i].revents & POLLIN)) continue;
      if (visitors[i]->read(7) != "$1\r\na\r\n") return -1;
      longest = std::max(longest, ++total - last[i] - 1);
      last[i] = total;
      if (++answers[i] < rounds)
        visitors[i]->write("ECHO a\r\n");
      else
        polled[i].fd = -1, --unfinished;
    }
  }
  return longest;
}

TEST_F(IoUring, FewBuffersAreSharedFairly) {
  LaterService service;
  Loop loop(service, {{"buffers", 16}, {"buffer-size", 512}});
  const std::uint64_t before = net::total(enobufs);
  const int longest = serve_everybody(loop, 200);
  EXPECT_GE(longest, 0) << "a peer has had no answer for 10 s";
  EXPECT_LE(longest, 2'000);
  EXPECT_GT(net::total(enobufs), before) << "16 buffers were enough";
}

TEST_F(IoUring, CompletionsThatOverflowAreNotLost) {
  LaterService service;
  Loop loop(service, {{"entries", 8}, {"completions", 16}});
  const std::uint64_t before = net::total(overflows);
  EXPECT_GE(serve_everybody(loop, 50), 0);
  EXPECT_GT(net::total(overflows), before) << "16 completions were enough";
}

TEST_F(IoUring, TheLargestAnswersComeWhole) {
  LaterService service;
  Loop loop(service, {{"buffers", 2}, {"buffer-size", 64}});
  Visitor peer(loop.address);
  const std::string value(1'000'000, 'v');
  std::thread writer([&] {
    for (int i = 0; i < 4; ++i)
      peer.write("*2\r\n$4\r\nECHO\r\n$1000000\r\n" + value + "\r\n");
  });
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(peer.read(10), "$1000000\r\n");
    EXPECT_EQ(peer.read(value.size() + 2), value + "\r\n");
  }
  writer.join();
}

// The request to receive stays with the kernel: whoever does not read his
// answers, and whoever is gone, has it taken back.
TEST_F(IoUring, WhatTheKernelHasIsTakenBackBeforeTheClose) {
  LaterService service;
  service.limits_.reader_time = std::chrono::milliseconds(200);
  Loop loop(service);
  std::vector<std::unique_ptr<Visitor>> deaf;
  const std::string value(1'000'000, 'v');
  const std::string request =
      "*2\r\n$4\r\nECHO\r\n$1000000\r\n" + value + "\r\n";
  for (int i = 0; i < 8; ++i) {
    deaf.push_back(std::make_unique<Visitor>(loop.address));
    const timeval limit{.tv_sec = 0, .tv_usec = 50'000};
    ::setsockopt(deaf.back()->fd(), SOL_SOCKET, SO_SNDTIMEO, &limit,
                 sizeof limit);
    std::size_t sent = 0;
    for (ssize_t n = 1; n > 0; sent += n > 0 ? static_cast<std::size_t>(n) : 0)
      n = ::send(deaf.back()->fd(), request.data() + sent % request.size(),
                 request.size() - sent % request.size(), MSG_NOSIGNAL);
  }
  for (int i = 0; i < 4; ++i) deaf[i]->reset();
  EXPECT_TRUE(soon([&] { return loop.clients() == 0; }));
}

/// What a program of this model says when calls are refused to it, and its exit
/// code. Under strace LeakSanitizer cannot work.
struct Said {
  std::string text;
  int code;
};
Said refused(const std::string& calls, const net::Model& model,
             const std::string& kind, const std::string& arguments) {
  const tests::Finished finished = tests::run(
      "ASAN_OPTIONS=detect_leaks=0 strace -f -qq -o /dev/null -e inject=" +
      calls + " $BIN/" + model.name + "-" + model.variant + "-" + kind + " " +
      arguments);
  return {finished.text,
          WIFEXITED(finished.status) ? WEXITSTATUS(finished.status) : -1};
}

bool can_trace() { return tests::run("strace -o /dev/null true").status == 0; }

TEST_F(IoUring, ARefusalIsOneLine) {
  if (!can_trace()) GTEST_SKIP() << "strace cannot trace here";
  for (const char* calls : {"io_uring_setup:error=EINVAL",
                            // What the kernel knows is asked first.
                            "io_uring_register:error=EINVAL:when=1"}) {
    const Said said = refused(calls, model::server, "server", "--port 0");
    EXPECT_EQ(said.code, 77) << said.text;
    EXPECT_EQ(std::ranges::count(said.text, '\n'), 1) << said.text;
    EXPECT_TRUE(said.text.ends_with("needs Linux 6.0\n")) << said.text;
  }
}

// Each ring is refused at first, that of the probe and that of the client.
TEST_F(IoUring, WhatIsDoneWithoutIsSaidOnce) {
  if (!can_trace()) GTEST_SKIP() << "strace cannot trace here";
  LaterService service;
  Loop loop(service);
  const Said said = refused("io_uring_setup:error=EINVAL:when=1+2",
                            model::client, "client", loop.address + " ECHO a");
  EXPECT_EQ(said.text, "no DEFER_TASKRUN here: using COOP_TASKRUN\na\n");
  EXPECT_EQ(said.code, 0);
}

TEST_F(IoUring, AnEchoTakesSoManyInstructions) {
  tests::expect_instructions({{"multishot", 1843}});
}

}  // namespace
