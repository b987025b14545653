// What is written in Python, the measuring and some tools of make, has its
// tests beside it, in Python too: each file is one test here.

#include <gtest/gtest.h>

#include <filesystem>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/tools/command.hpp"

namespace {

std::vector<std::string> files() {
  std::vector<std::string> found;
  for (const char* folder : {"bench", "tests/tools"})
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      if (entry.path().filename().string().starts_with("test_"))
        found.push_back(entry.path().stem());
  return found;
}

// Why a whole file is skipped: a line "setUpModule (...) ... skipped 'reason'".
std::string skipped(const std::string& text) {
  const std::string mark = "... skipped ";
  const std::size_t from = text.find(mark);
  if (from == std::string::npos || !text.contains("Ran 0 tests")) return "";
  return text.substr(from + mark.size(),
                     text.find('\n', from) - from - mark.size());
}

// Of the tests in a file: unittest's lines, "test_x (...) ... skipped
// 'reason'".
void say_skipped(const std::string& text) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.contains("... skipped ")) std::cout << line << '\n';
}

class Python : public testing::TestWithParam<std::string> {};

TEST_P(Python, Passes) {
  if (tests::run("command -v python3").status != 0)
    GTEST_SKIP() << "python3 is missing";
  const tests::Finished finished = tests::run(
      "PYTHONPATH=bench:tests/tools python3 -B -m unittest -v " + GetParam());
  EXPECT_EQ(finished.status, 0) << finished.text;
  say_skipped(finished.text);
  if (const std::string reason = skipped(finished.text); !reason.empty())
    GTEST_SKIP() << reason;
  EXPECT_EQ(finished.text.find("Ran 0 tests"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Bench, Python, testing::ValuesIn(files()),
                         [](const auto& file) { return file.param; });

}  // namespace
