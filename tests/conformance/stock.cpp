// The clients that everybody has: redis-cli and redis-benchmark, as they are.

#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "tests/conformance/ring.hpp"

namespace conformance {
namespace {

/// Skips where redis-tools is missing.
class Stock : public RingTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    if (IsSkipped() || HasFailure()) return;
    if (find_tool("redis-cli").empty() || find_tool("redis-benchmark").empty())
      GTEST_SKIP() << "redis-tools is not installed";
  }
  static Finished cli(const Server& server, const Arguments& arguments,
                      const std::string& input = "") {
    return run_tool("redis-cli", server, arguments, input);
  }
  static Finished benchmark(const Server& server, const Arguments& arguments) {
    return run_tool("redis-benchmark", server, arguments, "");
  }

 private:
  static Finished run_tool(const char* name, const Server& server,
                           const Arguments& arguments,
                           const std::string& input) {
    Arguments command{find_tool(name), "-p", server.port()};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return run(command, input, 3 * patience());
  }
};

/// Ended with 0, measured each of `tests`, and no word of an error.
void expect_clean(const Finished& finished,
                  const std::vector<std::string>& tests) {
  EXPECT_EQ(finished.code, 0) << finished.output << finished.errors;
  for (const auto* text : {&finished.output, &finished.errors})
    for (const char* bad : {"rror", "ERR", "MOVED"})
      EXPECT_EQ(text->find(bad), std::string::npos) << *text;
  for (const auto& test : tests)
    EXPECT_NE(finished.output.find("\"" + test), std::string::npos)
        << test << finished.output;
}

TEST_P(Stock, RedisCliTalksPlainly) {
  Server& server = start();
  EXPECT_EQ(cli(server, {"ECHO", "hello"}).output, "hello\n");
  EXPECT_EQ(cli(server, {"SET", "key", "a b"}).output, "OK\n");
  EXPECT_EQ(cli(server, {"GET", "key"}).output, "a b\n");
  EXPECT_EQ(cli(server, {"--no-raw", "GET", "none"}).output, "(nil)\n");
  EXPECT_EQ(cli(server, {"--no-raw", "EXISTS", "key"}).output, "(integer) 1\n");
  EXPECT_EQ(cli(server, {}, "PING\nECHO x\nDBSIZE\n").output, "PONG\nx\n1\n");
}

TEST_P(Stock, RedisCliTalksRespThree) {
  Server& server = start();
  EXPECT_NE(cli(server, {"INFO"}).output.find("connected_clients:1"),
            std::string::npos);
  EXPECT_EQ(cli(server, {"-3", "PING"}).output, "PONG\n");
  EXPECT_EQ(cli(server, {"-3", "--no-raw", "GET", "none"}).output, "(nil)\n");
  EXPECT_NE(cli(server, {"-3", "--no-raw", "HELLO"})
                .output.find("\"proto\" => (integer) 3"),
            std::string::npos);
  // Whoever was there before may be taken leave of after the next has come.
  EXPECT_TRUE(eventually([&] {
    return cli(server, {"-3", "INFO"}).output.contains("connected_clients:1\r");
  }));
}

TEST_P(Stock, RedisCliTalksThroughAUnixSocket) {
  const std::string path =
      testing::TempDir() + "stock-" + std::to_string(::getpid());
  Server server(GetParam(), {"--bind", path}, Server::Itself{});
  server.await_ready();
  const Finished finished =
      run({find_tool("redis-cli"), "-s", path, "ECHO", "hello"});
  EXPECT_EQ(finished.output, "hello\n");
  EXPECT_EQ(server.stop(), 0);
}

// redis-cli counts what it has sent and received in pipe mode.
TEST_P(Stock, RedisCliPipesMassInsertions) {
  Server& server = start();
  std::string requests;
  for (std::size_t i = 0; i < 2000; ++i)
    requests += request({"SET", std::to_string(i), numbered(i, 200)});
  const Finished finished = cli(server, {"--pipe"}, requests);
  EXPECT_NE(finished.output.find("errors: 0, replies: 2000"), std::string::npos)
      << finished.output << finished.errors;
  EXPECT_EQ(server.ask({"DBSIZE"}), integer(2000));
}

