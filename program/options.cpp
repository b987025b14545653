#include "program/options.hpp"

#include <sys/socket.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <utility>

#include "net/address.hpp"
#include "net/endpoint.hpp"
#include "node/store.hpp"
#include "program/command_line.hpp"

namespace program {
namespace {

using namespace command_line;

void limits(CLI::App& app, protocol::Limits& value) {
  // A frame has to fit into the largest block of a pool.
  const Range frame{1 * kib, 4 * mib, true};
  number(app, "--bulk-max", value.bulk_max, {1, 4 * mib, true},
         "bytes of one argument");
  number(app, "--frame-max", value.frame_max, frame,
         "bytes of one whole request");
  number(app, "--arguments-max", value.arguments_max, {1, mib},
         "arguments of one request");
  number(app, "--inline-max", value.inline_max, {64, mib, true},
         "bytes of one line");
  number(app, "--output-max", value.output_max, {1 * kib, gib, true},
         "unsent bytes of a conversation, above which it is not read");
  number(app, "--parked-max", value.parked_max, frame,
         "bytes kept of a conversation behind a pending answer");
  number(app, "--discard-max", value.discard_max, {1, gib, true},
         "bytes thrown away of a conversation before it is closed");
  number(app, "--buffers-max", value.buffers_max, {4 * mib, 1024 * gib, true},
         "bytes of all buffers, above which peers who hold much are closed");
  duration(app, "--frame-time", value.frame_time, "time to complete a request");
  duration(app, "--reader-time", value.reader_time,
           "time without progress of a peer who does not read");
  duration(app, "--drain-time", value.drain_time,
           "time for a peer to end after we have");
}

void check_bind(const net::Options& options) {
  const bool path = options.bind.starts_with('/');
  if (path && !net::parse_address(options.bind))
    refuse("--bind", options.bind, "a path of at most 107 bytes");
  if (options.bind.empty())
    refuse("--bind", options.bind, "an address, a name or a path");
}

void check_listen_fd(int fd) {
  if (fd < 0) return;
  int type = 0;
  socklen_t size = sizeof type;
  sockaddr_storage name{};
  socklen_t length = sizeof name;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
      type != SOCK_STREAM ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) != 0)
    refuse("--listen-fd", std::to_string(fd),
           "the number of an inherited, bound stream socket");
}

void check_threads(const net::Options& options, const net::Model& server) {
  if (options.threads > 1 && server.traits.threads == std::string_view("none"))
    refuse("--threads", std::to_string(options.threads),
           std::string("1: ") + server.name + " " + server.variant +
               " has no loops or workers to multiply");
}

/// Every node has to write an address in the same way, since its identifier is
/// the hash of it; and it has to mean the same node to all of them.
std::string canonical(const std::string& name, const std::string& text) {
  const auto address = net::parse_address(text);
  if (!address)
    refuse(name, text, "an address: 127.0.0.1:7000, [::1]:7000 or /a/path");
  if (!net::names_a_node(*address))
    refuse(name, text,
           "an address at which others find one node: 127.0.0.1:7000, "
           "[::1]:7000 or /a/path");
  const bool path = text.starts_with('/');
  if (path &&
      (std::filesystem::path(text).lexically_normal().native() != text ||
       text.ends_with('/')))
    refuse(name, text, "a path without //, /./ and /../, and no / at its end");
  // It is written into lines: of CLUSTER NODES, of MOVED.
  std::string shown = text;
  std::ranges::replace_if(
      shown, [](char c) { return c <= ' ' || c > '~'; }, '*');
  if (shown != text)
    refuse(name, shown, "letters, digits and signs of ASCII without blanks");
  return net::to_text(*address);
}

