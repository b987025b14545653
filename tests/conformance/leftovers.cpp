// After the load nothing is left of it: no descriptor, no thread, no memory.

#include "tests/conformance/crowd.hpp"
#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

class Leftovers : public ServerTest {};

/// As many peers at once come, talk, and go in three ways.
void load(Server& server, std::size_t peers, std::size_t size) {
  Crowd crowd;
  for (std::size_t i = 0; i < peers; ++i) {
    Member& member = crowd.join(server.address());
    member.outgoing = echo_request(i, size) +
                      request({"SET", "key", numbered(i, 1000)}) +
                      request({"GET", "key"});
    member.expects = echo_answer(0, size).size();
    if (i % 2) member.expects += ok.size() + bulk(numbered(0, 1000)).size();
    if (i % 3 == 0) reset_on_close(member.socket);
  }
  ASSERT_TRUE(crowd.run([&] { return crowd.all_closed(); })) << crowd.state();
}

std::size_t peers() { return size_of(200, 50); }

TEST_P(Leftovers, DescriptorsAndThreadsGoBackToWhatTheyWere) {
  Server& server = start();
  load(server, peers(), 30'000);
  Process& process = server.process();
  EXPECT_TRUE(eventually(
      [&] { return server.figures().at("connected_clients") == "1"; }));
  // The asking peer itself may still be on its way out.
  std::size_t descriptors = process.descriptors(), threads = process.threads();
  eventually(
      [&] {
        descriptors = std::min(descriptors, process.descriptors());
        threads = std::min(threads, process.threads());
        return false;
      },
      Milliseconds(50));
  for (int round = 0; round < 3; ++round) load(server, peers(), 30'000);
  // Threads that were kept for a while after the first load may have ended.
  EXPECT_TRUE(eventually([&] {
    return process.descriptors() == descriptors && process.threads() <= threads;
  })) << process.descriptors()
      << " descriptors, were " << descriptors << "; " << process.threads()
      << " threads, were " << threads;
}

// What an allocator keeps depends on how many peers it once had at the same
// time: twice as many as come later, with twice as much, have been there
// before. From then on the least of each dozen rounds stays what it was, but
// for the free blocks that a loop may keep; a leak of a kilobyte for each
// conversation would raise it.
TEST_P(Leftovers, MemoryDoesNotGrowWithTheRounds) {
  if (sanitized())
    GTEST_SKIP() << "a sanitizer remembers every thread and freed block";
  Server& server = start();
  for (int round = 0; round < 4; ++round) load(server, 2 * peers(), 60'000);
  const auto least_of_a_dozen = [&] {
    std::size_t least = server.process().anonymous();
    for (int round = 0; round < 12; ++round) {
      load(server, peers(), 30'000);
      least = std::min(least, server.process().anonymous());
    }
    return least;
  };
  const std::size_t before = least_of_a_dozen();
  EXPECT_LE(least_of_a_dozen(), before + (2 << 20));
}

INSTANTIATE_TEST_SUITE_P(Servers, Leftovers, testing::ValuesIn(servers()),
                         name_of);

}  // namespace
}  // namespace conformance
