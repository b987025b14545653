// The suite itself, against programs that are nobody's: an honest one passes
// its level whole, and one that keeps nothing passes nothing.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

std::string source(const std::string& path) {
  const char* root = std::getenv("STYLE_ROOT");
  return std::string(root ? root : ".") + "/" + path;
}

/// This very suite with an environment of its own, over `parts` processes.
class Held {
 public:
  Held(const std::string& program, const std::string& level,
       const std::string& patience = "200")
      : Held({"SERVER=" + program, "LEVEL=" + level, "PATIENCE=" + patience},
             {}, 6) {}
  Held(const Arguments& environment, const Arguments& options, int parts) {
    Arguments command{"/usr/bin/env", "-u", "CLIENT",       "-u",
                      "EVERYTHING",   "-u", "GTEST_FILTER", "SAMPLED="};
    command.insert(command.end(), environment.begin(), environment.end());
    command.push_back("GTEST_TOTAL_SHARDS=" + std::to_string(parts));
    command.push_back("");
    command.push_back(std::filesystem::read_symlink("/proc/self/exe"));
    const auto part = command.end() - 2 - command.begin();
    command.insert(command.end(), options.begin(), options.end());
    for (int i = 0; i < parts; ++i) {
      command[static_cast<std::size_t>(part)] =
          "GTEST_SHARD_INDEX=" + std::to_string(i);
      processes_.push_back(std::make_unique<Process>(command));
    }
    for (auto& process : processes_) {
      process->wait(Milliseconds(300'000));
      output_ += process->output() + process->errors();
    }
  }

  const std::string& output() const { return output_; }
  /// The tests behind a mark of GoogleTest's: "Framing.RoundsOfSixtyFour".
  std::set<std::string> marked(const std::string& mark) const {
    std::set<std::string> tests;
    for (const std::string& line : lines_of(output_)) {
      if (!line.starts_with(mark) || !line.ends_with("ms)")) continue;
      const std::string name = line.substr(line.find("Servers/") + 8);
      tests.insert(name.substr(0, name.find('/')));
    }
    return tests;
  }
  std::set<std::string> passed() const { return marked("[       OK ] "); }
  std::set<std::string> failed() const { return marked("[  FAILED  ] "); }
  std::set<std::string> skipped() const { return marked("[  SKIPPED ] "); }

 private:
  std::vector<std::unique_ptr<Process>> processes_;
  std::string output_;
};

class Own : public testing::Test {
 protected:
  void SetUp() override {
    if (sanitized()) GTEST_SKIP() << "nothing of what is tried is sanitized";
    if (find_tool("python3").empty()) GTEST_SKIP() << "there is no python3";
  }
  static std::string echo() { return source("tests/conformance/own/echo.py"); }
};

class Deceivers : public testing::Test {
 protected:
  void SetUp() override {
    if (sanitized()) GTEST_SKIP() << "nothing of what is tried is sanitized";
  }
  static std::string deceiver() { return in_bin("../tests/tools/deceiver"); }
};

// It dies of a second SIGTERM, so this also shows that one is sent.
TEST_F(Own, AnHonestEchoPassesItsLevelWhole) {
  const Held held(echo(), "echo", "20000");
  EXPECT_EQ(held.failed(), std::set<std::string>()) << held.output();
  EXPECT_EQ(held.skipped(), std::set<std::string>()) << held.output();
  EXPECT_GE(held.passed().size(), 20u) << held.output();
  EXPECT_LE(lines_of(run({"/bin/cat", echo()}).output).size(), 150u);
}

TEST_F(Own, WithoutALevelItIsHeldToWhatItPromises) {
  const Held held({"SERVER=" + echo(), "LEVEL="}, {"--try"}, 1);
  EXPECT_NE(held.output().find("held to level echo, as it promises"),
            std::string::npos)
      << held.output();
}

// Of what it does not promise it keeps some all the same: the operating system
// does. Nothing else may pass because it is silent on it.
TEST_F(Own, WhatAnEchoLacksItDoesNotPass) {
  const std::set<std::string> kept{"Interrupts.NoPeerNoticesThem",
                                   "Pressure.AHalfCloseAfterAHundredMegabytes",
                                   "Pressure.AWriterWhoDoesNotReadIsStopped",
                                   "Startup.AnyFreePort",
                                   "Stop.AStreamOfNewPeersDoesNotHoldIt"};
  const Held held(echo(), everything() ? "ring" : "store");
  for (const std::string& test : held.passed()) {
    const auto dot = test.find('.');
    const Demand* demand = demand_on(test.substr(0, dot), test.substr(dot + 1));
    ASSERT_NE(demand, nullptr) << test;
    EXPECT_TRUE(demand->level == Level::echo || kept.contains(test))
        << test << " passes, and is of level " << word_of(demand->level);
  }
}

/// The start is all that those keep who deceive.
void expect_nothing_right(const std::string& program, const char* part) {
  const Held held({"SERVER=" + program, "LEVEL=ring", "PATIENCE=200",
                   std::string("DECEIVER=") + part},
                  {}, 6);
  const std::set<std::string> kept{
      "Promises.AreOfKnownWords", "Refused.NothingAndNoChildIsLeft",
      "Startup.TheReadyLineNamesModelVariantAndUrl"};
  EXPECT_GE(held.failed().size(), 100u) << held.output();
  for (const std::string& test : held.passed())
    EXPECT_TRUE(kept.contains(test)) << test << " passes";
}

TEST_F(Deceivers, WhoIsSilentPassesNothing) {
  expect_nothing_right(deceiver(), "silent");
}
TEST_F(Deceivers, WhoHangsUpPassesNothing) {
  expect_nothing_right(deceiver(), "closing");
}
TEST_F(Deceivers, WhoAgreesPassesNothing) {
  expect_nothing_right(deceiver(), "agreeing");
}

TEST_F(Deceivers, AreShownWhatWasSentWhatCameAndTheRule) {
  const Held held({"SERVER=" + deceiver(), "LEVEL=echo", "DECEIVER=agreeing"},
                  {"--gtest_filter=*Echo.CutAtEveryBoundary*"}, 1);
  for (const char* line :
       {"  sent      \"*1\\r\\n$4\\r\\nPING\\r\\n*\"",
        "  came      \"+OK\\r\\n\"", "              ^ differs at byte 1",
        "  expected  \"+PONG\\r\\n\"",
        "  rule      PING and ECHO are answered whole",
        "  alone     GTEST_FILTER='Servers/Echo.CutAtEveryBoundary/*' make"})
    EXPECT_NE(held.output().find(line), std::string::npos) << line << " in\n"
                                                           << held.output();
}

TEST_F(Deceivers, WhoDoNotAnswerAPingAreToldOnce) {
  const Held held({"SERVER=" + deceiver(), "LEVEL=echo"}, {"--try"}, 1);
  EXPECT_NE(held.output().find("no answer"), std::string::npos)
      << held.output();
  EXPECT_NE(held.output().find("So nothing else has been tried."),
            std::string::npos);
}

TEST_F(Own, WhoDoesNotStartIsToldOnce) {
  const Held held({"SERVER=/bin/false"}, {"--try"}, 1);
  EXPECT_NE(held.output().find("/bin/false does not start:\n"),
            std::string::npos)
      << held.output();
  EXPECT_NE(held.output().find("level echo: 0 of "), std::string::npos);
}

TEST_F(Own, ALevelThatIsNoneIsSaidSo) {
  const Held held({"SERVER=" + echo(), "LEVEL=everything"}, {}, 1);
  EXPECT_NE(held.output().find("LEVEL=everything is none of: echo store"),
            std::string::npos)
      << held.output();
}

std::string contract() {
  std::ifstream file(source("docs/contract.md"));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A test without a level would be run for nobody; and the rule that a failure
// names stands in the contract.
TEST(Levels, EveryTestOfAServerHasOneAndItsRuleAHeading) {
  const std::string text = contract();
  const auto& all = *testing::UnitTest::GetInstance();
  for (int s = 0; s < all.total_test_suite_count(); ++s) {
    const auto& suite = *all.GetTestSuite(s);
    if (!std::string_view(suite.name()).starts_with("Servers/")) continue;
    for (int t = 0; t < suite.total_test_count(); ++t) {
      const std::string name =
          std::string(suite.name()) + "." + suite.GetTestInfo(t)->name();
      const Demand* demand =
          demand_on(suite.name(), suite.GetTestInfo(t)->name());
      ASSERT_NE(demand, nullptr)
          << name << " needs a row in tests/conformance/levels.cpp";
      const std::string heading(demand->heading);
      EXPECT_TRUE(text.find("## " + heading + "\n") != std::string::npos ||
                  text.find("- **" + heading) != std::string::npos)
          << name << ": docs/contract.md has no " << heading;
    }
  }
}

}  // namespace
}  // namespace conformance
