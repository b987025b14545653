// A ring's addresses name one node each, for everybody who reads them; what
// does not is refused before `ready`, in words that say what is allowed.

#include "tests/conformance/ring.hpp"

namespace conformance {
namespace {

class Addresses : public RingTest {
 protected:
  static void expect_refusal(const Arguments& options,
                             const std::string& option,
                             const std::string& wrong) {
    Arguments command{GetParam().path};
    command.insert(command.end(), options.begin(), options.end());
    const Finished finished = run(command);
    EXPECT_EQ(finished.code, 2) << finished.errors;
    EXPECT_EQ(finished.output, "");
    ASSERT_NE(finished.errors, "");
    const std::string line = lines_of(finished.errors)[0];
    for (const auto& words : {option, wrong, std::string("allowed, but ")})
      EXPECT_NE(line.find(words), std::string::npos)
          << words << " in " << finished.errors;
  }
};

TEST_P(Addresses, ThatNameNobodyAreRefused) {
  for (const std::string nobody :
       {"0.0.0.0:7000", "[::]:7000", "[::ffff:0.0.0.0]:7000", "224.0.0.1:7000",
        "127.0.0.1:0", "[::1]:0"}) {
    expect_refusal({"--ring", "127.0.0.1:7000," + nobody}, "--ring", nobody);
    expect_refusal({"--announce", nobody}, "--announce", nobody);
  }
}

TEST_P(Addresses, OfTheSameNodeAreRefused) {
  for (const std::string again :
       {"127.0.0.1:7000", "127.0.0.1:07000", "[::ffff:127.0.0.1]:7000",
        "[0::ffff:7f00:1]:7000"})
    expect_refusal({"--ring", "127.0.0.1:7000," + again}, "--ring", again);
  for (const std::string again : {"/run/./a", "/run/a/"})
    expect_refusal({"--ring", "127.0.0.1:7000," + again}, "--ring", again);
}

// An address becomes a part of lines: of MOVED, of CLUSTER NODES.
TEST_P(Addresses, ThatAreNoWordsAreRefused) {
  const std::pair<std::string, std::string> broken[] = {
      {"/run/a\r\n+OK", "'/run/a**+OK'"},
      {"/run/a b", "'/run/a*b'"},
      {"/run/\xc3\xa4", "'/run/**'"}};
  for (const auto& [text, shown] : broken)
    expect_refusal({"--ring", "127.0.0.1:7000," + text}, "--ring", shown);
}

TEST_P(Addresses, AreWantedOfWhoIsBoundToAll) {
  expect_refusal(
      {"--bind", "0.0.0.0", "--ring", "127.0.0.1:7000,127.0.0.1:7001"},
      "--announce", "0.0.0.0:7000");
}

// Written as another family's, an address is the same node for all of them.
TEST_P(Addresses, ThatAreMappedAreIPv4s) {
  Descriptor socket = bind_socket();
  const std::string address = address_of(socket);
  const std::string port = address.substr(address.rfind(':') + 1);
  const Server& node = start(
      GetParam(), {"--ring", "[::ffff:127.0.0.1]:" + port}, std::move(socket));
  Peer peer = node.connect();
  EXPECT_EQ(owner_of(peer, "key"), address);
  EXPECT_EQ(peer.ask({"SET", "key", "value"}), ok);
}

INSTANTIATE_TEST_SUITE_P(Servers, Addresses, testing::ValuesIn(models()),
                         name_of);

}  // namespace
}  // namespace conformance
