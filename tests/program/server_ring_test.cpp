#include "program/server_ring.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace {

namespace files = std::filesystem;

/// Programs are scripts here.
class ServerRingTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(::mkdtemp(directory_.data()), nullptr);
    options_.servers = {good_server()};
    options_.count = 3;
    options_.client = script("client", "echo \"asked $1 $2\"");
  }
  void TearDown() override { files::remove_all(directory_); }

  std::string script(const std::string& name, const std::string& body) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    ::chmod(path.c_str(), 0700);
    return path;
  }
  /// Writes its arguments down, and ends with 0 when it is told to.
  std::string good_server() {
    return script("server",
                  "[ -S /proc/self/fd/$2 ] || exit 3\n"
                  "echo \"$1 $3 $5 $6\" >> " +
                      directory_ +
                      "/started\n"
                      "echo \"$4\" >> " +
                      directory_ +
                      "/rings\n"
                      "echo message >&2\n"
                      "trap 'exit 0' TERM\n"
                      "echo ready some server\n"
                      "while :; do sleep 0.05; done");
  }

  int run() {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = program::run_ring(options_);
    output_ = testing::internal::GetCapturedStdout();
    errors_ = testing::internal::GetCapturedStderr();
    return code;
  }
  std::string contents(const std::string& name) const {
    std::ifstream in(directory_ + "/" + name);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string directory_ = "/tmp/ring_XXXXXX";
  program::RingOptions options_;
  std::string output_, errors_;
};

TEST_F(ServerRingTest, StartsAndShowsAndStops) {
  options_.server_options = {"--threads", "2"};
  EXPECT_EQ(run(), 0) << errors_;
  const std::string started = "--listen-fd --ring --threads 2\n";
  EXPECT_EQ(contents("started"), started + started + started);
  const std::string rings = contents("rings");
  const std::string ring = rings.substr(0, rings.find('\n'));
  EXPECT_EQ(rings, ring + "\n" + ring + "\n" + ring + "\n");
  EXPECT_EQ(std::ranges::count(ring, ','), 2);
  const std::string first = ring.substr(0, ring.find(','));
  EXPECT_TRUE(output_.starts_with("A ring of 3 servers: " + first)) << output_;
  EXPECT_TRUE(output_.ends_with("asked " + first + " --demo\n")) << output_;
  EXPECT_EQ(errors_, "");
}

TEST_F(ServerRingTest, BindsWhereItIsTold) {
  options_.bind = "127.0.0.2";
  EXPECT_EQ(run(), 0) << errors_;
  EXPECT_TRUE(output_.starts_with("A ring of 3 servers: 127.0.0.2:"))
      << output_;
}

TEST_F(ServerRingTest, TakesTheServersInTurn) {
  options_.servers.push_back(
      script("other", "echo other >> " + directory_ + "/rings\nexec " +
                          options_.servers[0] + " \"$@\""));
  options_.count = 5;
  EXPECT_EQ(run(), 0) << errors_;
  const std::string rings = contents("rings");
  EXPECT_EQ(std::ranges::count(rings, '\n'), 5 + 2);
}

TEST_F(ServerRingTest, EndsAsTheClientDoes) {
  options_.client = script("client", "exit 5");
  EXPECT_EQ(run(), 5);
  options_.client = script("client", "kill -KILL $$");
  EXPECT_EQ(run(), 128 + SIGKILL);
  options_.client = directory_ + "/none";
  EXPECT_EQ(run(), 127);
  EXPECT_NE(errors_.find("none: No such file"), std::string::npos) << errors_;
}

TEST_F(ServerRingTest, SkipsWithTheReason) {
  options_.servers.push_back(
      script("skip", "echo 'no ring here; try harder' >&2; exit 77"));
  EXPECT_EQ(run(), 77);
  EXPECT_EQ(output_, "SKIP no ring here; try harder\n");
  options_.servers.pop_back();
  options_.client = script("client", "exit 77");
  EXPECT_EQ(run(), 77);
}

TEST_F(ServerRingTest, SaysWhichServerDidNotBecomeReady) {
  options_.servers.push_back(script("bad", "echo 'bind: no' >&2; exit 4"));
  EXPECT_EQ(run(), 1);
  EXPECT_EQ(errors_, options_.servers[1] + ": has ended with 4\nbind: no\n");
  options_.servers[1] = script("wrong", "echo steady\nexit 0");
  EXPECT_EQ(run(), 1);
}

TEST_F(ServerRingTest, SaysWhichServerDidNotEndWell) {
  options_.servers.push_back(script("bad",
                                    "trap 'echo lost >&2; exit 6' TERM\n"
                                    "echo ready bad server\n"
                                    "while :; do sleep 0.05; done"));
  EXPECT_EQ(run(), 1);
  EXPECT_EQ(errors_, options_.servers[1] + ": has ended with 6\nlost\n");
}

TEST_F(ServerRingTest, IsInterrupted) {
  options_.client = script("client", "kill -INT $PPID; exec sleep 20");
  EXPECT_EQ(run(), 130);
}

TEST_F(ServerRingTest, ServesUntilItIsInterrupted) {
  options_.client.clear();
  options_.serve = true;
  // One of the servers interrupts, once the addresses are there.
  options_.servers.push_back(script(
      "last",
      "(until [ -s /proc/$PPID/fd/1 ]; do sleep 0.01; done; kill -INT $PPID) &"
      "\nexec " +
          options_.servers[0] + " \"$@\""));
  EXPECT_EQ(run(), 0) << errors_;
  EXPECT_EQ(std::ranges::count(output_, '\n'), 3) << output_;
}

TEST_F(ServerRingTest, EndsWhenAServerIsLost) {
  options_.client.clear();
  options_.serve = true;
  options_.servers.push_back(script("lost", "echo ready for a moment; exit 9"));
  EXPECT_EQ(run(), 1);
  EXPECT_EQ(std::ranges::count(output_, '\n'), 3) << output_;
  EXPECT_NE(errors_.find(options_.servers[1] + ": has ended with 9\n"),
            std::string::npos)
      << errors_;
}

// Who comes after us finds the signals as they were.
TEST_F(ServerRingTest, LeavesTheSignalsAsTheyWere) {
  sigset_t before, after;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
  EXPECT_EQ(run(), 0);
  ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (const int signal : {SIGINT, SIGTERM, SIGCHLD})
    EXPECT_EQ(::sigismember(&before, signal), ::sigismember(&after, signal));
}

}  // namespace
