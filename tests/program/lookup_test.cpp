#include "program/lookup.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "program/demonstration.hpp"
#include "tests/program/nodes.hpp"

namespace {

using nodes::Doing;
using program::Command;
using Steps = std::vector<std::string>;

/// A ring of nodes with one way: each sends to the next one behind it, the last
/// owns everything.
class Ring {
 public:
  explicit Ring(Steps addresses) : addresses_(std::move(addresses)) {}

  Doing operator()(const std::string& address, const Command& words) {
    if (words.empty()) return {};
    if (words[0] == "INFO") return nodes::answer(nodes::bulk(counters()));
    ++sent_;
    const std::size_t here = place(address);
    const bool owner = here + 1 == addresses_.size();
    if (words[0] == "ECHO")
      return nodes::answer(nodes::bulk(wrong == "ECHO" ? "" : words[1]));
    if (words[0] == "CLUSTER")
      return nodes::answer(nodes::bulk("id of " + address));
    if (words[0] == "DHT.NEXT" && owner)
      return nodes::answer(
          nodes::array({"here", "id of " + address, address, "owner"}));
    if (words[0] == "DHT.NEXT") return step("forward", here + 1);
    if (words[0].starts_with("DHT.")) return overlay(words[0]);
    if (!owner)
      return nodes::answer("-MOVED 7 " + addresses_[here + 1] + "\r\n");
    return nodes::answer(keep(words));
  }

  std::string wrong;  // the command that is answered wrongly

 private:
  std::size_t place(const std::string& address) const {
    return static_cast<std::size_t>(std::ranges::find(addresses_, address) -
                                    addresses_.begin());
  }
  std::string id(std::size_t i) const { return "id of " + addresses_[i]; }
  Doing step(const std::string& kind, std::size_t i) const {
    return nodes::answer(nodes::array(
        {kind, id(i), addresses_[i], "rule " + std::to_string(i)}));
  }

  Doing overlay(const std::string& command) const {
    const std::size_t last = addresses_.size() - 1;
    if (command == wrong) return nodes::answer("*0\r\n");
    if (command == "DHT.OWNER")
      return nodes::answer(nodes::array({id(last), addresses_[last]}));
    std::string bytes = "*" + std::to_string(addresses_.size()) + "\r\n";
    const bool table = command == "DHT.TABLE";
    for (std::size_t i = 0; i <= last; ++i) {
      const std::string rule = i ? "rule " + std::to_string(i) : "start";
      bytes += table ? nodes::array({rule, "", id(i), addresses_[i]})
                     : nodes::array({id(i), addresses_[i], rule, "5"});
    }
    return nodes::answer(bytes);
  }

  std::string keep(const Command& words) {
    if (words[0] == wrong) return nodes::bulk("nonsense");
    if (words[0] == "SET") {
      keys_[words[1]] = words[2];
      return "+OK\r\n";
    }
    if (words[0] == "GET") return nodes::bulk(keys_[words[1]]);
    return ":" + std::to_string(keys_.erase(words[1])) + "\r\n";
  }

 public:
  static inline std::string ideals = "ideal_recv:1.00\r\n";

 private:
  /// As a server that takes two calls for a request, one of which it knows.
  std::string counters() const {
    const std::string sent = std::to_string(sent_);
    return "# Syscalls\r\nsyscall_recv:" + sent + "\r\nsyscall_accept4:1\r\n" +
           "syscall_brk:" + sent + "\r\n" + ideals;
  }

  const Steps addresses_;
  std::map<std::string, std::string> keys_;
  std::uint64_t sent_ = 0;
};

class LookupTest : public testing::Test {
 protected:
  void begin(nodes::Script script) {
    converse_.emplace(caller_, bell_, std::move(script));
  }
  void TearDown() override {
    caller_.stop();
    converse_.reset();
  }
  std::string why() {
    try {
      program::look_up(caller_, "127.0.0.1:1", "key");
      return "it was found";
    } catch (const program::NoAnswer& why) {
      return why.what();
    }
  }

