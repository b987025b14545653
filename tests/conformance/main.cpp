// The suite's own main: of an own program (SERVER=) only that is run which is
// asked for, and who fails is told by what rule.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <string>

#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

void for_every_test(
    const std::function<void(const testing::TestInfo&)>& visit) {
  const auto& all = *testing::UnitTest::GetInstance();
  for (int s = 0; s < all.total_test_suite_count(); ++s) {
    const auto& suite = *all.GetTestSuite(s);
    for (int t = 0; t < suite.total_test_count(); ++t)
      visit(*suite.GetTestInfo(t));
  }
}

/// The tests that concern one server; the others are about the suite itself.
bool is_of_a_server(const testing::TestInfo& test) {
  return std::string_view(test.test_suite_name()).starts_with("Servers/");
}

Level level_of(const testing::TestInfo& test) {
  const Demand* demand = demand_on(test.test_suite_name(), test.name());
  return demand ? demand->level : Level::ring;
}

/// Takes away from GoogleTest's filter whatever is not asked for. Returns how
/// many tests that are.
int choose(const std::function<bool(const testing::TestInfo&)>& is_asked_for) {
  std::string filter = GTEST_FLAG_GET(filter);
  char separator = filter.find('-') == std::string::npos ? '-' : ':';
  int left_out = 0;
  for_every_test([&](const testing::TestInfo& test) {
    if (is_asked_for(test)) return;
    filter += separator + std::string(test.test_suite_name()) + '.';
    filter += test.name();
    separator = ':';
    ++left_out;
  });
  GTEST_FLAG_SET(filter, filter);
  return left_out;
}

/// How many times the share of others: what a variant promises of its own is
/// always tried; how it is when it is full, and ends, more often than the rest.
double weight_of(const testing::TestInfo& test) {
  constexpr double always = 1e9, often = 3;
  static const std::map<std::string_view, double> weights = {
      {"Servers/Promises", always}, {"Servers/Calls", always},
      {"Servers/Accept", always},   {"Servers/Children", always},
      {"Servers/Full", often},      {"Servers/Stop", often}};
  const auto found = weights.find(test.test_suite_name());
  return found == weights.end() ? 1 : found->second;
}

/// Many variants share most of their code, so each is tried with a part of the
/// tests: about as many in all as two of them have, or with a sanitizer one,
/// since each test takes longer. Another seed chooses others; SAMPLE=0 leaves
/// nothing out. Whoever names tests gets these.
void sample() {
  const double whole = sanitized() ? 1 : 2;
  const char* seed = std::getenv("SAMPLE");
  const bool is_named = GTEST_FLAG_GET(filter).find_first_not_of("*") == 0 &&
                        !GTEST_FLAG_GET(filter).starts_with('-');
  const double share = whole / static_cast<double>(servers().size());
  if (!seed || std::string_view(seed) == "0" || is_named || share >= 1) return;
  const int left_out = choose([&](const testing::TestInfo& test) {
    const std::string name = std::string(test.test_suite_name()) + test.name();
    const std::size_t lot = std::hash<std::string>()(seed + name) % 1'000;
    return !is_of_a_server(test) ||
           static_cast<double>(lot) < 1'000 * share * weight_of(test);
  });
  std::printf("sample %s: %d tests of servers are left out, in all parts\n",
              seed, left_out);
}

/// Tells the rule and the way to run it alone below a test that has failed,
/// and writes down the level of each.
class Explainer : public testing::EmptyTestEventListener {
  void OnTestStart(const testing::TestInfo& test) override {
    regain_patience();
    testing::Test::RecordProperty("level", word_of(level_of(test)));
  }
  void OnTestEnd(const testing::TestInfo& test) override {
    const Demand* demand = demand_on(test.test_suite_name(), test.name());
    if (!test.result()->Failed() || !demand) return;
    const std::string_view name = test.name();
    std::cout << "  rule      " << demand->rule << " (docs/contract.md, \""
              << demand->heading << "\")\n  alone     GTEST_FILTER='"
              << test.test_suite_name() << '.' << name.substr(0, name.find('/'))
              << "/*' make test SERVER=" << servers().front().path
              << " LEVEL=" << word_of(demand->level) << std::endl;
  }
};

void tell(const Program& program) {
  const Traits& traits = traits_of(program);
  const bool is_asked = std::getenv("LEVEL") && *std::getenv("LEVEL");
  std::printf("%s: serves %s, and promises", program.name.c_str(),
              takes_socket() ? "on --listen-fd" : "where --port 0 puts it");
  for (const char* name : {"store", "limits", "ring"})
    std::printf(" %s=%s", name, traits[name].c_str());
  std::printf("%s\n%s: is held to level %s%s: docs/contract.md\n",
              traits.printed() ? "" : " (it prints no traits)",
              program.name.c_str(), word_of(level_asked_of(program)).c_str(),
              is_asked ? ", as asked for" : ", as it promises");
}

int not_tried(Level level, const std::string& why) {
  std::map<Level, int> tests;
  for_every_test([&](const testing::TestInfo& test) {
    tests[level_of(test)] += is_of_a_server(test) && level_of(test) <= level;
  });
  std::printf("%s\nSo nothing else has been tried.\n", why.c_str());
  for (const auto& [of, count] : tests)
    if (of <= level)
      std::printf("level %s: 0 of %d\n", word_of(of).c_str(), count);
  return 1;
}

int try_out() {
  const Program& program = servers().front();
  const Level level = level_asked_of(program);
  const Availability& found = availability(program);
  if (!found.skip.empty()) {
    std::printf("SKIP %s: %s\n", program.name.c_str(), found.skip.c_str());
    return 77;
  }
  if (!found.failure.empty())
    return not_tried(level, found.failure +
                                "\n  rule      It takes --listen-fd N or "
                                "--port 0 and prints one line, ready <model> "
                                "<variant> <url> (docs/contract.md, "
                                "\"Start\")");
  tell(program);
  try {
    Server server(program, {});
    server.await_ready();
    const auto answered = same("PING", server.ask({"PING"}), pong);
    return answered ? 0 : not_tried(level, answered.message());
  } catch (const Trouble& trouble) {
    return not_tried(level, trouble.what());
  }
}

}  // namespace
}  // namespace conformance

int main(int count, char** words) {
  using namespace conformance;
  testing::InitGoogleTest(&count, words);
  try {
    if (count == 2 && std::string_view(words[1]) == "--try") return try_out();
    if (own_program()) {
      choose([most = level_asked_of(servers().front())](const auto& test) {
        return is_of_a_server(test) && level_of(test) <= most;
      });
      testing::UnitTest::GetInstance()->listeners().Append(new Explainer);
    } else {
      sample();
    }
  } catch (const Trouble& trouble) {
    std::printf("%s\n", trouble.what());
    return 1;
  }
  return RUN_ALL_TESTS();
}
