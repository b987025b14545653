#include "program/options.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "net/endpoint.hpp"

namespace {

using program::Arguments;
using program::Ending;
using std::chrono::milliseconds;

constexpr const char* colours[] = {"red", "green"};
constexpr net::Row server_rows[] = {
    {"buffers", "how many buffers", 512, 16, 4096},
    {"entries", "places in the ring", 256, 8, 1024},
    {.name = "colour", .help = "which", .value = 1, .words = colours}};
constexpr net::Row client_rows[] = {
    {"entries", "places in the ring", 256, 8, 1024},
    {"naps", "how many naps", 3, 0, 9}};

net::Model model_of(const char* threads = "none",
                    std::span<const net::Row> rows = {}) {
  return {.name = "some",
          .variant = "kind",
          .rows = rows,
          .traits = {.threads = threads},
          .ideal = {},
          .probe = nullptr};
}

auto parse_server(const Arguments& arguments, const char* threads = "none") {
  return program::parse_server(arguments, model_of(threads, server_rows),
                               model_of("none", client_rows));
}

auto parse_client(const Arguments& arguments) {
  return program::parse_client(arguments, model_of("none", client_rows));
}

/// The whole message, of which the second line names the help.
template <class T>
void expect_refusal(const std::expected<T, Ending>& parsed,
                    const std::string& message) {
  ASSERT_FALSE(parsed) << message;
  EXPECT_EQ(parsed.error().code, 2);
  EXPECT_EQ(parsed.error().text,
            message + "\nRun with --help to see all options.\n");
}

TEST(ServerOptions, HaveDefaults) {
  const auto options = parse_server({});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->net.bind, "127.0.0.1");
  EXPECT_EQ(options->net.port, 7000);
  EXPECT_EQ(options->net.listen_fd, -1);
  EXPECT_EQ(options->net.threads, 1u);
  EXPECT_EQ(options->net.clients_max, 0u);
  EXPECT_EQ(options->net.limits.bulk_max, 1u << 20);
  EXPECT_EQ(options->lookup_time, milliseconds(1000));
  EXPECT_EQ(options->announce, "127.0.0.1:7000");
  EXPECT_TRUE(options->ring.empty());
  EXPECT_FALSE(options->traits);
  EXPECT_EQ(options->net["buffers"], 512u);
  EXPECT_EQ(options->net["entries"], 256u);
  EXPECT_EQ(options->net["naps"], 3u);
}

TEST(ServerOptions, AreTaken) {
  const auto options = parse_server(
      {"--bind",     "::1",           "--port=7001", "--threads",
       "4",          "--keys",        "sha1",        "--routing",
       "successors", "--lookup-time", "250",         "--max-clients",
       "100",        "--max-memory",  "2M",          "--send-buffer",
       "8kb",        "--trace",       "t.json",      "--frame-time",
       "1",          "--buffers",     "16",          "--naps",
       "0",          "--traits"},
      "loops");
  ASSERT_TRUE(options) << options.error().text;
  EXPECT_EQ(options->net.port, 7001);
  EXPECT_EQ(options->net.threads, 4u);
  EXPECT_EQ(options->keys, dht::Placement::sha1);
  EXPECT_EQ(options->routing, dht::Routing::successors);
  EXPECT_EQ(options->lookup_time, milliseconds(250));
  EXPECT_EQ(options->net.clients_max, 100u);
  EXPECT_EQ(options->memory_max, 2u << 20);
  EXPECT_EQ(options->net.send_buffer, 8192);
  EXPECT_EQ(options->trace, "t.json");
  EXPECT_EQ(options->net.limits.frame_time, milliseconds(1));
  EXPECT_EQ(options->net["buffers"], 16u);
  EXPECT_EQ(options->net["naps"], 0u);
  EXPECT_EQ(options->announce, "[::1]:7001");
  EXPECT_TRUE(options->traits);
}

TEST(ServerOptions, MayBeWords) {
  EXPECT_EQ(parse_server({})->net["colour"], 1u);
  const auto options = parse_server({"--colour", "red"});
  ASSERT_TRUE(options) << options.error().text;
  EXPECT_EQ(options->net["colour"], 0u);
  expect_refusal(parse_server({"--colour", "0"}),
                 "--colour: '0' is not allowed, but red|green");
  const std::string help = parse_server({"--help"}).error().text;
  EXPECT_NE(help.find("--colour red|green=green "), help.npos) << help;
}

