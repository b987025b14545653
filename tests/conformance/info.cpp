// INFO as other people's tools read it: the fields are there, and true.

#include <charconv>

#include "tests/conformance/ring.hpp"

namespace conformance {
namespace {

class Info : public RingTest {};

using Fields = std::map<std::string, std::string>;

/// A whole number without a sign, or nothing.
std::optional<std::size_t> number(const std::string& text) {
  std::size_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end) return std::nullopt;
  return value;
}

// What redis-cli --stat, hiredis's and redis-py's tests, ioredis's check
// whether a server is ready, haproxy's check and the usual exporters read.
const Fields known = {{"redis_version", "7.0.15"},
                      {"redis_mode", "standalone"},
                      {"role", "master"},
                      {"connected_slaves", "0"},
                      {"loading", "0"},
                      {"rdb_bgsave_in_progress", "0"},
                      {"aof_enabled", "0"},
                      {"aof_rewrite_in_progress", "0"},
                      {"maxclients", "50"},
                      {"maxmemory", "16777216"},
                      {"evicted_keys", "0"},
                      {"expired_keys", "0"},
                      {"cluster_enabled", "0"},
                      {"maxmemory_policy", "noeviction"},
                      {"blocked_clients", "0"},
                      {"rejected_connections", "0"},
                      {"connected_clients", "1"}};
const char* const numbers[] = {"used_memory",
                               "used_memory_rss",
                               "total_connections_received",
                               "total_commands_processed",
                               "uptime_in_seconds",
                               "uptime_in_days",
                               "arch_bits",
                               "process_id",
                               "tcp_port"};

TEST_P(Info, HasTheFieldsThatStockToolsRead) {
  Server& server = start({"--max-clients", "50", "--max-memory", "16m"});
  Peer peer = server.connect();
  Fields fields = Server::figures(peer);
  for (const auto& [name, value] : known)
    EXPECT_EQ(fields[name], value) << name;
  for (const char* name : numbers) EXPECT_TRUE(number(fields[name])) << name;
  for (const char* name : {"os", "iomodels_version", "multiplexing_api"})
    EXPECT_NE(fields[name], "") << name;
  for (const char* name : {"used_cpu_sys", "used_cpu_user"})
    EXPECT_GE(std::stod(fields[name]), 0) << name;
}

TEST_P(Info, SaysWhatWasDone) {
  Server& server = start();
  Peer peer = server.connect();
  const Fields before = Server::figures(peer);
  EXPECT_FALSE(before.contains("db0"));
  for (const char* key : {"a", "b", "c"}) peer.ask({"SET", key, "value"});
  peer.ask({"GET", "a"});
  const Fields after = Server::figures(peer);
  const auto gained = [&](const char* name) {
    return *number(after.at(name)) - *number(before.at(name));
  };
  // The INFO of before is counted since.
  EXPECT_EQ(gained("total_commands_processed"), 5u);
  EXPECT_EQ(gained("total_connections_received"), 0u);
  EXPECT_GT(gained("used_memory"), 3u);
  EXPECT_EQ(after.at("db0"), "keys=3,expires=0,avg_ttl=0");
  server.ask({"PING"});
  EXPECT_EQ(*number(Server::figures(peer).at("total_connections_received")),
            *number(after.at("total_connections_received")) + 1);
}

// haproxy's usual check and those of its kind ask for one section.
TEST_P(Info, OfReplicationNamesAMaster) {
  Peer peer = start().connect();
  peer.send("info replication\r\n");
  EXPECT_NE(peer.frame().find("\r\nrole:master\r\n"), std::string::npos);
}

/// "calls=3,usec=12,usec_per_call=4.00"
struct CommandStat {
  std::size_t calls = 0;
  double usec = -1, usec_per_call = -1;
};
CommandStat stat(const Fields& fields, const std::string& command) {
  std::string text = fields.at("cmdstat_" + command);
  std::replace(text.begin(), text.end(), ',', '\n');
  const Fields parts = fields_of(text, '=');
  return {*number(parts.at("calls")), std::stod(parts.at("usec")),
          std::stod(parts.at("usec_per_call"))};
}

// An exporter drops a line that has not all three, redis-py 4.3 breaks.
TEST_P(Info, EachCommandHasItsCallsAndItsTime) {
  Peer peer = start().connect();
  const std::size_t calls = 200;
  for (std::size_t i = 0; i < calls; ++i) peer.ask({"ECHO", "text"});
  // It takes microseconds, so that its time is not 0.
  for (int i = 0; i < 10; ++i) peer.ask({"INFO"});
  peer.ask({"nosuch"});
  const Fields fields = Server::figures(peer, "commandstats");
  EXPECT_EQ(stat(fields, "echo").calls, calls);
  EXPECT_GE(stat(fields, "echo").usec_per_call, 0);
  EXPECT_EQ(stat(fields, "unknown").calls, 1u);
  const CommandStat info = stat(fields, "info");
  EXPECT_EQ(info.calls, 11u);
  EXPECT_GT(info.usec, 0);
  EXPECT_NEAR(info.usec_per_call, info.usec / 11, 0.2);
}

// What has not happened is worth knowing of a model, and where to look for it.
TEST_P(Info, OfTheModelHasItsCountersFromTheBeginning) {
  Server& server = start();
  Peer peer = server.connect();
  const Fields fields = Server::figures(peer, "model");
  for (const auto& [name, value] : fields) EXPECT_TRUE(number(value)) << name;
  peer.close();
  EXPECT_EQ(server.stop(), 0);
  // The line at the end has those that moved: each was in the section.
  for (const auto& [name, value] : server.account()) {
    const std::string prefix = "model_counters.";
    if (name.starts_with(prefix)) {
      EXPECT_TRUE(fields.contains(name.substr(prefix.size()))) << name;
    }
  }
}

TEST_P(Info, TheBlockedAreThoseWhoWaitForOtherNodes) {
  const SilentNode silent;
  Server& node =
      *start_ring({GetParam()}, {"--lookup-time", "600000"}, {silent.address()})
           .front();
  Peer observer = node.connect();
  const auto keys = keys_of(observer, silent.address(), 2);
  EXPECT_EQ(Server::figure(observer, "blocked_clients"), 0u);
  std::vector<Peer> waiting;
  for (const auto& key : keys) {
    waiting.push_back(node.connect());
    waiting.back().send(request({"DHT.LOOKUP", key}));
  }
  EXPECT_TRUE(eventually(
      [&] { return Server::figure(observer, "blocked_clients") == 2; }));
}

INSTANTIATE_TEST_SUITE_P(Servers, Info, testing::ValuesIn(models()), name_of);

}  // namespace
}  // namespace conformance
