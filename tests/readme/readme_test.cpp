// What the pages tell a reader to type is typed here: the blocks ```sh of a
// page, in their order, in one shell at the root of the tree. What stands in a
// block ```text behind one of them has to come out of it, line by line in this
// order; … stands for anything. "sh slow" is run where nothing is sampled
// (make test-all). Ports 7000 and 7001 are replaced by free ones, so that
// nobody else's server is asked, and behind a command that ends in & the shell
// waits until somebody listens at the port that it names.

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/readme/markdown.hpp"
#include "tests/tools/command.hpp"

namespace {

namespace fs = std::filesystem;
using readme::Block;

std::string text_of(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

std::vector<std::string> pages() {
  std::vector<std::string> found;
  const auto look = [&](const fs::path& folder, bool readme_only) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string path = entry.path().lexically_normal().string();
      const bool readme = entry.path().filename() == "README.md";
      if (entry.path().extension() == ".md" && (readme || !readme_only))
        found.push_back(path);
    }
  };
  look(".", false);
  look("docs", false);
  for (const auto& entry : fs::directory_iterator("."))
    if (entry.is_directory() && entry.path() != "./build" &&
        entry.path() != "./docs")
      look(entry.path(), true);
  std::ranges::sort(found);
  return found;
}

// Commands that a reader is told and that are not run here, with the reason.
struct Left {
  std::string_view beginning, why;
};
constexpr std::array left = std::to_array<Left>({
    {"make test", "this test is a part of it"},
    {"GTEST_FILTER", "this test is a part of it"},
    {"make check", "as make test"},
    {"make deps", "installs packages"},
    {"sudo", "changes the machine"},
    {"make format", "changes the sources, or takes minutes"},
    {"make CXX", "compiles everything twice"},
    {"make bench", "measures for minutes"},
    {"make race", "measures for as long as one watches"},
    {"bench/compare",
     "measures for minutes; bench/test_compare.py runs it short"},
    {"bench/run", "measures for minutes"},
    {"make counts", "writes READMEs"},
    {"bench/counts", "of some alone; bench/test_counts.py runs it short"},
    {"bench/idle", "measures for minutes; bench/test_idle.py runs it short"},
    {"bench/instructions",
     "counts for a minute; bench/test_instructions.py runs it short"},
    {"bench/report", "of a file that only its reader has"},
    {"bench/timeline ./mine", "of a program that only its reader has"},
    {"build/release/bin/load",
     "what it says depends on the machine; "
     "bench/test_load.py holds its options"},
    {"ip ", "makes hosts, as root; bench/test_hosts.py does it"},
    {"ssh", "of hosts that only their reader has"},
});

bool is_command(const std::string& line) {
  constexpr std::array<std::string_view, 16> words = {
      "make ",    "bench/", "build/", "redis-cli", "redis-benchmark",
      "strace ",  "sudo ",  "git ",   "ssh ",      "mpirun ",
      "./",       "kill ",  "ip ",    "curl ",     "g++ ",
      "valgrind "};
  return std::ranges::any_of(
      words, [&](std::string_view word) { return line.starts_with(word); });
}

std::string why_left(const std::string& command) {
  for (const Left& one : left)
    if (command.starts_with(one.beginning)) return std::string(one.why);
  return "";
}

bool is_slow(const Block& block) { return block.kind == "sh slow"; }
bool is_run(const Block& block) {
  return block.kind == "sh" ||
         (is_slow(block) && std::getenv("EVERYTHING") != nullptr);
}

bool is_free(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  name.sin_port = htons(static_cast<std::uint16_t>(port));
  const bool bound =
      ::bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
  ::close(fd);
  return bound;
}

// Each another one. Below those that the kernel gives to whoever connects
// (ip(7), ip_local_port_range), or a client of another test could have it
// before our server does.
int free_port() {
  static int port = 10'000 + ::getpid() % 20'000;
  while (!is_free(++port)) {
  }
  return port;
}

std::string replaced(std::string text, std::string_view what,
                     const std::string& with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != text.npos;
       at += with.size())
    text.replace(at, what.size(), with);
  return text;
}

// One shell script for all blocks of a page, which marks where each begins.
std::string script_of(const std::vector<Block>& blocks) {
  std::string script = "set -e -m\nexport LC_ALL=C.UTF-8\n";
  script += "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n";
  script += ". tests/readme/helpers.sh\n";
  for (const Block& block : blocks) {
    if (!is_run(block)) continue;
    script += "echo '== line " + std::to_string(block.line) + "'\n";
    std::string command;  // with the lines that it goes on with
    for (const std::string& line : block.lines) {
      script += line + "\n";
      command += line;
      if (line.ends_with("\\")) continue;
      for (const char* port : {"7000", "7001"})
        if (line.ends_with("&") &&
            command.contains("--port " + std::string(port)))
          script += std::string("wait_for_port ") + port + "\n";
      command.clear();
    }
    script += "end_of_block\n";
  }
  for (const char* port : {"7000", "7001"})
    script = replaced(script, port, std::to_string(free_port()));
  return script;
}