/// By which address others know this node, as far as it is known before the
/// port is bound.
std::string announced(const ServerOptions& options) {
  const net::Options& net = options.net;
  if (!options.announce.empty())
    return canonical("--announce", options.announce);
  if (net.listen_fd >= 0) return net::address_of(net.listen_fd);
  if (net.bind.starts_with('/')) return net.bind;
  if (net.port == 0) return "";
  try {
    return net::to_text(net::resolve_host(net.bind, net.port));
  } catch (const std::runtime_error& error) {
    refuse("--bind", net.bind, std::string("a known host: ") + error.what());
  }
}

void check_ring(ServerOptions& options) {
  std::map<std::string, std::string> seen;  // canonical, and as it was written
  for (std::string& address : options.ring) {
    const std::string text =
        std::exchange(address, canonical("--ring", address));
    const auto [first, added] = seen.emplace(address, text);
    if (!added)
      refuse("--ring", text,
             "each address once, and " + first->second + " is the same");
  }
  options.announce = announced(options);
  if (!seen.empty() && !seen.contains(options.announce))
    refuse("--announce", options.announce, "one of the addresses of --ring");
}

void check_whole(RingOptions& options) {
  if (options.alone) options.count = 1;
  if (options.client.empty() == !options.serve)
    throw CLI::ValidationError("Wanted is one of: --client PATH, --serve");
  const std::string& bind = options.bind;
  const auto address = net::parse_host(bind, 0);
  if (bind.starts_with('/') || bind == "[::]" ||
      (address && !net::names_a_node(*address)))
    refuse("--bind", bind, "an address that all nodes are told");
  const unsigned highest = 65536 - options.count;
  if (options.port > highest)
    refuse("--port", std::to_string(options.port),
           "a number up to " + std::to_string(highest) +
               ": each server takes the next");
}

void server_options(CLI::App& app, ServerOptions& options) {
  app.add_option("--bind", options.net.bind,
                 "address to listen on, or a path that begins with /")
      ->type_name("ADDRESS")
      ->capture_default_str();
  number(app, "--port", options.net.port, {0, 65535}, "0 takes any");
  number(app, "--listen-fd", options.net.listen_fd,
         {0, std::numeric_limits<int>::max()},
         "an inherited socket, bound already, instead of --bind and --port")
      ->default_str("");
  app.add_option("--announce", options.announce,
                 "the address by which others know this node [bind and port]")
      ->type_name("HOST:PORT");
  number(app, "--threads", options.net.threads, {1, 256},
         "loops or workers, where the variant has them");
  number(app, "--max-clients", options.net.clients_max, {1, 1'000'000},
         "conversations at once [the descriptor limit less our own]")
      ->default_str("");
  number(app, "--max-memory", options.memory_max,
         {64 * kib, node::Store::bytes_most, true},
         "bytes of all entries, as INFO's used_memory counts them");
  number(app, "--send-buffer", options.net.send_buffer, {0, gib, true},
         "the kernel's buffer per peer (SO_SNDBUF); 0: its own choice");
}

void ring_options(CLI::App& app, ServerOptions& options) {
  app.add_option("--ring", options.ring,
                 "all nodes of the ring, this one among them")
      ->type_name("HOST:PORT,...")
      ->delimiter(',');
  choice(app, "--keys", options.keys,
         {{"slots", dht::Placement::slots}, {"sha1", dht::Placement::sha1}},
         "how keys are placed on the ring");
  choice(app, "--routing", options.routing,
         {{"fingers", dht::Routing::fingers},
          {"successors", dht::Routing::successors}},
         "how lookups walk it");
  choice(app, "--redirect", options.redirect,
         {{"hop", node::Redirect::hop}, {"owner", node::Redirect::owner}},
         "whom MOVED names: the next node on the way, or the key's owner");
  duration(app, "--lookup-time", options.lookup_time,
           "time for another node to answer");
}

void ring_programs(CLI::App& app, RingOptions& options) {
  app.add_option("--servers", options.servers, "programs, taken in turn")
      ->required()
      ->type_name("PATH,...")
      ->delimiter(',');
  app.add_option("--client", options.client,
                 "program that is run with --demo; needed unless --serve")
      ->type_name("PATH");
}

