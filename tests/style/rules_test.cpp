// Every rule is shown what keeps it and what breaks it.

#include "tests/style/rules.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/style/tree.hpp"

namespace style {
namespace {

const Names models = {"blocking", "epoll", "iouring"};

// Complaints with their files cut off, so that a test reads in one line.
std::string all(const Complaints& complaints) {
  std::string text;
  for (const std::string& complaint : complaints) text += complaint + "\n";
  return text;
}

bool complains(const Complaints& complaints, std::string_view about) {
  return std::ranges::any_of(complaints, [&](const std::string& complaint) {
    return complaint.find(about) != complaint.npos;
  });
}

std::string repeated(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

constexpr std::string_view makefile =
    "# Servers\n"
    "SERVERS := \\\n"
    "  blocking:thread:thread \\\n"
    "  epoll:level:level \\\n"
    "  epoll:edge:readiness\n"
    "CLIENTS := blocking:thread epoll:level\n";

const std::vector<Variant> servers = variants_in(makefile, "SERVERS");
const std::vector<Variant> clients = variants_in(makefile, "CLIENTS");

TEST(Lists, are_read_from_the_makefile) {
  const std::vector<Variant> three = {{"blocking", "thread", "thread"},
                                      {"epoll", "level", "level"},
                                      {"epoll", "edge", "readiness"}};
  EXPECT_EQ(servers, three);
  EXPECT_EQ(clients.size(), 2u);
  EXPECT_EQ(models_of(servers), (Names{"blocking", "epoll"}));
  EXPECT_TRUE(variants_in(makefile, "NOTHING").empty());
  EXPECT_EQ(source_of(servers, servers[1], "server"), "server.cpp");
  EXPECT_EQ(source_of(servers, servers[2], "server"), "server_edge.cpp");
}

TEST(Layout, has_80_columns_of_code_points) {
  EXPECT_EQ("", all(check_layout({"a", repeated("é", 80) + "\n"})));
  EXPECT_TRUE(
      complains(check_layout({"a", repeated("x", 81) + "\n"}), "81 columns"));
}

TEST(Layout, has_no_tabs_and_no_loose_ends) {
  EXPECT_TRUE(complains(check_layout({"a", "\tx\n"}), "a tab"));
  EXPECT_TRUE(complains(check_layout({"a", "x \n"}), "a:1: a blank"));
  EXPECT_TRUE(complains(check_layout({"a", "x"}), "newline"));
  EXPECT_TRUE(complains(check_layout({"a", "x\n\n"}), "newline"));
}

TEST(Functions, have_at_most_30_code_lines) {
  const auto of = [](int lines) {
    return File{"a.cpp",
                "int f() {\n" + repeated("  g();\n  // why\n", lines) + "}\n"};
  };
  EXPECT_EQ("", all(check_functions(of(28))));
  EXPECT_TRUE(complains(check_functions(of(29)), "a.cpp:1: f has 31"));
}

TEST(Words, say_something) {
  EXPECT_EQ("", all(check_words({"a", "// Sleeps until there is a peer.\n"})));
  for (const char* word : {"TODO", "FIXME", "XXX", "simply", "Obviously"})
    EXPECT_TRUE(complains(
        check_words({"a", "\n// " + std::string(word) + " it\n"}), "a:2: "))
        << word;
}

TEST(NamesRule, lets_good_names_and_the_systems_pass) {
  EXPECT_EQ("", all(check_names({"a",
                                 "room.data(); event.data.u64 = id;\n"
                                 "information(); undo_log(); redo_();\n"
                                 "// handle_data\n"})));
}

TEST(NamesRule, knows_names_that_say_nothing) {
  for (const char* name :
       {"handle_read", "process_input", "do_accept", "ConnectionManager",
        "string_utils", "client_info", "data", "data_", "info_"})
    EXPECT_TRUE(
        complains(check_names({"a", std::string(name) + " = 1;\n"}), name))
        << name;
}

TEST(DeadCode, is_told_from_prose) {
  EXPECT_EQ("", all(check_dead_code({"a",
                                     "f();  // f(x);\n"
                                     "// Closes once, see close(2); then\n"
                                     "// returns to wait for more.\n"})));
  for (const char* code :
       {"close(fd);", "session.sent(n);", "if (n < 0) return;", "return n;",
        "while (accept()) {", "}", "#include <vector>"})
    EXPECT_TRUE(complains(
        check_dead_code({"a", "// " + std::string(code) + "\n"}), "a:1: "))
        << code;
}

TEST(Guard, stands_first) {
  EXPECT_EQ("", all(check_guard({"a.hpp", "#pragma once\n// What.\n"})));
  EXPECT_FALSE(check_guard({"a.hpp", "// What.\n#pragma once\n"}).empty());
}

struct Included {
  const char* path;
  const char* include;
};

TEST(Arrows, allow_what_the_architecture_allows) {
  for (const auto [path, include] : std::initializer_list<Included>{
           {"protocol/session.cpp", "\"protocol/session.hpp\""},
           {"protocol/session.cpp", "<cstring>"},
           {"node/node.cpp", "\"dht/overlay.hpp\""},
           {"net/listener.cpp", "<poll.h>"},
           {"net/listener.cpp", "\"protocol/limits.hpp\""},
           {"program/server.cpp", "<CLI/CLI.hpp>"},
           {"program/server.cpp", "\"node/node.hpp\""},
           {"epoll/server.cpp", "<sys/epoll.h>"},
           {"epoll/server.cpp", "\"epoll/calls.hpp\""},
           {"epoll/server.cpp", "\"net/table.hpp\""},
           {"epoll/test.cpp", "\"tests/model/loop.hpp\""},
           {"epoll/test_edge.cpp", "\"tests/model/loop.hpp\""},
           {"tests/net/table_test.cpp", "\"epoll/calls.hpp\""}})
    EXPECT_EQ("",
              all(check_includes(
                  {path, "#include " + std::string(include) + "\n"}, models)))
        << path;
}

TEST(Arrows, run_one_way) {
  for (const auto [path, include] : std::initializer_list<Included>{
           {"protocol/session.cpp", "<unistd.h>"},
           {"protocol/session.cpp", "<sys/socket.h>"},
           {"protocol/session.cpp", "<fstream>"},
           {"protocol/session.cpp", "\"net/fd.hpp\""},
           {"dht/chord.cpp", "<openssl/sha.h>"},
           {"dht/chord.cpp", "\"node/node.hpp\""},
           {"node/node.cpp", "\"net/counters.hpp\""},
           {"net/listener.cpp", "<sys/epoll.h>"},
           {"net/listener.cpp", "\"node/node.hpp\""},
           {"net/listener.cpp", "\"epoll/calls.hpp\""},
           {"program/server.cpp", "<liburing.h>"},
           {"program/server.cpp", "\"iouring/ring.hpp\""},
           {"epoll/server.cpp", "\"iouring/ring.hpp\""},
           {"epoll/server.cpp", "\"node/node.hpp\""},
           {"epoll/server.cpp", "\"tests/model/loop.hpp\""},
           {"epoll/test.cpp", "\"blocking/calls.hpp\""}})
    EXPECT_FALSE(check_includes(
                     {path, "#include " + std::string(include) + "\n"}, models)
                     .empty())
        << path << " " << include;
}

TEST(Purity, no_shared_part_names_a_model) {
  EXPECT_EQ("",
            all(check_purity({"net/mailbox.cpp",
                              "// for epoll\nselect(1); f(\"blocking x\");\n"},
                             models)));
  EXPECT_EQ(
      "", all(check_purity({"epoll/server.cpp", "epoll_wait(1);\n"}, models)));
  for (const char* code :
       {"f(\"blocking\");", "f(\"epoll_wait\");", "epoll_wait(1);",
        "io_uring_enter(1);", "aio_read(1);"})
    EXPECT_FALSE(
        check_purity({"program/server.cpp", std::string(code) + "\n"}, models)
            .empty())
        << code;
}

TEST(Purity, pure_parts_start_no_thread) {
  const std::string good = "std::thread::id t = std::this_thread::get_id();\n";
  EXPECT_EQ("", all(check_purity({"node/lookups.cpp", good}, models)));
  const std::string bad = "std::thread worker(run);\n";
  EXPECT_FALSE(check_purity({"node/lookups.cpp", bad}, models).empty());
}

TEST(Purity, pure_parts_ask_no_clock) {
  const std::string code = "std::chrono::steady_clock::now();\n";
  EXPECT_FALSE(check_purity({"node/lookups.cpp", code}, models).empty());
  EXPECT_EQ("", all(check_purity({"program/clock.cpp", code}, models)));
}

TEST(BlackBox, takes_its_programs_from_the_makefile) {
  const File good = {"tests/conformance/a.cpp",
                     "start(\"redis-cli\", \"epoll\");\n"};
  EXPECT_EQ("", all(check_no_variant_named(good, servers)));
  const File bad = {"tests/conformance/a.cpp", "start(\"epoll-level\");\n"};
  EXPECT_FALSE(check_no_variant_named(bad, servers).empty());
}

std::string told(const Steps& steps) {
  std::string text;
  for (std::size_t i = 0; i < steps.size(); ++i)
    text += "  // " + std::to_string(i + 1) + ". " + std::string(steps[i]) +
            ". What the kernel does.\n";
  return text;
}

TEST(StepsRule, all_eight_in_order) {
  EXPECT_EQ("", all(check_steps({"a", told(server_steps)}, server_steps)));
  EXPECT_EQ("", all(check_steps({"a", told(client_steps)}, client_steps)));
  const std::string again = "  // 2. ARM, for a connection: what it wants.\n";
  EXPECT_EQ("",
            all(check_steps({"a", told(server_steps) + again}, server_steps)));
}

TEST(StepsRule, one_missing_misnamed_or_misplaced) {
  std::string text = told(server_steps);
  const auto place = text.find("  // 4.");
  const std::string fourth =
      text.substr(place, text.find('\n', place) + 1 - place);
  std::string missing = text;
  missing.erase(place, fourth.size());
  EXPECT_TRUE(complains(check_steps({"a", missing}, server_steps),
                        "RECEIVE comes before ACCEPT"));
  EXPECT_FALSE(check_steps({"a", missing + fourth}, server_steps).empty());
  EXPECT_TRUE(complains(check_steps({"a", text}, client_steps),
                        "there is no step 1. LISTEN"));
  text.erase(text.find("  // 8."));
  EXPECT_TRUE(
      complains(check_steps({"a", text}, server_steps), "no step 8. CLOSE"));
  EXPECT_EQ(check_steps({"a", "int x;\n"}, server_steps).size(), 8u);
}

TEST(Head, has_a_title_and_at_most_six_lines) {
  const auto of = [](int lines) {
    return File{"a", "// # The epoll server\n//\n" +
                         repeated("// It sleeps.\n", lines) +
                         "\n#include <a>\n"};
  };
  EXPECT_EQ("", all(check_head(of(1), "server")));
  EXPECT_EQ("", all(check_head(of(6), "server")));
  EXPECT_FALSE(check_head(of(0), "server").empty());
  EXPECT_FALSE(check_head(of(7), "server").empty());
  EXPECT_FALSE(check_head(of(1), "client").empty());
  EXPECT_FALSE(check_head({"a", "// The epoll server\n"}, "server").empty());
  EXPECT_FALSE(check_head({"a", ""}, "server").empty());
}

TEST(Budget, counts_code_alone) {
  const auto of = [](int lines) {
    return File{"a", repeated("x();  // why\n\n// why\n", lines)};
  };
  EXPECT_EQ("", all(check_budget(of(10), 10)));
  EXPECT_TRUE(complains(check_budget(of(11), 10), "11 code lines"));
}

TEST(Budget, depends_on_the_kind) {
  EXPECT_EQ(server_budget("thread"), 200);
  EXPECT_EQ(server_budget("level"), 180);
  EXPECT_EQ(server_budget("readiness"), 195);
  EXPECT_EQ(server_budget("completion"), 240);
  EXPECT_EQ(server_budget("magic"), 0);
}

TEST(Ownership, is_with_the_table) {
  EXPECT_EQ("",
            all(check_ownership({"a", "connections_.emplace(1);  // new\n"})));
  EXPECT_FALSE(check_ownership({"a", "auto* c = new Connection;\n"}).empty());
  EXPECT_FALSE(check_ownership({"a", "std::make_shared<int>(1);\n"}).empty());
  EXPECT_FALSE(check_ownership({"a", "std::shared_ptr<int> p;\n"}).empty());
}

TEST(SameSteps, comments_and_mechanisms_may_differ) {
  const File one = read_fixture("level_one.cpp");
  const File two = read_fixture("level_two.cpp");
  ASSERT_NE(one.text, two.text);
  EXPECT_EQ("", all(check_same_steps(one, two)));
}

TEST(SameSteps, code_may_not) {
  const File one = read_fixture("level_one.cpp");
  const File drifted = read_fixture("level_drifted.cpp");
  EXPECT_TRUE(complains(check_same_steps(one, drifted), "return n >= 0;"));
  File cut = one;
  cut.text.erase(cut.text.find("  // 7. SEND"), 120);
  EXPECT_FALSE(check_same_steps(one, cut).empty());
  EXPECT_TRUE(complains(check_same_steps(one, {"b", "int x;\n"}), "b: steps"));
  EXPECT_TRUE(complains(check_same_steps({"a", ""}, one), "a: steps"));
}

TEST(Folder, holds_its_variants_and_no_more) {
  const Names good = {"server.cpp", "server_edge.cpp", "client.cpp",
                      "calls.hpp",  "more.hpp",        "test.cpp",
                      "told.hpp",   "acceptor.hpp",    "README.md"};
  const auto check = [](const Names& files) {
    return check_folder("epoll", files, servers, clients);
  };
  EXPECT_EQ("", all(check(good)));
  for (std::size_t i = 0; i < good.size(); ++i) {
    Names files = good;
    files.erase(files.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_EQ(check(files).empty(), good[i].ends_with(".hpp")) << good[i];
  }
  for (const char* name :
       {"server_oneshot.cpp", "loop.cpp", "third.hpp", "calls_oneshot.hpp",
        "test_oneshot.cpp", "calls_edge.cpp"}) {
    Names files = good;
    files.push_back(name);
    EXPECT_FALSE(check(files).empty()) << name;
  }
  // A variant that is built where the others' packages are not, or the other
  // way round.
  Names files = good;
  files.insert(files.end(), {"calls_edge.hpp", "test_edge.cpp"});
  EXPECT_EQ("", all(check(files)));
}

TEST(Lists, agree_with_the_folders) {
  const Names good = {".git", "build", "docs", "net", "blocking", "epoll"};
  EXPECT_EQ("", all(check_lists(good, servers, clients)));
  EXPECT_TRUE(
      complains(check_lists({"blocking", "epoll", "select"}, servers, clients),
                "select/"));
  EXPECT_TRUE(complains(check_lists({"blocking"}, servers, clients),
                        "epoll has no folder"));
  EXPECT_TRUE(complains(check_lists(good, servers, {clients[0]}),
                        "epoll has no client"));
  EXPECT_TRUE(complains(check_lists(good, {servers[0]}, clients),
                        "epoll has no server"));
  auto magic = servers;
  magic[0].kind = "magic";
  EXPECT_TRUE(complains(check_lists(good, magic, clients), "no known kind"));
}

const std::string table =
    "# Title\n\n"
    "| model | servers | clients | what |\n"
    "| --- | --- | --- | --- |\n"
    "| [`blocking`](blocking/README.md) | `thread` | `thread` | x |\n"
    "| `epoll` | `level`, `edge` | `level` | y |\n"
    "\nText `more`.\n";

TEST(TableRule, tells_what_the_makefile_lists) {
  EXPECT_EQ("", all(check_table({"README.md", table}, servers, clients)));
  EXPECT_FALSE(
      check_table({"README.md", "no table\n"}, servers, clients).empty());
  EXPECT_TRUE(complains(
      check_table({"README.md", table}, {servers[0], servers[1]}, clients),
      "epoll has level, the table says edge level"));
  EXPECT_TRUE(
      complains(check_table({"README.md", table}, {servers[0]}, {clients[0]}),
                "no model epoll"));
  auto more = clients;
  more.push_back({"iouring", "completion", ""});
  EXPECT_TRUE(complains(check_table({"README.md", table}, servers, more),
                        "iouring has completion, the table says nothing"));
}

TEST(Length, counts_lines_of_any_kind) {
  EXPECT_EQ("", all(check_length({"a", "x\n\n# x\n"}, 3)));
  EXPECT_TRUE(complains(check_length({"a", "x\n\n# x\n"}, 2), "3 lines"));
}

TEST(ModelReadme, is_short_and_tells_every_step) {
  const std::string steps = told(server_steps);
  EXPECT_EQ("", all(check_model_readme({"a", steps + repeated("x\n", 152)})));
  EXPECT_TRUE(complains(check_model_readme({"a", steps + repeated("x\n", 153)}),
                        "161 lines"));
  EXPECT_TRUE(complains(
      check_model_readme({"a", steps.substr(0, steps.find("  // 8."))}),
      "CLOSE"));
}

}  // namespace
}  // namespace style