// What came out between the mark of this block and the next mark.
std::string part_of(const std::string& output, const Block& block) {
  const std::string mark = "== line " + std::to_string(block.line) + "\n";
  const std::size_t from = output.find(mark);
  if (from == output.npos) return "";
  const std::size_t begin = from + mark.size();
  return output.substr(begin, output.find("\n== line ", begin) - begin);
}

bool fits(std::string_view pattern, std::string_view line) {
  constexpr std::string_view anything = "…";
  const std::size_t gap = pattern.find(anything);
  if (gap == pattern.npos) return pattern == line;
  if (!line.starts_with(pattern.substr(0, gap))) return false;
  pattern.remove_prefix(gap + anything.size());
  for (std::size_t at = gap; at <= line.size(); ++at)
    if (fits(pattern, line.substr(at))) return true;
  return false;
}

// The first of the lines that does not come, or nothing.
std::string missing_line(const Block& expected, const std::string& output) {
  std::istringstream lines(output);
  for (const std::string& pattern : expected.lines) {
    std::string line;
    bool found = false;
    while (!found && std::getline(lines, line)) found = fits(pattern, line);
    if (!found) return pattern;
  }
  return "";
}

// The model of a folder's README may have been left out of the build.
bool is_built(const std::string& page) {
  const std::string folder = fs::path(page).parent_path().string();
  if (!fs::exists(folder + "/server.cpp")) return true;
  return fs::exists("build/release/bin/" + folder + "-server");
}

class Readme : public testing::TestWithParam<std::string> {};

TEST_P(Readme, ItsCommandsRunAndShowWhatItSays) {
  const std::vector<Block> blocks = readme::blocks_of(text_of(GetParam()));
  if (std::ranges::none_of(blocks, is_run)) return;
  if (!is_built(GetParam())) GTEST_SKIP() << "its model is left out";
  const std::string file =
      testing::TempDir() + "readme-" + std::to_string(::getpid()) + ".sh";
  std::ofstream(file) << script_of(blocks);
  // Without what make has handed down: a reader's make is the outermost.
  const tests::Finished finished = tests::run(
      "env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u BIN -u SERVERS -u CLIENTS "
      "timeout -k 5 300 bash " +
      file + " </dev/null");
  fs::remove(file);
  ASSERT_EQ(finished.status, 0) << finished.text;
  for (std::size_t i = 1; i < blocks.size(); ++i)
    if (blocks[i].kind == "text" && is_run(blocks[i - 1])) {
      const std::string output = part_of(finished.text, blocks[i - 1]);
      EXPECT_EQ(missing_line(blocks[i], output), "")
          << GetParam() << ":" << blocks[i].line << " is not in\n"
          << output;
    }
}

TEST_P(Readme, EveryCommandIsRunOrHasAReason) {
  for (const Block& block : readme::blocks_of(text_of(GetParam()))) {
    if (block.kind.starts_with("sh")) continue;
    for (const std::string& line : block.lines) {
      if (!is_command(line)) continue;
      EXPECT_NE(why_left(line), "")
          << GetParam() << ":" << block.line << ": " << line;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Pages, Readme, testing::ValuesIn(pages()),
                         [](const auto& page) {
                           std::string name = page.param;
                           for (char& letter : name)
                             if (!std::isalnum(
                                     static_cast<unsigned char>(letter)))
                               letter = '_';
                           return name;
                         });

// The judge itself.
TEST(Blocks, AreFencedOrIndented) {
  const auto blocks = readme::blocks_of(
      "text\n\n    make a\n    make b\n\n```sh\nmake c\n```\n- item\n\n"
      "    goes on\n\n```\nx\n```\n");
  ASSERT_EQ(blocks.size(), 3u);
  EXPECT_EQ(blocks[0].lines, (std::vector<std::string>{"make a", "make b"}));
  EXPECT_EQ(blocks[0].line, 3);
  EXPECT_EQ(blocks[1].kind, "sh");
  EXPECT_EQ(blocks[1].lines, (std::vector<std::string>{"make c"}));
  EXPECT_EQ(blocks[2].kind, "");
}

TEST(Expected, LinesComeInTheirOrderWithGaps) {
  const Block expected{1, "text", {"a … c", "d"}};
  EXPECT_EQ(missing_line(expected, "x\na b c\ny\nd\n"), "");
  EXPECT_EQ(missing_line(expected, "d\na b c\n"), "d");
  EXPECT_EQ(missing_line(expected, "a b\nd\n"), "a … c");
}

}  // namespace