TEST(ServerOptions, SetEveryLimit) {
  const auto options = parse_server(
      {"--bulk-max",    "1k",  "--frame-max",   "2k", "--arguments-max", "3",
       "--inline-max",  "100", "--output-max",  "4k", "--parked-max",    "5k",
       "--discard-max", "6k",  "--buffers-max", "7m", "--frame-time",    "8",
       "--reader-time", "9",   "--drain-time",  "10"});
  ASSERT_TRUE(options) << options.error().text;
  const protocol::Limits& limits = options->net.limits;
  EXPECT_EQ(limits.bulk_max, 1024u);
  EXPECT_EQ(limits.frame_max, 2048u);
  EXPECT_EQ(limits.arguments_max, 3u);
  EXPECT_EQ(limits.inline_max, 100u);
  EXPECT_EQ(limits.output_max, 4096u);
  EXPECT_EQ(limits.parked_max, 5120u);
  EXPECT_EQ(limits.discard_max, 6144u);
  EXPECT_EQ(limits.buffers_max, 7u << 20);
  EXPECT_EQ(limits.frame_time, milliseconds(8));
  EXPECT_EQ(limits.reader_time, milliseconds(9));
  EXPECT_EQ(limits.drain_time, milliseconds(10));
}

TEST(ServerOptions, SayWhatIsAllowed) {
  expect_refusal(parse_server({"--port", "70000"}),
                 "--port: '70000' is not allowed, but a number from 0 to "
                 "65535");
  expect_refusal(parse_server({"--port", "http"}),
                 "--port: 'http' is not allowed, but a number from 0 to "
                 "65535");
  expect_refusal(parse_server({"--buffers", "8"}),
                 "--buffers: '8' is not allowed, but a number from 16 to "
                 "4096");
  expect_refusal(parse_server({"--keys", "md5"}),
                 "--keys: 'md5' is not allowed, but slots|sha1");
  expect_refusal(parse_server({"--lookup-time", "0"}),
                 "--lookup-time: '0' is not allowed, but a number from 1 to "
                 "86400000, in milliseconds");
  expect_refusal(parse_server({"--bulk-max", "5m"}),
                 "--bulk-max: '5m' is not allowed, but a size from 1 to 4m "
                 "(k, m, g: 1024 bytes, ...)");
}

// Cells of the store are known by 32 bits.
TEST(ServerOptions, KnowHowLargeAStoreCanBe) {
  EXPECT_TRUE(parse_server({"--max-memory", "256g"}));
  expect_refusal(parse_server({"--max-memory", "257g"}),
                 "--max-memory: '257g' is not allowed, but a size from 64k to "
                 "262144m (k, m, g: 1024 bytes, ...)");
}

TEST(ServerOptions, TakeNoNumberThatIsNone) {
  for (const char* text :
       {"", "-1", "+1", " 1", "1 ", "1x", "0x10", "1.5", "18446744073709551616",
        "k", "1kk", "1 k", "1kib", "18446744073709551615k"})
    EXPECT_FALSE(parse_server({"--max-memory", text})) << text;
  EXPECT_FALSE(parse_server({"--port", "1k"}));
}

TEST(ServerOptions, MultiplyOnlyWhatCanBe) {
  expect_refusal(parse_server({"--threads", "2"}),
                 "--threads: '2' is not allowed, but 1: some kind has no loops "
                 "or workers to multiply");
  EXPECT_TRUE(parse_server({"--threads", "1"}));
  EXPECT_TRUE(parse_server({"--threads", "2"}, "workers"));
  EXPECT_FALSE(parse_server({"--threads", "0"}, "loops"));
  EXPECT_FALSE(parse_server({"--threads", "257"}, "loops"));
}

