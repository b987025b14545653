#pragma once
// The programs under test: which there are, how a server is started, what it
// says about itself, and the fixture that all tests of servers stand on.

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/conformance/peer.hpp"
#include "tests/conformance/process.hpp"

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
/// A path below BIN.
std::string in_bin(const std::string& name);
/// For INSTANTIATE_TEST_SUITE_P: the name with what GoogleTest allows.
std::string name_of(const testing::TestParamInfo<Program>& parameter);

/// Can it run here? `skip` is why not (the program ended with 77 and that
/// line), `failure` what is wrong with it. Found out once per program.
struct Availability {
  std::string skip, failure;
  bool usable() const { return skip.empty() && failure.empty(); }
};
const Availability& availability(const Program& program);

/// What `--traits` says.
struct Traits {
  std::map<std::string, std::string> values;

  const std::string& operator[](const std::string& name) const;
  /// How many conversations are served at once.
  std::size_t concurrent() const;
};
const Traits& traits_of(const Program& program);

/// The line that a server leaves behind, as numbers by path.
using Account = std::map<std::string, double>;

/// A running server.
class Server {
 public:
  /// With a socket of its own making, on a free port of 127.0.0.1. Does not
  /// wait: await_ready() follows.
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
  std::string ask(const std::vector<std::string>& arguments) const {
    return connect().ask(arguments);
  }
  /// The fields of INFO, asked by a peer of their own or by a given one, who
  /// may name a section.
  std::map<std::string, std::string> figures() const;
  static std::map<std::string, std::string> figures(
      Peer& peer, const std::string& section = "everything");
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
/// run here skips it with its reason. Servers that a test has started are
/// stopped after it and have to end with 0 and in peace.
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

 private:
  std::vector<std::unique_ptr<Server>> servers_;
};

/// Ends the test where the server does not promise to serve `n` at once.
#define REQUIRE_CONCURRENT(n)      \
  if (traits().concurrent() < (n)) \
  GTEST_SKIP() << "it serves " << traits()["concurrent"] << " at once"

}  // namespace conformance
