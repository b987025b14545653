#include "program/surroundings.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <string>
#include <thread>

#include "net/counters.hpp"

namespace {

constexpr net::Ideal ideal[] = {
    {"wait", 1},
    {"recv", 0.5},
    {"ask", 2, true},
    {.call = "read", .per_request = 1, .unseen = true}};

const net::Model& model() {
  static const net::Model made{.name = "some",
                               .variant = "kind",
                               .rows = {},
                               .traits = {},
                               .ideal = ideal,
                               .probe = nullptr};
  return made;
}

class SurroundingsTest : public testing::Test {
 protected:
  std::map<std::string, std::string> fields(const char* section) {
    std::map<std::string, std::string> fields;
    for (const auto& [name, value] : surroundings_.fields(section))
      EXPECT_TRUE(fields.emplace(name, value).second) << name << " twice";
    return fields;
  }
  net::Options options_;
  net::Clients clients_;
  program::Surroundings surroundings_{model(), options_, clients_,
                                      "127.0.0.1:7007"};
};

TEST_F(SurroundingsTest, KnowTheProcess) {
  auto server = fields("server");
  EXPECT_EQ(server["model"], "some");
  EXPECT_EQ(server["variant"], "kind");
  EXPECT_EQ(server["process_id"], std::to_string(::getpid()));
  EXPECT_EQ(server["tcp_port"], "7007");
  EXPECT_EQ(server["threads"], "1");
  EXPECT_TRUE(server.contains("uptime_in_seconds"));
  EXPECT_TRUE(server["os"].starts_with("Linux ")) << server["os"];
}

TEST_F(SurroundingsTest, CountTheClients) {
  clients_.max = 10;
  clients_.now = 3;
  clients_.accepted = 5;
  clients_.refused = 2;
  auto clients = fields("clients");
  EXPECT_EQ(clients["connected_clients"], "3");
  EXPECT_EQ(clients["maxclients"], "10");
  auto stats = fields("stats");
  EXPECT_EQ(stats["total_connections_received"], "7");
  EXPECT_EQ(stats["rejected_connections"], "2");
}

TEST_F(SurroundingsTest, MeasureTheMemory) {
  EXPECT_GT(std::stoull(fields("memory")["used_memory_rss"]), 100'000u);
}

TEST_F(SurroundingsTest, MeasureTimeAndThreads) {
  const auto began = surroundings_.now_ns();
  EXPECT_LE(began, surroundings_.now_ns());
  auto cpu = fields("cpu");
  EXPECT_GE(std::stod(cpu["used_cpu_user"]), 0.0);
  EXPECT_EQ(cpu["used_cpu_sys"].size() - cpu["used_cpu_sys"].find('.'), 7u);
  net::count(net::counter("threads.", "here"));
  const auto threads = surroundings_.threads();
  EXPECT_GE(threads, 1u);
  std::thread([&] {
    net::count(net::counter("threads.", "there"));
    EXPECT_LE(surroundings_.threads(), threads + 1);
  }).join();
  const auto most = surroundings_.threads();
  std::thread([] { net::count(net::counter("threads.", "again")); }).join();
  EXPECT_EQ(surroundings_.threads(), most);
}

TEST_F(SurroundingsTest, TellTheIdeals) {
  auto ideals = fields("syscalls");
  EXPECT_EQ(ideals["ideal_wait"], "1.00");
  EXPECT_EQ(ideals["ideal_recv"], "0.50");
  EXPECT_EQ(ideals["least_ask"], "2.00");
  EXPECT_FALSE(ideals.contains("ideal_ask"));
  EXPECT_EQ(ideals["unseen_read"], "1.00");
  EXPECT_TRUE(fields("no such section").empty());
}

TEST_F(SurroundingsTest, AreTheCountersOfTheProcess) {
  const unsigned index = surroundings_.counter("surroundings.", "a");
  EXPECT_EQ(surroundings_.count(index, 1), 1u);
  EXPECT_EQ(surroundings_.count(index, 1), 2u);
  EXPECT_EQ(index, net::counter("surroundings.", "a"));
  const auto totals = surroundings_.totals("surroundings.");
  ASSERT_EQ(totals.size(), 1u);
  EXPECT_EQ(totals[0].first, "a");
  EXPECT_EQ(totals[0].second, 2u);
}

TEST_F(SurroundingsTest, AreSummedUpInALine) {
  net::count(net::counter("cmd.", "get"), 3);
  net::count(net::counter("cmd.", "set"), 4);
  net::count(net::counter("sys.", "some_call"), 5);
  net::count(net::counter("sys.", "never_called"), 0);
  net::count(net::counter("model.", "some_event"), 6);
  net::count(net::counter("net.", "late"), 7);
  net::count(net::counter("net.", "evicted"), 8);
  net::count(net::counter("net.", "reset"), 9);
  net::count(net::counter("lost.", "memory"), 12);
  net::count(net::counter("net.", "no_thread"), 13);
  clients_.accepted = 10;
  clients_.refused = 11;
  const std::string line = program::summary(model(), clients_);
  EXPECT_TRUE(line.starts_with(
      "{\"model\":\"some\",\"variant\":\"kind\",\"requests\":7,"
      "\"accepted\":10,\"refused\":11,\"reset\":9,\"evicted\":8,"
      "\"late\":7,\"no_memory\":12,\"no_thread\":13,\"calls\":{"))
      << line;
  // Beside the calls that other tests of this process have made.
  EXPECT_NE(line.find("\"some_call\":5"), line.npos) << line;
  EXPECT_EQ(line.find("never_called"), line.npos) << line;
  EXPECT_TRUE(line.ends_with("},\"model_counters\":{\"some_event\":6}}"))
      << line;
}

TEST_F(SurroundingsTest, SumUpTheCallsOfALibraryWhereThereAreSome) {
  const std::string line = program::summary(model(), clients_);
  EXPECT_EQ(line.find("library_calls"), line.npos) << line;
  net::count(net::counter("lib.", "some_fetch"), 14);
  const std::string more = program::summary(model(), clients_);
  EXPECT_NE(more.find("},\"library_calls\":{\"some_fetch\":14},"
                      "\"model_counters\":{"),
            more.npos)
      << more;
}

}  // namespace