TEST(ServerOptions, KnowTheRing) {
  const auto options =
      parse_server({"--ring", "127.0.0.1:7000,[0::1]:7001,127.0.0.1:7002"});
  ASSERT_TRUE(options) << options.error().text;
  EXPECT_EQ(options->ring,
            (Arguments{"127.0.0.1:7000", "[::1]:7001", "127.0.0.1:7002"}));
  expect_refusal(parse_server({"--ring", "127.0.0.1:7000,here"}),
                 "--ring: 'here' is not allowed, but an address: "
                 "127.0.0.1:7000, [::1]:7000 or /a/path");
  expect_refusal(
      parse_server({"--ring", "127.0.0.1:7000,[::1]:1,[0::1]:1"}),
      "--ring: '[0::1]:1' is not allowed, but each address once, and "
      "[::1]:1 is the same");
}

// A node that is in the list twice, or at an address that is another one for
// everybody who reads it, is sent on to itself for ever.
TEST(ServerOptions, TakeOneNameOfEachNode) {
  expect_refusal(
      parse_server({"--ring", "127.0.0.1:7000,[::ffff:127.0.0.1]:7000"}),
      "--ring: '[::ffff:127.0.0.1]:7000' is not allowed, but each address "
      "once, and 127.0.0.1:7000 is the same");
  expect_refusal(parse_server({"--ring", "127.0.0.1:7000,127.0.0.1:07000"}),
                 "--ring: '127.0.0.1:07000' is not allowed, but each address "
                 "once, and 127.0.0.1:7000 is the same");
  const auto mapped = parse_server({"--bind", "::ffff:127.0.0.1", "--ring",
                                    "[::ffff:127.0.0.1]:7000,127.0.0.1:7001"});
  ASSERT_TRUE(mapped) << mapped.error().text;
  EXPECT_EQ(mapped->ring, (Arguments{"127.0.0.1:7000", "127.0.0.1:7001"}));
  EXPECT_EQ(mapped->announce, "127.0.0.1:7000");
}

TEST(ServerOptions, TakeOnlyWhatNamesANode) {
  const std::string allowed =
      "' is not allowed, but an address at which others find one node: "
      "127.0.0.1:7000, [::1]:7000 or /a/path";
  for (const char* nobody :
       {"0.0.0.0:7000", "[::]:7000", "[::ffff:0.0.0.0]:7000", "224.0.0.1:7000",
        "[ff02::1]:7000"}) {
    const std::string text(nobody);
    expect_refusal(parse_server({"--ring", "127.0.0.1:7000," + text}),
                   "--ring: '" + text + allowed);
    expect_refusal(parse_server({"--announce", text}),
                   "--announce: '" + text + allowed);
  }
  for (const char* path : {"/run//a", "/run/./a", "/run/../a"})
    expect_refusal(
        parse_server({"--ring", std::string("127.0.0.1:7000,") + path}),
        std::string("--ring: '") + path +
            "' is not allowed, but a path without //, /./ and /../, and no / "
            "at its end");
  EXPECT_FALSE(parse_server({"--ring", "127.0.0.1:7000,127.0.0.1:0"}));
  EXPECT_FALSE(parse_server({"--announce", "127.0.0.1:0"}));
}

// Bound to all of a host's addresses, a node has none until it is given one.
TEST(ServerOptions, WantANameForWhoIsBoundToAll) {
  const Arguments all{"--ring", "127.0.0.1:7000,127.0.0.1:7001", "--bind",
                      "0.0.0.0"};
  expect_refusal(parse_server(all),
                 "--announce: '0.0.0.0:7000' is not allowed, but one of the "
                 "addresses of --ring");
  Arguments named = all;
  named.insert(named.end(), {"--announce", "127.0.0.1:7000"});
  EXPECT_TRUE(parse_server(named));
}

TEST(ServerOptions, RedirectByHopsOrToTheOwner) {
  EXPECT_EQ(parse_server({})->redirect, node::Redirect::hop);
  EXPECT_EQ(parse_server({"--redirect", "hop"})->redirect, node::Redirect::hop);
  EXPECT_EQ(parse_server({"--redirect", "owner"})->redirect,
            node::Redirect::owner);
  EXPECT_FALSE(parse_server({"--redirect", "somewhere"}));
}

