// INFO and CONFIG GET.

#include <gtest/gtest.h>

#include "tests/node/asker.hpp"

namespace node {
namespace {

struct ServerCommands : testing::Test, Conversation {
  std::string info(std::initializer_list<std::string_view> sections = {}) {
    std::vector<std::string_view> words = {"info"};
    words.insert(words.end(), sections);
    const auto answer = asker.ask(words);
    const Decoded value(answer);
    EXPECT_TRUE(value.all());
    return std::string(value->text);
  }
};

TEST_F(ServerCommands, InfoHasAllSectionsInTheirOrder) {
  ask({"set", "key", "value"});
  const auto text = info();
  std::size_t place = 0;
  for (const auto* title :
       {"# Server\r\n", "\r\n# Clients\r\n", "\r\n# Memory\r\n",
        "\r\n# Persistence\r\n", "\r\n# Stats\r\n", "\r\n# Replication\r\n",
        "\r\n# CPU\r\n", "\r\n# Commandstats\r\n", "\r\n# Syscalls\r\n",
        "\r\n# Model\r\n", "\r\n# Cluster\r\n", "\r\n# Keyspace\r\n"}) {
    const auto found = text.find(title);
    ASSERT_NE(found, text.npos) << title;
    EXPECT_TRUE(found > place || found == 0);
    place = found;
  }
  for (const auto* word : {"all", "EVERYTHING", "default"})
    EXPECT_NE(info({word}).find("# Keyspace"), text.npos);
}

TEST_F(ServerCommands, InfoOfSectionsHasThemOnly) {
  EXPECT_EQ(info({"CLUSTER", "nosuch"}), "# Cluster\r\ncluster_enabled:0\r\n");
  EXPECT_EQ(info({"nosuch"}), "");
  EXPECT_EQ(info({"keyspace", "cluster"}),
            "# Cluster\r\ncluster_enabled:0\r\n\r\n# Keyspace\r\n");
}

TEST_F(ServerCommands, InfoIsVerbatimTextInTheThirdVersion) {
  EXPECT_EQ(ask({"info", "keyspace"}), "$12\r\n# Keyspace\r\n\r\n");
  ask({"hello", "3"});
  EXPECT_EQ(ask({"info", "keyspace"}), "=16\r\ntxt:# Keyspace\r\n\r\n");
}

TEST_F(ServerCommands, TheStoreIsInMemoryAndKeyspace) {
  ask({"set", "key", "value"});
  EXPECT_EQ(info({"keyspace"}),
            "# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n");
  surroundings.sections["memory"] = {{"used_memory_rss", "5"}};
  const auto memory = info({"memory"});
  EXPECT_NE(memory.find("\r\nused_memory:" +
                        std::to_string(store.bytes_used()) + "\r\n"),
            memory.npos);
  EXPECT_NE(memory.find("\r\nmaxmemory:1048576\r\n"), memory.npos);
  EXPECT_NE(memory.find("\r\nbuffers_max:268435456\r\n"), memory.npos);
  EXPECT_NE(memory.find("\r\nused_memory_rss:5\r\n"), memory.npos);
}

TEST_F(ServerCommands, TheProcessTellsTheRest) {
  surroundings.sections["server"] = {{"process_id", "42"}};
  surroundings.sections["clients"] = {{"connected_clients", "3"}};
  surroundings.sections["stats"] = {{"rejected_connections", "7"}};
  surroundings.sections["syscalls"] = {{"ideal_recv", "1.00"}};
  surroundings.sections["model"] = {{"depth", "9"}};
  surroundings.sections["cpu"] = {{"used_cpu_sys", "0.5"}};
  surroundings.count(surroundings.counter("sys.", "recv"), 1);
  surroundings.count(surroundings.counter("lib.", "fetch"), 2);
  surroundings.count(surroundings.counter("model.", "enobufs"), 1);
  surroundings.counter("sys.", "never");
  surroundings.counter("model.", "overflows");
  const auto text = info();
  for (const auto* line :
       {"process_id:42", "connected_clients:3", "rejected_connections:7",
        "ideal_recv:1.00", "depth:9", "used_cpu_sys:0.5", "overflows:0",
        "redis_version:7.0.15", "iomodels_version:1.0.0", "syscall_recv:1",
        "library_fetch:2", "enobufs:1", "overlay:alone",
        "redis_mode:standalone", "node_address:127.0.0.1:7000"})
    EXPECT_NE(text.find("\r\n" + std::string(line) + "\r\n"), text.npos)
        << line;
  EXPECT_EQ(text.find("never"), text.npos);
}

TEST_F(ServerCommands, ConversationsLostForMemoryAreCounted) {
  EXPECT_NE(info({"stats"}).find("\r\nlost_for_memory:0\r\n"),
            std::string::npos);
  node.no_memory();
  EXPECT_NE(info({"stats"}).find("\r\nlost_for_memory:1\r\n"),
            std::string::npos);
}

TEST_F(ServerCommands, CommandsAndErrorsAreCounted) {
  surroundings.each_ns = 2345;
  ask({"ping"});
  ask({"ping"});
  ask({"client", "id"});
  Asker(node).say("*x\r\n");
  EXPECT_EQ(info({"commandstats"}),
            "# Commandstats\r\n"
            "cmdstat_ping:calls=2,usec=4,usec_per_call=2.34\r\n"
            "cmdstat_client|id:calls=1,usec=2,usec_per_call=2.34\r\n"
            "cmdstat_info:calls=1,usec=0,usec_per_call=0.00\r\n");
  const auto stats = info({"stats"});
  EXPECT_NE(stats.find("\r\ntotal_commands_processed:5\r\n"), stats.npos);
  EXPECT_NE(stats.find("\r\ntotal_protocol_errors:1\r\n"), stats.npos);
  EXPECT_NE(stats.find("\r\nprotocol_error_invalid_multibulk_length:1\r\n"),
            stats.npos);
  EXPECT_EQ(stats.find("lookups"), stats.npos);
}

// haproxy's usual check looks for the role, redis-cli --stat for who is
// blocked, clients for what is being loaded before they ask for more.
TEST_F(ServerCommands, StockToolsFindWhatTheyLookFor) {
  EXPECT_EQ(info({"replication"}),
            "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"
            "master_repl_offset:0\r\n");
  EXPECT_EQ(info({"clients"}), "# Clients\r\nblocked_clients:0\r\n");
  EXPECT_EQ(info({"persistence"}),
            "# Persistence\r\nloading:0\r\nrdb_bgsave_in_progress:0\r\n"
            "aof_enabled:0\r\naof_rewrite_in_progress:0\r\n");
}

// Sums are made over all threads, of which there may be ten thousand.
TEST_F(ServerCommands, InfoSaysWhatThreadsCostIt) {
  const auto steps = [&](std::string_view section) {
    protocol::StringSink sink;
    protocol::Client client;
    protocol::Reply reply(sink, client, {});
    const std::string_view words[] = {"info", section};
    node.answer(words, reply);
    return reply.steps();
  };
  const auto few = steps("all"), few_server = steps("server");
  surroundings.thread_count = 10'001;
  EXPECT_EQ(steps("all"), few + 5 * 10'000);
  EXPECT_EQ(surroundings.summed, 2u) << "once for each INFO";
  EXPECT_EQ(steps("server"), few_server);
}

// All patterns together, however they are cut, and all settings.
TEST_F(ServerCommands, ConfigGetLimitsItsPatternsAndCountsItsSteps) {
  EXPECT_EQ(ask({"config", "get", std::string(1025, '*')}),
            "-ERR all patterns together may have at most 1024 bytes\r\n");
  EXPECT_EQ(
      ask({"config", "get", std::string(512, 'a'), std::string(513, 'b')}),
      "-ERR all patterns together may have at most 1024 bytes\r\n");
  EXPECT_TRUE(
      ask({"config", "get", std::string(1024, '*')}).starts_with("*20\r\n"));
  std::string hostile;
  while (hostile.size() < 1024) hostile += "*[";
  protocol::StringSink sink;
  protocol::Client client;
  protocol::Reply reply(sink, client, {});
  const std::string_view words[] = {"config", "get", hostile};
  node.answer(words, reply);
  EXPECT_EQ(sink.text, "*0\r\n");
  // The names of all settings are 110 bytes, and 32 bytes are a step.
  EXPECT_GT(reply.steps(), 20 + 1024u / 32);
  EXPECT_LE(reply.steps(), 20 + 1024u * (110 + 10) / 32);
}

TEST_F(ServerCommands, ConfigGetAnswersWhatRedisBenchmarkAsks) {
  EXPECT_EQ(ask({"config", "get", "save"}), "*2\r\n$4\r\nsave\r\n$0\r\n\r\n");
  EXPECT_EQ(ask({"CONFIG", "GET", "appendonly"}),
            "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n");
  EXPECT_EQ(ask({"config", "get", "nosuch"}), "*0\r\n");
  ask({"hello", "3"});
  EXPECT_EQ(ask({"config", "get", "SAVE", "s*"}),
            "%1\r\n$4\r\nsave\r\n$0\r\n\r\n");
}

TEST_F(ServerCommands, ConfigGetKnowsTheLimits) {
  surroundings.sections["server"] = {{"tcp_port", "7000"}};
  surroundings.sections["clients"] = {{"connected_clients", "3"},
                                      {"maxclients", "100"}};
  EXPECT_EQ(ask({"config", "get", "max*", "port"}),
            "*8\r\n$10\r\nmaxclients\r\n$3\r\n100\r\n"
            "$9\r\nmaxmemory\r\n$7\r\n1048576\r\n"
            "$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n"
            "$4\r\nport\r\n$4\r\n7000\r\n");
  EXPECT_EQ(ask({"config", "get", "proto-max-bulk-len"}),
            "*2\r\n$18\r\nproto-max-bulk-len\r\n$7\r\n1048576\r\n");
}

TEST_F(ServerCommands, ConfigGetDoesWithoutWhatTheProcessDoesNotTell) {
  EXPECT_EQ(ask({"config", "get", "maxclients"}),
            "*2\r\n$10\r\nmaxclients\r\n$1\r\n0\r\n");
}

}  // namespace
}  // namespace node
