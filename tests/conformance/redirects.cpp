// MOVED names the next hop, or the owner: strict progress in both, wherever
// keys lie.

#include <algorithm>

#include "tests/conformance/ring.hpp"

namespace conformance {
namespace {

class Redirects : public RingTest {
 protected:
  /// The addresses to which MOVED leads from this one, the last of which
  /// answered.
  static std::vector<std::string> follow(std::string address,
                                         const std::string& key) {
    std::vector<std::string> taken;
    while (taken.size() < 20) {
      const std::string answer = Peer(address).ask({"GET", key});
      if (!answer.starts_with("-MOVED ")) {
        EXPECT_EQ(answer, null);
        return taken;
      }
      const std::string line = lines_of(answer)[0];
      address = line.substr(line.rfind(' ') + 1);
      taken.push_back(address);
    }
    throw Trouble("redirected without end");
  }
  void expect_the_owner_at_once(const Arguments& options) {
    const auto nodes = start_ring(8, options);
    std::size_t direct = 0, far = 0;
    for (Server* node : nodes) {
      Peer peer = node->connect();
      for (int i = 0; i < 10; ++i) {
        const std::string key = "key:" + std::to_string(i);
        const std::string owner = owner_of(peer, key);
        const auto taken = follow(node->address(), key);
        if (owner == node->address()) {
          EXPECT_TRUE(taken.empty());
          continue;
        }
        ++direct;
        EXPECT_EQ(taken, std::vector<std::string>{owner});
        // Nodes themselves go hop by hop, as ever.
        far += look_up(peer, key).addresses.size() > 2;
      }
    }
    EXPECT_GE(direct, 30u);
    EXPECT_GE(far, 1u);
  }
  void expect_the_lookups_hops(const Arguments& options) {
    const auto nodes = start_ring(8, options);
    std::size_t longest = 0;
    for (Server* node : nodes) {
      Peer peer = node->connect();
      for (int i = 0; i < 10; ++i) {
        const std::string key = "key:" + std::to_string(i);
        auto hops = look_up(peer, key).addresses;
        hops.erase(hops.begin());
        EXPECT_EQ(follow(node->address(), key), hops);
        longest = std::max(longest, hops.size());
      }
    }
    EXPECT_GE(longest, 2u);
  }
};

TEST_P(Redirects, NameTheNextHopUnlessToldOtherwise) {
  expect_the_lookups_hops({});
}
TEST_P(Redirects, NameTheNextHopWhereKeysLieBySha1) {
  expect_the_lookups_hops({"--keys", "sha1", "--redirect", "hop"});
}
TEST_P(Redirects, NameTheOwner) {
  expect_the_owner_at_once({"--redirect", "owner"});
}
TEST_P(Redirects, NameTheOwnerWhereKeysLieBySha1) {
  expect_the_owner_at_once({"--redirect", "owner", "--keys", "sha1"});
}

INSTANTIATE_TEST_SUITE_P(Servers, Redirects, testing::ValuesIn(models()),
                         name_of);

}  // namespace
}  // namespace conformance