  nodes::Bell bell_;
  program::Caller caller_{bell_, std::chrono::milliseconds(60'000)};
  std::optional<nodes::Converse> converse_;
};

TEST_F(LookupTest, WalksToTheOwner) {
  begin(Ring({"127.0.0.1:1", "[::1]:22", "127.0.0.1:3"}));
  const auto steps = program::look_up(caller_, "127.0.0.1:1", "key");
  EXPECT_EQ(program::print_steps("key", steps),
            "\"key\"\n"
            "  0  127.0.0.1:1  id of 127.0.0.1:1  start\n"
            "  1  [::1]:22     id of [::1]:22  rule 1\n"
            "  2  127.0.0.1:3  id of 127.0.0.1:3  rule 2, owner\n");
}

TEST_F(LookupTest, StaysWhereTheOwnerIs) {
  begin(Ring({"127.0.0.1:1"}));
  const auto steps = program::look_up(caller_, "127.0.0.1:1", "key");
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(steps[0].rule, "start");
}

TEST_F(LookupTest, EndsInACircle) {
  begin([](const std::string& address, const Command& words) {
    if (words.empty() || words[0] == "CLUSTER")
      return nodes::answer(nodes::bulk("id"));
    const bool first = address == "127.0.0.1:1";
    return nodes::answer(nodes::array(
        {"forward", "id", first ? "127.0.0.1:2" : "127.0.0.1:1", "rule"}));
  });
  EXPECT_EQ(why(), "127.0.0.1:2: sends us back to 127.0.0.1:1");
}

TEST_F(LookupTest, ReportsWhatANodeSaysInstead) {
  begin([](const std::string&, const Command& words) {
    if (words.empty() || words[0] == "CLUSTER")
      return nodes::answer(nodes::bulk("id"));
    return nodes::answer("-ERR no lookups here\r\n");
  });
  EXPECT_EQ(why(), "127.0.0.1:1: ERR no lookups here");
}

TEST_F(LookupTest, BelievesNoNonsense) {
  std::string reply;
  begin([&](const std::string&, const Command& words) {
    if (words.empty() || words[0] == "CLUSTER")
      return nodes::answer(nodes::bulk("id"));
    return nodes::answer(reply);
  });
  for (const std::string& nonsense :
       {std::string(":1\r\n"), nodes::array({"forward", "id"}),
        nodes::array({"perhaps", "id", "127.0.0.1:2", "rule"}),
        nodes::array({"forward", "id", "nowhere", "rule"})}) {
    reply = nonsense;
    EXPECT_EQ(why(), "127.0.0.1:1: not an answer to DHT.NEXT");
  }
}

class DemonstrationTest : public LookupTest {
 protected:
  bool demonstrate(const std::string& wrong) {
    Ring ring({"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"});
    ring.wrong = wrong;
    begin(ring);
    testing::internal::CaptureStdout();
    const bool right = program::demonstrate(caller_, "127.0.0.1:1");
    text_ = testing::internal::GetCapturedStdout();
    return right;
  }
  bool says(const std::string& text) const {
    return text_.find(text) != std::string::npos;
  }
  std::string text_;
};

TEST_F(DemonstrationTest, ShowsWhatIsRight) {
  EXPECT_TRUE(demonstrate(""));
  EXPECT_TRUE(
      says("    127.0.0.1:1  (error) MOVED 7 127.0.0.1:2\n"
           "    127.0.0.1:2  (error) MOVED 7 127.0.0.1:3\n"
           "    127.0.0.1:3  OK\n"))
      << text_;
  EXPECT_TRUE(says("  2  127.0.0.1:3  id of 127.0.0.1:3  rule 2, owner\n"));
  EXPECT_TRUE(says("Every answer was right.\n"));
  EXPECT_FALSE(says("WRONG"));
}

TEST_F(DemonstrationTest, BeginsWithOneRequest) {
  demonstrate("");
  EXPECT_TRUE(text_.starts_with("One request first, and what its server does"))
      << text_;
  EXPECT_LT(text_.find("  recv  "), text_.find("A ring is a circle"));
  EXPECT_TRUE(says("In between the server waits in recv, until")) << text_;
}

TEST_F(DemonstrationTest, FitsATerminal) {
  demonstrate("");
  std::istringstream lines(text_);
  for (std::string line; std::getline(lines, line);)
    EXPECT_LE(line.size(), 80u) << line;
}

// 1000 requests and two that count, one of which is not counted by the nodes of
// this test: so 1000 of 1001.
TEST_F(DemonstrationTest, ShowsTheCallsBesideTheIdeal) {
  demonstrate("");
  EXPECT_TRUE(says("  brk                          1.00     0.00\n")) << text_;
  EXPECT_TRUE(says("  recv                         1.00     1.00\n"));
  EXPECT_TRUE(says("  all                          2.00     1.00\n"));
  EXPECT_FALSE(says("accept4"));
}

TEST_F(DemonstrationTest, TellsWhoAsksInsteadOfWaiting) {
  const std::string usual =
      std::exchange(Ring::ideals, "least_recv:1.00\r\nideal_send:1.00\r\n");
  demonstrate("");
  Ring::ideals = usual;
  EXPECT_TRUE(says("  recv                         1.00     1.00 or more\n"))
      << text_;
  EXPECT_TRUE(says("  send                         0.00     1.00\n"));
  EXPECT_TRUE(says("In between the server asks by recv whether"));
}

class WrongAnswerTest : public DemonstrationTest,
                        public testing::WithParamInterface<const char*> {};

TEST_P(WrongAnswerTest, IsNoticed) {
  EXPECT_FALSE(demonstrate(GetParam()));
  EXPECT_TRUE(says(std::string("  WRONG: ") + GetParam() + " ")) << text_;
  EXPECT_TRUE(says("Not every answer was right.\n"));
}

INSTANTIATE_TEST_SUITE_P(Commands, WrongAnswerTest,
                         testing::Values("SET", "GET", "DEL", "ECHO",
                                         "DHT.OWNER", "DHT.LOOKUP"));

}  // namespace
