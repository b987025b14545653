// What programs find when they begin: standard streams that are closed, or are
// the listener, and a SIGCHLD that is ignored.

#include <signal.h>
#include <sys/socket.h>

#include <filesystem>

#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

/// The command, started by a shell that does this to itself before.
Arguments after(const std::string& deed, const Arguments& command) {
  Arguments words{"/bin/sh", "-c", deed};
  words.insert(words.end(), command.begin(), command.end());
  return words;
}

constexpr const char* without_streams = "exec \"$0\" \"$@\" <&- >&- 2>&-";

/// What a standard stream is: "/dev/null", "socket:[123]".
std::string stream_of(const Process& process, int number) {
  return std::filesystem::read_symlink("/proc/" +
                                       std::to_string(process.pid()) + "/fd/" +
                                       std::to_string(number));
}

/// What is printed for people must not be sent to a peer, or into an eventfd.
void expect_streams_of_their_own(const Process& process) {
  for (const int number : {0, 1, 2}) {
    const std::string stream = stream_of(process, number);
    EXPECT_FALSE(stream.starts_with("socket:")) << number << ": " << stream;
    EXPECT_FALSE(stream.starts_with("anon_inode:")) << number << ": " << stream;
  }
}

bool answers(const std::string& address) {
  try {
    return Peer(address).ask({"PING"}) == pong;
  } catch (const Trouble&) {
    return false;
  }
}

class Inherited : public ServerTest {
 protected:
  /// It serves, keeps its words to itself, and ends.
  void serve(const Arguments& command, Descriptor socket) {
    const std::string address = address_of(socket);
    Process process(command, std::move(socket));
    ASSERT_TRUE(eventually([&] { return answers(address); }))
        << process.output() << process.errors();
    Peer peer(address);
    EXPECT_EQ(peer.ask({"ECHO", "hello"}), bulk("hello"));
    expect_streams_of_their_own(process);
    process.signal(SIGTERM);
    EXPECT_EQ(peer.rest(), "");
    peer.close();  // or it waits for our end
    EXPECT_EQ(process.wait(), 0);
  }
};

TEST_P(Inherited, ServersWithoutStandardStreamsKeepTheirWords) {
  Descriptor socket = bind_socket();
  const std::string number = std::to_string(socket.get());
  serve(after(without_streams, {GetParam().path, "--listen-fd", number}),
        std::move(socket));
}

// As inetd would have it, and as those who close the others do not think of.
TEST_P(Inherited, AListenerThatIsAStandardStreamIsServedAndHearsNoWords) {
  for (const std::string number : {"0", "1", "2"}) {
    SCOPED_TRACE("--listen-fd " + number);
    Descriptor socket = bind_socket();
    const std::string move =
        "exec \"$0\" \"$@\" " + number + "<&" + std::to_string(socket.get());
    serve(after(move, {GetParam().path, "--listen-fd", number}),
          std::move(socket));
  }
}

INSTANTIATE_TEST_SUITE_P(Programs, Inherited, testing::ValuesIn(servers()),
                         name_of);

class InheritedByClients : public testing::TestWithParam<Program> {
 protected:
  void SetUp() override {
    if (const std::string why = availability(GetParam()).skip; !why.empty())
      GTEST_SKIP() << why;
  }
  /// A server of this client's ring; "" if none can run here.
  static std::string server() {
    for (const Program& program : servers())
      if (availability(program).usable() &&
          traits_of(program).concurrent() >= 100)
        return program.path;
    return "";
  }
  void demonstrate(const std::string& deed) {
    if (server().empty()) GTEST_SKIP() << "no server here makes a ring";
    const Finished finished =
        run(after(deed, {in_bin("ring"), "--servers", server(), "--count", "3",
                         "--client", GetParam().path}));
    EXPECT_EQ(finished.code, 0) << finished.output << finished.errors;
  }
};

TEST_P(InheritedByClients, WhatTheyPrintWithoutStandardStreamsIsNotSent) {
  Descriptor listener = bind_socket();
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  Process client(
      after(without_streams, {GetParam().path, address_of(listener), "PING"}));
  Peer server(Descriptor(::accept(listener.get(), nullptr, nullptr)));
  EXPECT_EQ(server.frame(), "*1\r\n$4\r\nPING\r\n");
  server.send(pong);
  EXPECT_EQ(server.rest(), "");
  EXPECT_EQ(client.wait(), 0);
}

TEST_P(InheritedByClients, ARingWithoutStandardStreamsIsDemonstrated) {
  demonstrate(without_streams);
}

// waitpid(2) knows nobody then, and a ring waited for ever.
TEST_P(InheritedByClients, ARingEndsThoughSigchldIsIgnored) {
  demonstrate("exec env --ignore-signal=CHLD \"$0\" \"$@\"");
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(InheritedByClients);
INSTANTIATE_TEST_SUITE_P(Programs, InheritedByClients,
                         testing::ValuesIn(clients()), name_of);

}  // namespace
}  // namespace conformance
