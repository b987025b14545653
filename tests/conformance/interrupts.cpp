// EINTR in every call that a signal can interrupt, again and again, and no
// peer notices.

#include "tests/conformance/crowd.hpp"
#include "tests/conformance/tracer.hpp"

namespace conformance {
namespace {

class Interrupts : public ServerTest {};

/// Twenty peers come, talk and go; every byte is compared.
void converse(Server& server) {
  Crowd crowd;
  std::vector<std::string> answers(20);
  for (std::size_t peer = 0; peer < answers.size(); ++peer) {
    Member& member = crowd.join(server.address());
    for (std::size_t i = 0; i < 20; ++i) {
      const std::size_t size = 100 + i * 500;
      member.outgoing += echo_request(peer << 16 | i, size);
      answers[peer] += echo_answer(peer << 16 | i, size);
    }
    member.expects = answers[peer].size();
  }
  ASSERT_TRUE(crowd.run([&] { return crowd.all_closed(); })) << crowd.state();
  for (std::size_t peer = 0; peer < answers.size(); ++peer)
    EXPECT_TRUE(crowd.members()[peer]->incoming == answers[peer]) << peer;
  Peer single = server.connect();
  for (std::size_t i = 0; i < 20; ++i)
    EXPECT_EQ(single.ask({"ECHO", numbered(i, 50)}), echo_answer(i, 50));
}

TEST_P(Interrupts, NoPeerNoticesThem) {
  if (!Tracer::obstacle().empty()) GTEST_SKIP() << Tracer::obstacle();
  Server& server = start();
  // Two of three calls of a kind are let through, or nothing would move.
  Tracer tracer(server, {"-e", "trace=" + interruptible, "-e",
                         "inject=" + interruptible + ":error=EINTR:when=2+3"});
  converse(server);
  const std::string trace = tracer.finish(sleeps());
  std::size_t injected = 0;
  for (const auto& line : lines_of(trace))
    injected += line.find("(INJECTED)") != std::string::npos;
  EXPECT_GE(injected, 10u) << trace;
  converse(server);
}

INSTANTIATE_TEST_SUITE_P(Servers, Interrupts, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