void check_wish(const ClientOptions& options) {
  if (!options.command.empty() && options.command.front().starts_with('-'))
    throw CLI::ValidationError(options.command.front(), "no such option");
  if (options.command.empty() + options.lookup.empty() + !options.demo != 2)
    throw CLI::ValidationError(
        "Wanted is one of: a command, --lookup KEY..., --demo");
}

}  // namespace

std::expected<ServerOptions, Ending> parse_server(const Arguments& arguments,
                                                  const net::Model& server,
                                                  const net::Model& client) {
  ServerOptions options;
  options.net.threads = server.traits.threads_default;
  CLI::App app(title(server, "server"),
               std::string(server.name) + "-" + server.variant + "-server");
  server_options(app, options);
  ring_options(app, options);
  limits(app, options.net.limits);
  trace_option(app, options.trace);
  app.add_flag("--traits", options.traits,
               "say what this variant promises, and end");
  rows(app, options.net, server);
  rows(app, options.net, client);
  return parse(app, arguments, options, [&] {
    check_bind(options.net);
    check_listen_fd(options.net.listen_fd);
    check_threads(options.net, server);
    check_ring(options);
  });
}

std::expected<ClientOptions, Ending> parse_client(const Arguments& arguments,
                                                  const net::Model& client) {
  ClientOptions options;
  CLI::App app(title(client, "client") +
                   "\nOne command, printed as redis-cli prints it; or lookups; "
                   "or a demonstration.",
               std::string(client.name) + "-" + client.variant + "-client");
  app.add_option("ADDRESS", options.address, "127.0.0.1:7000, or a path")
      ->required();
  app.add_option("--lookup", options.lookup,
                 "ask from node to node who owns these keys")
      ->type_name("KEY...");
  app.add_flag("--demo", options.demo, "show what the service does");
  app.add_flag("-3,--resp3", options.resp3, "speak RESP3");
  bool raw = false, formatted = false;
  app.add_flag("--raw", raw, "print replies as they are [if not a terminal]");
  app.add_flag("--no-raw", formatted, "print replies formatted [on a terminal]")
      ->excludes("--raw");
  duration(app, "--timeout", options.timeout, "time for a node to answer");
  trace_option(app, options.trace);
  rows(app, options.net, client);
  // What follows the address is the command, words with a dash included.
  app.prefix_command();
  app.footer("COMMAND ARG...: what follows the address is sent.");
  return parse(app, arguments, options, [&] {
    options.command = app.remaining();
    if (raw || formatted) options.raw = raw;
    check_wish(options);
  });
}

std::expected<RingOptions, Ending> parse_ring(const Arguments& arguments) {
  RingOptions options;
  CLI::App app(
      "Starts a ring of servers on this host, has a client demonstrate it,\n"
      "and stops it.",
      "ring");
  ring_programs(app, options);
  number(app, "--count", options.count, {1, 256}, "servers");
  app.add_option("--bind", options.bind,
                 "address of all servers, by which others find them")
      ->type_name("ADDRESS")
      ->capture_default_str();
  number(app, "--port", options.port, {0, 65535},
         "of the first server, the others' behind it; 0 takes any");
  app.add_flag("--alone", options.alone,
               "one server without a ring, and who waits for whom");
  app.add_flag("--serve", options.serve,
               "print the addresses and wait for SIGINT");
  const auto separator = std::ranges::find(arguments, "--");
  if (separator != arguments.end())
    options.server_options.assign(separator + 1, arguments.end());
  app.footer("What stands behind -- is handed to every server.");
  return parse(app, Arguments(arguments.begin(), separator), options,
               [&] { check_whole(options); });
}

int print(const Ending& ending) {
  std::fputs(ending.text.c_str(), ending.code == 0 ? stdout : stderr);
  return ending.code;
}

}  // namespace program
