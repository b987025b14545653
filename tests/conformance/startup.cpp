// How a server is started: where it listens, what it refuses, and in which
// words.

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

class Startup : public ServerTest {
 protected:
  Finished run_with(const Arguments& options) const {
    Arguments command{GetParam().path};
    command.insert(command.end(), options.begin(), options.end());
    return run(command);
  }
  /// Serves a peer where `options` have it listen, and ends with 0.
  void serve(const Arguments& options, const std::string& url) {
    Server server(GetParam(), options, Server::Itself{});
    server.await_ready();
    const std::string said = server.process().output();
    EXPECT_NE(said.find(" " + url), std::string::npos) << said;
    EXPECT_EQ(server.ask({"ECHO", "hello"}), bulk("hello"));
    EXPECT_EQ(server.stop(), 0) << server.process().errors();
  }
};

TEST_P(Startup, TheReadyLineNamesModelVariantAndUrl) {
  Server& server = start();
  const std::string line = server.process().output();
  EXPECT_EQ(lines_of(line).size(), 1u) << line;
  EXPECT_TRUE(line.ends_with(" tcp://" + server.address() + "\n")) << line;
  if (!traits().printed()) return;  // an echo need not have any
  EXPECT_TRUE(line.starts_with("ready " + traits()["model"] + " " +
                               traits()["variant"] + " tcp://"))
      << line;
}

TEST_P(Startup, AnyFreePort) { serve({}, "tcp://127.0.0.1:"); }

TEST_P(Startup, Ipv6) {
  try {
    const Descriptor probe = bind_socket("::1");
  } catch (const Trouble&) {
    GTEST_SKIP() << "there is no ::1 on this machine";
  }
  serve({"--bind", "::1"}, "tcp://[::1]:");
}

TEST_P(Startup, AUnixSocketThatIsGoneAfterwards) {
  const std::string path =
      testing::TempDir() + "conformance-" + std::to_string(::getpid());
  serve({"--bind", path}, "unix:" + path + "\n");
  struct stat status{};
  EXPECT_NE(::stat(path.c_str(), &status), 0) << path << " was left behind";
}

TEST_P(Startup, APortInUseIsSaidSo) {
  const Descriptor taken = bind_socket();
  ASSERT_EQ(::listen(taken.get(), 1), 0);
  const std::string address = address_of(taken);
  const std::string port = address.substr(address.rfind(':') + 1);
  const Finished finished = run_with({"--port", port});
  EXPECT_NE(finished.code, 0);
  EXPECT_NE(finished.code, 77);
  EXPECT_LT(finished.code, 128) << "it died by a signal";
  EXPECT_EQ(finished.output, "");
  EXPECT_NE(finished.errors.find("in use"), std::string::npos)
      << finished.errors;
  EXPECT_NE(finished.errors.find(port), std::string::npos) << finished.errors;
}

// With as few descriptors as there may be, who says `ready` serves a peer.
TEST_P(Startup, WhoIsReadyHasADescriptorForAPeer) {
  if (find_tool("prlimit").empty()) GTEST_SKIP() << "prlimit is not installed";
  bool served = false;
  for (int most = 4; most < 40 && !served; ++most) {
    Server server({"prlimit", find_tool("prlimit")},
                  {"--nofile=" + std::to_string(most), GetParam().path});
    Process& process = server.process();
    ASSERT_TRUE(eventually(
        [&] { return process.output().ends_with('\n') || process.ended(); }));
    if (!process.output().starts_with("ready ")) {
      EXPECT_NE(process.wait(), 0) << most;
      continue;
    }
    server.await_ready();
    EXPECT_EQ(server.ask({"PING"}), pong) << most;
    served = true;
    EXPECT_EQ(server.stop(), 0);
  }
  EXPECT_TRUE(served);
}

TEST_P(Startup, WrongOptionsAreNamedAndEndWithTwo) {
  std::vector<Arguments> wrong{
      {"--no-such-option", "1"}, {"--port", "70000"},
      {"--port", "many"},        {"--threads", "0"},
      {"--max-clients", "-1"},   {"--send-buffer", "big"},
      {"--frame-time", "soon"},  {"--bind", ""},
      {"--listen-fd", "999"},
  };
  if (held_to(Level::ring)) {
    wrong.push_back({"--keys", "letters"});
    wrong.push_back({"--redirect", "somewhere"});
    wrong.push_back({"--routing", "guesses"});
    wrong.push_back({"--ring", "no-address"});
    wrong.push_back(
        {"--announce", "127.0.0.1:1", "--ring", "127.0.0.1:2,127.0.0.1:3"});
  }
  for (const auto& options : wrong) {
    SCOPED_TRACE(options[0] + " " + options[1]);
    const Finished finished = run_with(options);
    EXPECT_EQ(finished.code, 2);
    EXPECT_EQ(finished.output, "");
    const std::string name = options[0].substr(2);
    EXPECT_NE(finished.errors.find(name), std::string::npos) << finished.errors;
  }
}

TEST_P(Startup, HelpNamesEveryOption) {
  const Finished finished = run_with({"--help"});
  EXPECT_EQ(finished.code, 0);
  Arguments options{"--bind",          "--port",        "--listen-fd",
                    "--threads",       "--max-clients", "--max-memory",
                    "--send-buffer",   "--bulk-max",    "--frame-max",
                    "--arguments-max", "--inline-max",  "--output-max",
                    "--discard-max",   "--buffers-max", "--frame-time",
                    "--reader-time",   "--drain-time",  "--traits"};
  if (held_to(Level::ring))
    options.insert(options.end(),
                   {"--announce", "--ring", "--keys", "--routing",
                    "--lookup-time", "--parked-max", "--trace"});
  for (const std::string& option : options)
    EXPECT_NE(finished.output.find(option), std::string::npos) << option;
}

TEST_P(Startup, MemoryIsLimited) {
  Server& server = start({"--max-memory", "1mb"});
  Peer peer = server.connect();
  std::string answer = ok;
  for (int i = 0; i < 1000 && answer == ok; ++i)
    answer = peer.ask({"SET", std::to_string(i), std::string(10'000, 'x')});
  EXPECT_TRUE(answer.starts_with("-OOM command not allowed")) << answer;
  EXPECT_EQ(peer.ask({"GET", "0"}), bulk(std::string(10'000, 'x')));
  EXPECT_EQ(peer.ask({"DEL", "0", "1"}), integer(2));
  EXPECT_EQ(peer.ask({"SET", "again", "small"}), ok);
}

TEST_P(Startup, ATimelineIsWritten) {
  const std::string path =
      testing::TempDir() + "timeline-" + std::to_string(::getpid());
  Server& server = start({"--trace", path});
  EXPECT_EQ(server.ask({"PING"}), pong);
  EXPECT_EQ(server.stop(), 0);
  const Finished timeline = run({"/bin/cat", path});
  ::unlink(path.c_str());
  EXPECT_NE(timeline.output.find("\"ph\""), std::string::npos)
      << printable(timeline.output);
}

// A peer may be quicker than anybody: it connects the moment `ready` stands
// there, and is served.
TEST_P(Startup, WhoComesAtOnceIsServed) {
  for (int i = 0; i < 10; ++i) {
    Server server(GetParam(), {});
    server.await_ready();
    EXPECT_EQ(server.ask({"PING"}), pong);
    EXPECT_EQ(server.stop(), 0) << server.process().errors();
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, Startup, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