TEST(ServerOptions, AreOneOfTheRing) {
  const Arguments ring{"--ring", "127.0.0.1:1,127.0.0.1:2"};
  const auto with = [&](Arguments more) {
    more.insert(more.end(), ring.begin(), ring.end());
    return parse_server(more);
  };
  expect_refusal(with({}),
                 "--announce: '127.0.0.1:7000' is not allowed, but one of the "
                 "addresses of --ring");
  expect_refusal(with({"--port", "1", "--announce", "127.0.0.1:3"}),
                 "--announce: '127.0.0.1:3' is not allowed, but one of the "
                 "addresses of --ring");
  EXPECT_TRUE(with({"--port", "1"}));
  EXPECT_TRUE(with({"--announce", "127.0.0.1:2"}));
  // Nobody can have been told the port that it will come to.
  EXPECT_FALSE(with({"--port", "0"}));
  EXPECT_TRUE(with({"--port", "0", "--announce", "127.0.0.1:2"}));
}

TEST(ServerOptions, AnnounceWhatWasInherited) {
  const net::Fd socket = net::bind_socket("127.0.0.1", 0);
  const std::string address = net::address_of(socket.get());
  const auto options =
      parse_server({"--listen-fd", std::to_string(socket.get()), "--ring",
                    "127.0.0.1:1," + address});
  ASSERT_TRUE(options) << options.error().text;
  EXPECT_EQ(options->announce, address);
  EXPECT_EQ(options->net.listen_fd, socket.get());
}

TEST(ServerOptions, InheritOnlyASocket) {
  const std::string message =
      " is not allowed, but the number of an inherited, bound stream socket";
  expect_refusal(parse_server({"--listen-fd", "999"}),
                 "--listen-fd: '999'" + message);
  const net::Fd datagrams(::socket(AF_INET, SOCK_DGRAM, 0));
  const std::string number = std::to_string(datagrams.get());
  expect_refusal(parse_server({"--listen-fd", number}),
                 "--listen-fd: '" + number + "'" + message);
}

TEST(ServerOptions, BindToAPath) {
  const auto options = parse_server({"--bind", "/run/some.sock"});
  ASSERT_TRUE(options);
  EXPECT_EQ(options->announce, "/run/some.sock");
  EXPECT_FALSE(parse_server({"--bind", "/" + std::string(200, 'a')}));
  EXPECT_FALSE(parse_server({"--bind", ""}));
  EXPECT_FALSE(parse_server({"--bind", "no such name"}));
}

TEST(ServerOptions, WantOneValue) {
  expect_refusal(parse_server({"--port"}), "--port: wants one value");
  expect_refusal(parse_server({"--port", "1", "--port", "2"}),
                 "--port: wants one value");
}

TEST(ServerOptions, KnowNoOthers) {
  for (const Arguments& wrong :
       {Arguments{"--no-such-option"}, Arguments{"surplus"}}) {
    const auto options = parse_server(wrong);
    ASSERT_FALSE(options);
    EXPECT_EQ(options.error().code, 2);
    EXPECT_FALSE(options.error().text.empty());
  }
}

TEST(ServerOptions, ExplainThemselves) {
  const auto options = parse_server({"--help"});
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().code, 0);
  for (const char* name : {"The some server, variant kind.",
                           "some-kind-server",
                           "--bind",
                           "--listen-fd",
                           "--announce",
                           "--threads",
                           "--ring",
                           "--keys",
                           "slots|sha1",
                           "--routing",
                           "--lookup-time",
                           "--max-clients",
                           "--max-memory",
                           "--send-buffer",
                           "--buffers-max",
                           "--drain-time",
                           "--trace",
                           "--traits",
                           "--buffers",
                           "how many naps"})
    EXPECT_NE(options.error().text.find(name), std::string::npos) << name;
}

TEST(ClientOptions, TakeACommand) {
  const auto options =
      parse_client({"127.0.0.1:7000", "SET", "key", "-1", "--raw"});
  ASSERT_TRUE(options) << options.error().text;
  EXPECT_EQ(options->address, "127.0.0.1:7000");
  EXPECT_EQ(options->command, (Arguments{"SET", "key", "-1", "--raw"}));
  EXPECT_FALSE(options->raw);
  EXPECT_EQ(options->timeout, milliseconds(5000));
}

