#pragma once
// The programs under test: which there are, how a server is started, what it
// says about itself, and the fixture that all tests of servers stand on.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/conformance/peer.hpp"
#include "tests/conformance/process.hpp"
#include "tests/conformance/trial.hpp"

namespace conformance {

struct Program {
  std::string name;  // "epoll-level"
  std::string path;
};
void PrintTo(const Program& program, std::ostream* out);

/// From the environment: BIN is the directory, SERVERS and CLIENTS are names,
/// each a program $BIN/<name>-server or -client. SERVER (CLIENT) is the path
/// of the only one to be tested; with SERVER alone there are no clients.
const std::vector<Program>& servers();
const std::vector<Program>& clients();
/// For what all variants of a model share, the node's answers: the first server
/// of each model; all of them with EVERYTHING=1.
const std::vector<Program>& models();
/// A path below BIN.
std::string in_bin(const std::string& name);
/// For INSTANTIATE_TEST_SUITE_P: the name with what GoogleTest allows.
std::string name_of(const testing::TestParamInfo<Program>& parameter);

/// The address in a ready line, "127.0.0.1:7000"; nothing if it is none.
std::optional<std::string> address_in(const std::string& line);

/// The line that a server leaves behind, as numbers by path.
using Account = Named<double>;

/// A running server.
class Server {
 public:
  /// With a socket of its own making, on a free port of 127.0.0.1. Does not
  /// wait: await_ready() follows. A program that takes no socket is told
  /// --port 0 instead.
  Server(const Program& program, const Arguments& options);
  /// With a bound socket that is handed over.
  Server(const Program& program, const Arguments& options, Descriptor socket);
  /// As `options` say.
  struct Itself {};
  Server(const Program& program, const Arguments& options, Itself);

  /// Waits for the ready line; throws Trouble if there is none. Remembers the
  /// address in it.
  void await_ready();

  Process& process() { return process_; }
  /// "127.0.0.1:7000", as in its ready line.
  const std::string& address() const { return address_; }
  std::string port() const;

  Peer connect(Buffers buffers = {}) const { return Peer(address_, buffers); }
  Answer ask(const std::vector<std::string>& arguments) const {
    return connect().ask(arguments);
  }
  /// The fields of INFO, asked by a peer of their own or by a given one, who
  /// may name a section.
  Named<std::string> figures() const;
  static Named<std::string> figures(Peer& peer,
                                    const std::string& section = "everything");
  static std::size_t figure(Peer& peer, const std::string& name);

  /// How much CPU time it takes in so long. Where there is nothing to do it is
  /// next to nothing: a program that asks in vain takes all it can get.
  Milliseconds cpu_time_in(Milliseconds window);

  /// SIGTERM, and the end: its exit code.
  int stop();
  /// Its last line, after the end.
  Account account();
  /// What a sanitizer had to say; empty if nothing.
  std::string complaint() const;

 private:
  Process process_;
  std::string address_;
};

/// The fixture. A program that is missing fails every test, one that cannot
/// run here, or that promises less than the test's level, skips it with its
/// reason. Servers that a test has started are stopped after it and have to end
/// with 0 and in peace.
class ServerTest : public testing::TestWithParam<Program> {
 protected:
  void SetUp() override;
  void TearDown() override;

  Server& start(const Arguments& options = {});
  Server& start(const Program& program, const Arguments& options,
                Descriptor socket);
  /// Before await_ready(), for those who start several.
  Server& launch(const Program& program, const Arguments& options,
                 Descriptor socket);
  const Traits& traits() const { return traits_of(GetParam()); }
  /// Is it asleep while nothing happens? Not if it says that it never is.
  bool sleeps() const {
    const auto& said = traits().values;
    const auto found = said.find("sleeps");
    return found == said.end() || found->second != "no";
  }
  /// Is the program held to a level, so that a test may look for its signs?
  bool held_to(Level level) const {
    return level_asked_of(GetParam()) >= level;
  }

 private:
  std::vector<std::unique_ptr<Server>> servers_;
};

/// Ends the test where the server does not promise to serve `n` at once.
#define REQUIRE_CONCURRENT(n)      \
  if (traits().concurrent() < (n)) \
  GTEST_SKIP() << "it serves " << traits()["concurrent"] << " at once"

/// Likewise where the test has to choose the socket.
#define REQUIRE_SOCKET() \
  if (!takes_socket()) GTEST_SKIP() << "it knows no --listen-fd"

}  // namespace conformance
