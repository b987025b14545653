// A sandbox that forbids calls, as containers do, by an errno or by a signal:
// who needs them says so in one line and ends with 77 before it is ready; who
// does not, or can do without, serves.

#include <signal.h>
#include <unistd.h>

#include "tests/conformance/ring.hpp"

namespace conformance {
namespace {

std::string launcher() { return in_bin("../tests/tools/seccomp_launcher"); }

/// The calls that are not to be had everywhere (docs/errors.md), and the ideal
/// by which it is known that a server cannot do without one.
const std::map<std::string, std::string> calls{
    {"io_uring_setup", "ideal_io_uring_enter"},
    {"io_uring_register", "ideal_io_uring_enter"},
    {"io_uring_enter", "ideal_io_uring_enter"},
    {"io_setup", "ideal_io_submit"},
    {"io_submit", "ideal_io_submit"},
    {"io_getevents", "ideal_io_submit"},
    {"io_cancel", "ideal_io_submit"},
    {"epoll_pwait2", "-"}};

/// As a refusal has to be.
void expect_refusal(const Finished& finished, const std::string& call) {
  EXPECT_EQ(finished.code, 77) << finished.errors;
  EXPECT_EQ(finished.output, "");
  EXPECT_EQ(lines_of(finished.errors).size(), 1u) << finished.errors;
  EXPECT_NE(finished.errors.find(call), std::string::npos) << finished.errors;
  EXPECT_NE(finished.errors.find("another model"), std::string::npos)
      << "no remedy: " << finished.errors;
}

/// What was said before the account: at most that one call is done without.
void expect_said_once(const std::string& errors, const std::string& call) {
  std::vector<std::string> said;
  for (const auto& line : lines_of(errors))
    if (!line.starts_with('{')) said.push_back(line);
  EXPECT_LE(said.size(), 1u) << errors;
  for (const auto& line : said)
    EXPECT_NE(line.find(call), std::string::npos) << errors;
}

/// The program behind the launcher, and what starts it so.
Program sandboxed(const Program& program) { return {program.name, launcher()}; }
Arguments with(const std::string& how, const Program& program,
               const Arguments& options = {}) {
  Arguments all{how, program.path};
  all.insert(all.end(), options.begin(), options.end());
  return all;
}

/// Serves, or refuses `call` as it should; true: it serves.
bool serves(Server& server, const std::string& call) {
  Process& process = server.process();
  EXPECT_TRUE(eventually(
      [&] { return process.output().ends_with('\n') || process.ended(); }));
  if (!process.output().ends_with('\n')) {
    const int code = process.wait();
    expect_refusal({code, process.output(), process.errors()}, call);
    return false;
  }
  server.await_ready();
  EXPECT_EQ(server.ask({"PING"}), pong);
  // Asks the other node, if there is one, which never answers.
  for (const char* key : {"one", "two", "three"})
    server.ask({"DHT.LOOKUP", key});
  EXPECT_EQ(server.stop(), 0) << process.errors();
  expect_said_once(process.errors(), call);
  return true;
}

class Refused : public ServerTest {
 protected:
  void refuse_by(const std::string& how) {
    const auto figures = start().figures();
    for (const auto& [call, ideal] : calls) {
      const std::string refusal = how + ":" + call;
      SCOPED_TRACE(refusal);
      Server server(sandboxed(GetParam()), with(refusal, GetParam()));
      EXPECT_EQ(serves(server, call), !figures.contains(ideal));
    }
  }
};

TEST_P(Refused, WithEperm) { refuse_by("EPERM"); }
TEST_P(Refused, WithEnosys) { refuse_by("ENOSYS"); }
TEST_P(Refused, ByTheDeathOfTheProcess) { refuse_by("KILL"); }
TEST_P(Refused, ByASignal) { refuse_by("TRAP"); }

// The probe asks in a child. Whoever has SIGCHLD ignored hears nothing of its
// end: it is neither taken for one that was killed nor left as a zombie.
TEST_P(Refused, ThoughSigchldIsIgnored) {
  const auto figures = start().figures();
  for (const auto& [call, ideal] : calls) {
    SCOPED_TRACE(call);
    Arguments options{"--ignore-signal=CHLD", launcher()};
    for (const auto& word : with("KILL:" + call, GetParam()))
      options.push_back(word);
    Server server({GetParam().name, "/usr/bin/env"}, options);
    EXPECT_EQ(serves(server, call), !figures.contains(ideal));
  }
}

TEST_P(Refused, NothingAndNoChildIsLeft) {
  Server& server = start();
  const std::string pid = std::to_string(server.process().pid());
  const Finished children =
      run({"/bin/sh", "-c", "cat /proc/" + pid + "/task/*/children"});
  if (children.code != 0) GTEST_SKIP() << children.errors;
  EXPECT_EQ(children.output, "");
}

class RefusedRing : public RingTest {
 protected:
  // A node asks others by a client, which needs calls of its own.
  void refuse_by(const std::string& how) {
    const auto figures = start().figures();
    for (const auto& [call, ideal] : calls) {
      const std::string refusal = how + ":" + call;
      SCOPED_TRACE(refusal);
      const SilentNode other;
      Descriptor own = bind_socket();
      const std::string list = address_of(own) + "," + other.address();
      Server server(
          sandboxed(GetParam()),
          with(refusal, GetParam(), {"--ring", list, "--lookup-time", "100"}),
          std::move(own));
      const bool served = serves(server, call);
      // Who asks for this one and is ended by it refuses, if its client does.
      if (call == "epoll_pwait2" && (how == "KILL" || how == "TRAP")) continue;
      EXPECT_EQ(served, !figures.contains(ideal));
    }
  }
};

TEST_P(RefusedRing, WithEperm) { refuse_by("EPERM"); }
TEST_P(RefusedRing, WithEnosys) { refuse_by("ENOSYS"); }
TEST_P(RefusedRing, ByTheDeathOfTheProcess) { refuse_by("KILL"); }
TEST_P(RefusedRing, ByASignal) { refuse_by("TRAP"); }

// What is done without does the same: a ring of nodes finds every owner.
TEST_P(RefusedRing, LooksUpWithoutEpollPwait2) {
  for (const std::string how : {"EPERM:epoll_pwait2", "ENOSYS:epoll_pwait2"}) {
    SCOPED_TRACE(how);
    const auto nodes = start_ring(
        std::vector<Program>(3, sandboxed(GetParam())), with(how, GetParam()));
    Peer peer = nodes[0]->connect();
    for (int i = 0; i < 100; ++i) {
      const std::string key = "key:" + std::to_string(i);
      EXPECT_EQ(look_up(peer, key).addresses.back(), owner_of(peer, key));
    }
    for (Server* node : nodes)
      expect_said_once(node->process().errors(), "epoll_pwait2");
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, Refused, testing::ValuesIn(servers()),
                         name_of);

INSTANTIATE_TEST_SUITE_P(Servers, RefusedRing, testing::ValuesIn(servers()),
                         name_of);

/// Any server, to ask; null if none can run here.
std::unique_ptr<Server> any_server() {
  for (const Program& program : servers())
    if (availability(program).usable()) {
      auto server = std::make_unique<Server>(program, Arguments{});
      server->await_ready();
      return server;
    }
  return nullptr;
}

class RefusedClient : public testing::TestWithParam<Program> {
 protected:
  void refuse_by(const std::string& how) {
    const auto server = any_server();
    if (!server) GTEST_SKIP() << "no server runs here";
    for (const auto& [call, ideal] : calls) {
      SCOPED_TRACE(how + ":" + call);
      const Finished finished =
          run({launcher(), how + ":" + call, GetParam().path, server->address(),
               "PING"});
      if (finished.code != 0) {
        expect_refusal(finished, call);
        continue;
      }
      EXPECT_EQ(finished.output, "PONG\n");
      expect_said_once(finished.errors, call);
    }
  }
};

TEST_P(RefusedClient, WithEperm) { refuse_by("EPERM"); }
TEST_P(RefusedClient, WithEnosys) { refuse_by("ENOSYS"); }
TEST_P(RefusedClient, ByKillingTheProcess) { refuse_by("KILL"); }
TEST_P(RefusedClient, ByASignal) { refuse_by("TRAP"); }

// A student's own server comes without a client.
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RefusedClient);
INSTANTIATE_TEST_SUITE_P(Programs, RefusedClient, testing::ValuesIn(clients()),
                         name_of);

}  // namespace
}  // namespace conformance