TEST(ClientOptions, StandBeforeTheCommand) {
  const auto options =
      parse_client({"--no-raw", "-3", "--timeout", "10", "--naps", "1",
                    "--trace", "t.json", "/a/path", "PING"});
  ASSERT_TRUE(options) << options.error().text;
  EXPECT_EQ(options->raw, false);
  EXPECT_TRUE(options->resp3);
  EXPECT_EQ(options->timeout, milliseconds(10));
  EXPECT_EQ(options->trace, "t.json");
  EXPECT_EQ(options->net["naps"], 1u);
  EXPECT_EQ(options->command, Arguments{"PING"});
  EXPECT_EQ(parse_client({"--raw", "/a/path", "PING"})->raw, true);
}

TEST(ClientOptions, TakeKeysOrADemonstration) {
  const auto lookup = parse_client({"127.0.0.1:7000", "--lookup", "a", "b"});
  ASSERT_TRUE(lookup) << lookup.error().text;
  EXPECT_EQ(lookup->lookup, (Arguments{"a", "b"}));
  EXPECT_TRUE(lookup->command.empty());
  EXPECT_TRUE(parse_client({"127.0.0.1:7000", "--demo"})->demo);
}

TEST(ClientOptions, WantOneThing) {
  const std::string message =
      "Wanted is one of: a command, --lookup KEY..., --demo";
  expect_refusal(parse_client({"127.0.0.1:7000"}), message);
  expect_refusal(parse_client({"127.0.0.1:7000", "--demo", "PING"}), message);
  expect_refusal(parse_client({"127.0.0.1:7000", "--demo", "--lookup", "a"}),
                 message);
  for (const Arguments& wrong :
       {Arguments{}, Arguments{"--demo"},
        Arguments{"--raw", "--no-raw", "127.0.0.1:7000", "PING"},
        Arguments{"--timeout", "x", "127.0.0.1:7000", "PING"}}) {
    const auto options = parse_client(wrong);
    ASSERT_FALSE(options);
    EXPECT_EQ(options.error().code, 2);
  }
  EXPECT_EQ(parse_client({"--help"}).error().code, 0);
}

TEST(RingOptions, AreTaken) {
  const auto options =
      program::parse_ring({"--servers", "a,b", "--client", "c", "--count", "3",
                           "--", "--threads", "2", "--", "-x"});
  ASSERT_TRUE(options) << options.error().text;
  EXPECT_EQ(options->servers, (Arguments{"a", "b"}));
  EXPECT_EQ(options->client, "c");
  EXPECT_EQ(options->count, 3u);
  EXPECT_EQ(options->bind, "127.0.0.1");
  EXPECT_EQ(options->port, 0u);
  EXPECT_FALSE(options->serve);
  EXPECT_EQ(options->server_options, (Arguments{"--threads", "2", "--", "-x"}));
  const auto there = program::parse_ring(
      {"--servers", "a", "--serve", "--bind", "192.0.2.1", "--port", "65528"});
  ASSERT_TRUE(there) << there.error().text;
  EXPECT_TRUE(there->serve);
  EXPECT_EQ(there->bind, "192.0.2.1");
  EXPECT_EQ(there->port, 65'528u);
}

TEST(RingOptions, WantAClientOrToServe) {
  expect_refusal(program::parse_ring({"--servers", "a"}),
                 "Wanted is one of: --client PATH, --serve");
  EXPECT_FALSE(program::parse_ring({"--client", "c"}));
  EXPECT_FALSE(
      program::parse_ring({"--servers", "a", "--serve", "--count", "0"}));
}

TEST(RingOptions, AreOfAddressesThatNodesCanBeTold) {
  const auto given = [](const char* option, const char* value) {
    return program::parse_ring({"--servers", "a", "--serve", option, value});
  };
  expect_refusal(
      given("--port", "65529"),
      "--port: '65529' is not allowed, but a number up to 65528: each "
      "server takes the next");
  for (const char* bind :
       {"0.0.0.0", "::", "[::]", "::ffff:0.0.0.0", "224.0.0.1", "/tmp/ring"})
    expect_refusal(given("--bind", bind),
                   std::string("--bind: '") + bind +
                       "' is not allowed, but an address that all nodes are "
                       "told");
}

TEST(Ending, IsPrintedWhereItBelongs) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  EXPECT_EQ(program::print({0, "help\n"}), 0);
  EXPECT_EQ(program::print({2, "wrong\n"}), 2);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "help\n");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "wrong\n");
}

}  // namespace
