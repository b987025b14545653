// Machines that give less than was hoped for: little locked memory, no /proc.
// And the table of docs/errors.md: what is newer than the oldest kernel that we
// serve on stands there, with what is done without it.

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>

#include "tests/conformance/server.hpp"

namespace conformance {
namespace {

/// Runs a command with so many KiB of locked memory, as a user who has no other
/// process: what is locked is counted for all that a user has. Root would not
/// be limited at all, and becomes one of its own.
Arguments with_locked(std::size_t kib, const Arguments& command) {
  static int user = 1'000'000 + 64 * ::getpid();
  Arguments all{find_tool("prlimit"),
                "--memlock=" + std::to_string(kib * 1024)};
  if (::geteuid() == 0) {
    const std::string id = std::to_string(++user);
    all.insert(all.end(),
               {"setpriv", "--reuid", id, "--regid", id, "--clear-groups"});
  }
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

/// Why that cannot be tried here, or nothing.
std::string obstacle_to_limits(const std::string& program) {
  if (find_tool("prlimit").empty()) return "prlimit is not installed";
  const Finished tried = run(with_locked(0, {program, "--help"}));
  return tried.code == 0 ? "" : "not as another user: " + tried.errors;
}

/// The number behind `ulimit -l` in a refusal.
std::size_t needed(const std::string& refusal) {
  std::smatch match;
  static const std::regex remedy("ulimit -l ([0-9]+)");
  if (!std::regex_search(refusal, match, remedy))
    throw Trouble("no remedy in " + refusal);
  return std::stoul(match[1]);
}

class Kernels : public ServerTest {
 protected:
  static bool is_ready(Server& server) {
    Process& process = server.process();
    eventually([&] { return !process.output().empty() || process.ended(); });
    return process.output().starts_with("ready ");
  }
  /// A server with so many KiB; with `other`, a node of a ring of two.
  std::unique_ptr<Server> start_with(std::size_t kib, Arguments command,
                                     const std::string& other) {
    Descriptor own = bind_socket();
    command.insert(command.begin(), GetParam().path);
    if (!other.empty())
      command.insert(command.end(), {"--ring", address_of(own) + "," + other});
    command = with_locked(kib, command);
    const Program program{GetParam().name, command[0]};
    command.erase(command.begin());
    return std::make_unique<Server>(program, command, std::move(own));
  }
  /// With nothing it serves or names what it needs: with that it serves, with a
  /// page less it does not.
  void need_locked(const Arguments& options, const std::string& other = "") {
    const auto poor = start_with(0, options, other);
    if (is_ready(*poor)) return;
    EXPECT_EQ(poor->process().wait(), 77);
    const std::string why = poor->process().errors();
    EXPECT_EQ(lines_of(why).size(), 1u) << why;
    const std::size_t kib = needed(why);
    const auto enough = start_with(kib, options, other);
    EXPECT_TRUE(is_ready(*enough)) << enough->process().errors();
    const auto less = start_with(kib - 4, options, other);
    EXPECT_FALSE(is_ready(*less));
    EXPECT_EQ(less->process().wait(), 77);
    EXPECT_EQ(needed(less->process().errors()), kib);
  }
};

TEST_P(Kernels, LockedMemoryThatIsMissingIsNamed) {
  const std::string obstacle = obstacle_to_limits(GetParam().path);
  if (!obstacle.empty()) GTEST_SKIP() << obstacle;
  need_locked({});
  if (traits()["threads"] == "loops") need_locked({"--threads", "3"});
}

// All that a node locks is asked for before it says that it is ready: for its
// own loop and for the client by which it asks others.
TEST_P(Kernels, LockedMemoryOfARingIsAskedForTogether) {
  const std::string obstacle = obstacle_to_limits(GetParam().path);
  if (!obstacle.empty()) GTEST_SKIP() << obstacle;
  const Descriptor other = bind_socket();
  need_locked({}, address_of(other));
}

TEST_P(Kernels, WithoutProcItServesAndKnowsItsMemory) {
  if (sanitized()) GTEST_SKIP() << "a sanitizer reads /proc itself";
  const Arguments without_proc{
      "-rm", "sh", "-c", "mount -t tmpfs none /proc && exec \"$0\" \"$@\""};
  const std::string unshare = find_tool("unshare");
  if (unshare.empty()) GTEST_SKIP() << "unshare is not installed";
  Arguments trial{unshare};
  trial.insert(trial.end(), without_proc.begin(), without_proc.end());
  trial.push_back("true");
  if (const Finished tried = run(trial); tried.code != 0)
    GTEST_SKIP() << "/proc cannot be covered here: " << tried.errors;
  Arguments options = without_proc;
  options.push_back(GetParam().path);
  Server server({GetParam().name, unshare}, options);
  server.await_ready();
  Peer peer = server.connect();
  EXPECT_EQ(peer.ask({"PING"}), pong);
  EXPECT_GE(Server::figure(peer, "used_memory_rss"), 1u << 20);
  peer.close();
  EXPECT_EQ(server.stop(), 0) << server.process().errors();
}

INSTANTIATE_TEST_SUITE_P(Servers, Kernels, testing::ValuesIn(servers()),
                         name_of);

// The load takes the next of its clients.
TEST(Load, TakesAClientThatNeedsNoLockedMemory) {
  const std::string load = in_bin("load");
  if (clients().empty()) GTEST_SKIP() << "a server of somebody else's";
  const std::string obstacle = obstacle_to_limits(load);
  if (!obstacle.empty()) GTEST_SKIP() << obstacle;
  const auto usable = std::ranges::find_if(
      servers(),
      [](const Program& program) { return availability(program).usable(); });
  if (usable == servers().end()) GTEST_SKIP() << "no server runs here";
  Server server(*usable, {});
  server.await_ready();
  const Finished finished = run(
      with_locked(64, {load, "--connections", "1", "--duration", "0.2",
                       "--warmup", "0.1", "--json", "-", server.address()}));
  EXPECT_NE(finished.output.find("\"client\":"), std::string::npos)
      << finished.output << finished.errors;
  for (const char* refused : {"ulimit", "Cannot allocate memory"})
    EXPECT_EQ(finished.errors.find(refused), std::string::npos)
        << finished.errors;
}

// ---- the table

namespace fs = std::filesystem;

fs::path root() {
  const char* path = std::getenv("STYLE_ROOT");
  return path ? fs::path(path) : fs::current_path();
}

std::string content_of(const fs::path& path) {
  std::ifstream file(path);
  if (!file) throw Trouble("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

std::set<std::string> matches(const std::string& text, const char* pattern) {
  const std::regex expression(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator i(text.begin(), text.end(), expression), end;
       i != end; ++i)
    found.insert((*i)[1]);
  return found;
}

struct Row {
  std::set<std::string> names;
  std::vector<std::string> files;
  std::string without;
};

/// The rows below "## Newer than Linux 5.10".
std::vector<Row> rows() {
  std::string text = content_of(root() / "docs/errors.md");
  text = text.substr(text.find("\n## Newer than Linux"));
  text = text.substr(0, text.find("\n## ", 1));
  std::vector<Row> rows;
  for (const auto& line : lines_of(text)) {
    std::istringstream cells(line);
    std::string nothing, names, version, where, without;
    std::getline(cells, nothing, '|');
    std::getline(cells, names, '|');
    std::getline(cells, version, '|');
    std::getline(cells, where, '|');
    std::getline(cells, without, '|');
    if (names.find('`') == std::string::npos) continue;
    const auto files = matches(where, "([a-z_]+/[a-z_.]+)");
    rows.push_back(
        {matches(names, "`([^`]+)`"), {files.begin(), files.end()}, without});
  }
  return rows;
}

/// What all sources of the programs say, comments aside. Tests know themselves
/// what they run on.
std::string sources() {
  std::string all;
  for (fs::recursive_directory_iterator i(root()), end; i != end; ++i) {
    const std::string path = fs::relative(i->path(), root());
    if (path == "build" || path == "tests" || path.starts_with('.'))
      i.disable_recursion_pending();
    if ((!path.ends_with(".cpp") && !path.ends_with(".hpp")) ||
        path.ends_with("/test.cpp"))
      continue;
    for (const auto& line : lines_of(content_of(i->path())))
      all += line.substr(0, line.find("//")) + '\n';
  }
  return all;
}

/// Of io_uring, what Linux 5.10 and liburing have had before.
const std::set<std::string> old_names{"IORING_CQE_BUFFER_SHIFT",
                                      "IORING_CQE_F_BUFFER",
                                      "IORING_OP_ACCEPT",
                                      "IORING_OP_ASYNC_CANCEL",
                                      "IORING_OP_CONNECT",
                                      "IORING_OP_POLL_ADD",
                                      "IORING_OP_READ",
                                      "IORING_OP_RECV",
                                      "IORING_OP_SEND",
                                      "IORING_OP_TIMEOUT",
                                      "IORING_SETUP_CLAMP",
                                      "IORING_SETUP_CQSIZE",
                                      "IOSQE_BUFFER_SELECT",
                                      "io_uring_cq_advance",
                                      "io_uring_cq_has_overflow",
                                      "io_uring_cq_ready",
                                      "io_uring_cqe_get_data",
                                      "io_uring_queue_init",
                                      "io_uring_sqe_set_data",
                                      "io_uring_enter",
                                      "io_uring_for_each_cqe",
                                      "io_uring_get_sqe",
                                      "io_uring_opcode_supported",
                                      "io_uring_prep_cancel64",
                                      "io_uring_prep_connect",
                                      "io_uring_prep_nop",
                                      "io_uring_prep_poll_add",
                                      "io_uring_prep_read",
                                      "io_uring_prep_recv",
                                      "io_uring_prep_send",
                                      "io_uring_prep_timeout",
                                      "io_uring_queue_exit",
                                      "io_uring_queue_init_params",
                                      "io_uring_register",
                                      "io_uring_register_probe",
                                      "io_uring_setup",
                                      "io_uring_smp_load_acquire",
                                      "io_uring_submit",
                                      "io_uring_submit_and_wait"};

/// Of the rest, what has come since, as far as a program like these could use
/// it.
const std::vector<std::string> newer{
    "epoll_pwait2",        "process_madvise",  "futex_waitv",
    "cachestat",           "mseal(",           "memfd_secret",
    "landlock_",           "EPIOCSPARAMS",     "EPIOCGPARAMS",
    "SO_PREFER_BUSY_POLL", "SO_RESERVE_MEM",   "SO_BUSY_POLL_BUDGET",
    "SO_TXREHASH",         "SO_RCVMARK",       "SO_PASSPIDFD",
    "SO_PEERPIDFD",        "MSG_SPLICE_PAGES", "MSG_SOCK_DEVMEM",
    "MADV_POPULATE_",      "MADV_COLLAPSE",    "PR_SET_VMA",
    "MAP_DROPPABLE",       "MFD_NOEXEC_SEAL",  "MFD_EXEC",
    "F_DUPFD_QUERY",       "TCP_RTO_MAX_MS",   "PIDFD_THREAD",
    "PIDFD_NONBLOCK"};

bool is_no_call(const std::string& name) {
  static const std::set<std::string> others{
      "io_uring_buf", "io_uring_buf_reg", "io_uring_buf_ring", "io_uring_cq",
      "io_uring_cqe", "io_uring_params",  "io_uring_probe_op", "io_uring_probe",
      "io_uring_sqe", "io_uring_disabled"};
  return others.contains(name);
}

TEST(NewerThanTheOldestKernel, TheTableHasAllThatIsNewer) {
  if (std::getenv("SERVER")) GTEST_SKIP() << "a server of somebody else's";
  std::set<std::string> listed;
  for (const Row& row : rows())
    listed.insert(row.names.begin(), row.names.end());
  ASSERT_FALSE(listed.empty());
  const std::string all = sources();
  for (const auto& name : matches(all, "\\b((?:IORING_|IOSQE_|io_uring_)\\w+)"))
    EXPECT_TRUE(old_names.contains(name) || is_no_call(name) ||
                listed.contains(name))
        << name << ": since which kernel? In docs/errors.md if newer than 5.10";
  for (const auto& name : newer)
    EXPECT_TRUE(listed.contains(name) || all.find(name) == std::string::npos)
        << name << " is not in docs/errors.md";
}

TEST(NewerThanTheOldestKernel, TheTableTellsWhereAndWhatInstead) {
  if (std::getenv("SERVER")) GTEST_SKIP() << "a server of somebody else's";
  for (const Row& row : rows()) {
    EXPECT_TRUE(row.without.find("77") != std::string::npos ||
                row.without.find("said once") != std::string::npos)
        << row.without;
    for (const auto& name : row.names) {
      EXPECT_FALSE(old_names.contains(name)) << name;
      bool found = false;
      for (const auto& file : row.files)
        found =
            found || content_of(root() / file).find(name) != std::string::npos;
      EXPECT_TRUE(found) << name << " is not where the table says";
    }
  }
}

}  // namespace
}  // namespace conformance