TEST_P(Stock, RedisBenchmarkOneByOneAndPipelined) {
  REQUIRE_CONCURRENT(2u);
  Server& server = start();
  const auto with = [&](std::size_t count, Arguments options) {
    options.insert(options.end(), {"-n", std::to_string(count), "--csv", "-t",
                                   "set,get,ping_mbulk"});
    expect_clean(benchmark(server, options), {"SET", "GET", "PING_MBULK"});
  };
  const std::size_t many = size_of(10'000, 2'000);
  with(many, {});
  with(many, {"-P", "16", "-d", "1024", "-r", "1000"});
  with(many, {"-c", "200", "--threads", "2", "-P", "4"});
  with(many / 10, {"-3", "-c", "1"});
  EXPECT_GE(number_of(decode(server.ask({"DBSIZE"})).text, "DBSIZE"),
            size_of(900, 500));
}

// -k 0: a new connection for every request.
TEST_P(Stock, RedisBenchmarkReconnectsForEveryRequest) {
  Server& server = start();
  expect_clean(
      benchmark(server, {"-n", std::to_string(size_of(3'000, 500)), "--csv",
                         "-t", "set,get", "-k", "0", "-c", "20"}),
      {"SET", "GET"});
  Peer observer = server.connect();
  EXPECT_GE(Server::figure(observer, "total_connections_received"),
            size_of(6'000, 1'000));
}

// -I: connections that do nothing. They hinder nobody and leave nothing.
TEST_P(Stock, TwoThousandIdleConnections) {
  const std::size_t idle = size_of(2'000, 150);
  REQUIRE_CONCURRENT(idle + 1);
  Server& server = start();
  Peer observer = server.connect();
  const auto connected = [&] {
    return Server::figure(observer, "connected_clients");
  };
  {
    Process benchmark({find_tool("redis-benchmark"), "-p", server.port(), "-c",
                       std::to_string(idle), "-I"});
    EXPECT_TRUE(
        eventually([&] { return connected() >= idle + 1; }, 5 * patience()))
        << connected() << benchmark.errors();
    for (std::size_t i = 0; i < 100; ++i)
      EXPECT_EQ(observer.ask({"ECHO", numbered(i, 50)}), echo_answer(i, 50));
    EXPECT_EQ(server.ask({"PING"}), pong);
  }
  EXPECT_TRUE(eventually([&] { return connected() == 1; })) << connected();
}

// redis-cli holds back what it prints until it has 4 KiB of it.
TEST_P(Stock, RedisCliPrintsStatisticsWithSense) {
  Server& server = start();
  for (const char* key : {"a", "b", "c"}) server.ask({"SET", key, "value"});
  const Process stat(
      {find_tool("redis-cli"), "-p", server.port(), "--stat", "-i", "0.005"});
  EXPECT_TRUE(eventually([&] { return !stat.output().empty(); }));
  std::string printed = stat.output();
  printed.resize(printed.rfind('\n'));  // the last line may be cut
  std::size_t lines = 0;
  for (const std::string& line : lines_of(printed)) {
    EXPECT_EQ(line.find("-9223372036854775808"), std::string::npos) << line;
    std::istringstream words(line);
    std::string keys, memory, clients, blocked;
    words >> keys >> memory >> clients >> blocked;
    if (keys != "3") continue;  // a heading
    ++lines;
    EXPECT_EQ(clients, "1") << line;
    EXPECT_EQ(blocked, "0") << line;
  }
  EXPECT_GT(lines, 5u) << printed;
}

/// Debian's Redis, of which redis-tools has the server under another name.
class Redis {
 public:
  Redis() : directory_(testing::TempDir() + "redis-XXXXXX") {
    if (!::mkdtemp(directory_.data())) throw Trouble("mkdtemp");
    const std::string program = directory_ + "/redis-server";
    if (::symlink(find_tool("redis-check-rdb").c_str(), program.c_str()) != 0)
      throw Trouble("symlink");
    process_.emplace(Arguments{program, "--port", "0", "--unixsocket", socket(),
                               "--dir", directory_, "--save", "",
                               "--cluster-enabled", "yes", "--bind", host()});
    if (!eventually([&] { return answers(); }))
      throw Trouble("no Redis: " + process_->output());
  }
  ~Redis() {
    process_.reset();
    std::filesystem::remove_all(directory_);
  }
  Redis(const Redis&) = delete;
  Redis& operator=(const Redis&) = delete;

  std::string socket() const { return directory_ + "/socket"; }

 private:
  // Its cluster's own port is always 10000. So that more can run at once, each
  // has an address of its own: 127.0.0.0/8 is all loopback.
  static std::string host() {
    const auto number = static_cast<unsigned>(::getpid());
    return "127." + std::to_string(number >> 16 & 0xff) + "." +
           std::to_string(number >> 8 & 0xff) + "." +
           std::to_string(number & 0xff);
  }
  // It takes a moment to listen on the socket that it has bound, and to serve
  // the slots that it has been given.
  bool answers() try {
    Peer peer(socket());
    peer.ask({"CLUSTER", "ADDSLOTSRANGE", "0", "16383"});
    return peer.ask({"CLUSTER", "INFO"}).find("cluster_state:ok") !=
           std::string::npos;
  } catch (const Trouble&) {
    return false;
  }

  std::string directory_;
  std::optional<Process> process_;
};

/// Every place at which both say something, and not in the same type. Of maps
/// what both have is compared, of arrays and sets what both are long enough
/// for.
std::string differences(const Reply& ours, const Reply& redis,
                        const std::string& at, unsigned depth) {
  if (ours.type != redis.type)
    return at + ": " + ours.type + ", Redis " + redis.type + "\n";
  if (depth == 0) return "";
  std::string all;
  const std::size_t least = std::min(ours.items.size(), redis.items.size());
  if (ours.type != '%') {
    for (std::size_t i = 0; i < least; ++i)
      all += differences(ours.items[i], redis.items[i],
                         at + "." + std::to_string(i), depth - 1);
    return all;
  }
  for (std::size_t i = 0; i + 1 < ours.items.size(); i += 2)
    for (std::size_t j = 0; j + 1 < redis.items.size(); j += 2)
      if (ours.items[i].text == redis.items[j].text)
        all += differences(ours.items[i], redis.items[j], at, 0) +
               differences(ours.items[i + 1], redis.items[j + 1],
                           at + "." + ours.items[i].text, depth - 1);
  return all;
}

/// Blanks are between the arguments.
const char* const questions[] = {"PING",
                                 "PING x",
                                 "ECHO x",
                                 "SELECT 0",
                                 "GET k",
                                 "SET k v",
                                 "GET k",
                                 "SET k v FOO",
                                 "EXISTS k",
                                 "DBSIZE",
                                 "DEL k",
                                 "FLUSHALL",
                                 "ASKING",
                                 "READONLY",
                                 "CLIENT ID",
                                 "CLIENT GETNAME",
                                 "CLIENT SETNAME me",
                                 "CLIENT GETNAME",
                                 "CLIENT HELP",
                                 "CLIENT nosuch",
                                 "INFO",
                                 "INFO nosuch",
                                 "CONFIG GET save",
                                 "CONFIG GET nosuch",
                                 "CONFIG GET max*",
                                 "CONFIG HELP",
                                 "COMMAND COUNT",
                                 "COMMAND INFO get nosuch config",
                                 "COMMAND INFO config|get del",
                                 "COMMAND HELP",
                                 "COMMAND DOCS get",
                                 "COMMAND DOCS ping",
                                 "COMMAND DOCS config|get",
                                 "COMMAND DOCS command",
                                 "COMMAND DOCS nosuch",
                                 "CLUSTER INFO",
                                 "CLUSTER NODES",
                                 "CLUSTER SHARDS",
                                 "CLUSTER SLOTS",
                                 "CLUSTER MYID",
                                 "CLUSTER HELP",
                                 "CLUSTER KEYSLOT k",
                                 "CLUSTER COUNTKEYSINSLOT 1",
                                 "HELLO 3 AUTH default anything",
                                 "HELLO 3 AUTH other anything",
                                 "HELLO 4",
                                 "HELLO 2",
                                 "QUIT"};

std::vector<std::string> words_of(const std::string& question) {
  std::istringstream stream(question);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// Libraries build sets, maps and lists of what comes, by its type. In RESP 2 a
// map cannot be told from an array, so only the outermost types are compared.
TEST_P(Stock, AnswersHaveTheTypesOfRedisInBothVersions) {
  if (find_tool("redis-check-rdb").empty())
    GTEST_SKIP() << "redis-tools has no redis-check-rdb";
  const Redis redis;
  Server& server = start();
  for (const std::string version : {"2", "3"}) {
    Peer ours = server.connect(), theirs(redis.socket());
    ours.ask({"HELLO", version});
    theirs.ask({"HELLO", version});
    for (const std::string question : questions) {
      const auto words = words_of(question);
      EXPECT_EQ(differences(decode(ours.ask(words)), decode(theirs.ask(words)),
                            version + ": " + question, version == "3" ? 9 : 1),
                "");
    }
  }
}

class StockCluster : public Stock {
 protected:
  void SetUp() override {
    RingTest::SetUp();
    if (!IsSkipped() && !HasFailure()) Stock::SetUp();
  }
};

/// What one redis-cli -c prints that is fed with GETs, started at a node.
struct Printed {
  std::string answer;
  std::vector<std::string> hops;
};
std::vector<Printed> parse(const std::string& output) {
  const std::string mark = "-> Redirected to slot [";
  std::vector<Printed> printed(1);
  for (const auto& line : lines_of(output)) {
    if (line.starts_with(mark)) {
      printed.back().hops.push_back(line.substr(line.rfind(' ') + 1));
    } else {
      printed.back().answer = line;
      printed.emplace_back();
    }
  }
  printed.pop_back();
  return printed;
}

/// From every node, redis-cli -c sets and gets keys of all owners, and the
/// hops that it prints are those of DHT.LOOKUP. It stays where the last key
/// was, so the next one is looked up from there.
void walk_the_ring(const std::vector<Server*>& nodes) {
  const std::size_t count = 25;
  std::string input;
  for (std::size_t i = 0; i < count; ++i)
    input += "GET key:" + std::to_string(i) + "\n";
  for (const Server* start : nodes) {
    const Finished finished = run(
        {find_tool("redis-cli"), "-c", "--no-raw", "-p", start->port()}, input);
    const auto printed = parse(finished.output);
    ASSERT_EQ(printed.size(), count) << finished.output << finished.errors;
    std::string at = start->address();
    for (std::size_t i = 0; i < count; ++i) {
      Peer peer(at);
      Path path = look_up(peer, "key:" + std::to_string(i));
      path.addresses.erase(path.addresses.begin());
      EXPECT_EQ(printed[i].hops, path.addresses) << i << " from " << at;
      EXPECT_EQ(printed[i].answer, "\"" + std::to_string(i) + "\"");
      if (!path.addresses.empty()) at = path.addresses.back();
    }
  }
}

void store_keys(const Server& node) {
  std::string input;
  for (int i = 0; i < 25; ++i)
    input += "SET key:" + std::to_string(i) + " " + std::to_string(i) + "\n";
  const Finished finished =
      run({find_tool("redis-cli"), "-c", "-p", node.port()}, input);
  EXPECT_EQ(finished.code, 0) << finished.errors;
}

TEST_P(StockCluster, RedisCliReachesEveryKeyFromEveryNodeOfEight) {
  const auto nodes = start_ring(8);
  store_keys(*nodes[3]);
  walk_the_ring(nodes);
}

// The ring is one, whatever its nodes are made of.
TEST_P(StockCluster, RedisCliWalksARingOfAllModels) {
  std::vector<Program> programs;
  for (const Program& program : servers())
    if (availability(program).usable() &&
        traits_of(program).concurrent() >= 100 &&
        traits_of(program)["ring"] == "yes")
      programs.push_back(program);
  if (programs.size() < 2) GTEST_SKIP() << "there is only one server here";
  std::vector<Program> eight;
  for (std::size_t i = 0; i < 8; ++i)
    eight.push_back(programs[i % programs.size()]);
  // The one under test has a place in it even where there are many.
  eight[0] = GetParam();
  const auto nodes = start_ring(eight);
  store_keys(*nodes[0]);
  walk_the_ring(nodes);
}

TEST_P(StockCluster, RedisBenchmarkLoadsARing) {
  const auto nodes = start_ring(3);
  const Finished finished =
      benchmark(*nodes[0], {"--cluster", "-c", "20", "-n",
                            std::to_string(size_of(6'000, 1'000)), "-r", "1000",
                            "-P", "4", "-t", "set,get", "--csv"});
  expect_clean(finished, {"SET", "GET"});
  for (Server* node : nodes)
    EXPECT_NE(node->ask({"DBSIZE"}), integer(0)) << node->address();
}

INSTANTIATE_TEST_SUITE_P(Servers, Stock, testing::ValuesIn(models()), name_of);
INSTANTIATE_TEST_SUITE_P(Servers, StockCluster, testing::ValuesIn(models()),
                         name_of);

}  // namespace
}  // namespace conformance
