// A sandbox that forbids calls, as containers do: a server that needs them
// says so in one line and ends with 77; one that does not, serves.

#include <signal.h>
#include <unistd.h>

#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

class Refused : public ServerTest {
 protected:
  static std::string launcher() {
    return in_bin("../tests/tools/seccomp_launcher");
  }
  /// Does this server make calls that the launcher forbids? Its own list of
  /// ideal calls tells.
  bool needs_the_ring() {
    Server& server = start();
    for (const auto& [name, value] : server.figures())
      if (name.starts_with("ideal_io_uring")) return true;
    return false;
  }
  void run_under(const char* error) {
    ASSERT_EQ(::access(launcher().c_str(), X_OK), 0) << launcher();
    Process process({launcher(), error, GetParam().path, "--port", "0"});
    ASSERT_TRUE(eventually(
        [&] { return process.output().ends_with('\n') || process.ended(); }));
    if (needs_the_ring()) {
      EXPECT_EQ(process.wait(), 77) << process.errors();
      EXPECT_EQ(lines_of(process.errors()).size(), 1u) << process.errors();
      EXPECT_EQ(process.output(), "");
      return;
    }
    ASSERT_TRUE(process.output().starts_with("ready ")) << process.errors();
    const std::string line = lines_of(process.output())[0];
    Peer peer(line.substr(line.rfind("//") + 2));
    EXPECT_EQ(peer.ask({"PING"}), pong);
    peer.close();
    process.signal(SIGTERM);
    EXPECT_EQ(process.wait(), 0) << process.errors();
  }
};

TEST_P(Refused, WithEperm) { run_under("EPERM"); }
TEST_P(Refused, WithEnosys) { run_under("ENOSYS"); }

INSTANTIATE_TEST_SUITE_P(Servers, Refused, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
