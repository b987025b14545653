// The one compile unit that knows how command lines are parsed.

#include "program/options.hpp"

#include <sys/socket.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <functional>
#include <limits>
#include <ranges>
#include <set>
#include <stdexcept>
#include <utility>

#include "net/address.hpp"
#include "net/listener.hpp"

namespace program {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kib = 1024, mib = 1024 * kib, gib = 1024 * mib;
constexpr std::uint64_t day_ms = 24 * 60 * 60 * 1000;
constexpr const char* hint = "Run with --help to see all options.\n";

/// Bounds of an option, and whether 64k may be written for 65536.
struct Range {
  std::uint64_t least, most;
  bool size = false;
};

/// "k", "kb", "m", "mb", "g", "gb", in any case; 0: none of these.
std::uint64_t factor_of(std::string suffix) {
  std::ranges::transform(suffix, suffix.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  if (suffix.empty()) return 1;
  if (suffix == "k" || suffix == "kb") return kib;
  if (suffix == "m" || suffix == "mb") return mib;
  if (suffix == "g" || suffix == "gb") return gib;
  return 0;
}

std::optional<std::uint64_t> parse_number(const std::string& text,
                                          const Range& range) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::uint64_t factor = factor_of({rest, end});
  if (error != std::errc() || !factor || (factor > 1 && !range.size))
    return std::nullopt;
  if (number > std::numeric_limits<std::uint64_t>::max() / factor)
    return std::nullopt;
  number *= factor;
  if (number < range.least || number > range.most) return std::nullopt;
  return number;
}

std::string written(std::uint64_t number, const Range& range) {
  if (range.size && number && number % mib == 0)
    return std::to_string(number / mib) + "m";
  if (range.size && number && number % kib == 0)
    return std::to_string(number / kib) + "k";
  return std::to_string(number);
}

std::string allowed(const Range& range) {
  return (range.size ? "a size from " : "a number from ") +
         written(range.least, range) + " to " + written(range.most, range) +
         (range.size ? " (k, m, g: 1024 bytes, ...)" : "");
}

[[noreturn]] void refuse(const std::string& name, const std::string& text,
                         const std::string& what_is_allowed) {
  throw CLI::ValidationError(
      name, "'" + text + "' is not allowed, but " + what_is_allowed);
}

/// One word, which is handed to `take`.
CLI::Option* word(CLI::App& app, const std::string& name,
                  std::function<void(const std::string&)> take,
                  const std::string& help) {
  const CLI::callback_t call =
      [take = std::move(take)](const std::vector<std::string>& words) {
        take(words.front());
        return true;
      };
  return app.add_option(name, call, help);
}

/// A number; `value` keeps its default unless the option is given.
template <class T>
void number(CLI::App& app, const std::string& name, T& value, Range range,
            const std::string& help) {
  const auto take = [&value, name, range](const std::string& text) {
    const auto parsed = parse_number(text, range);
    if (!parsed) refuse(name, text, allowed(range));
    value = static_cast<T>(*parsed);
  };
  word(app, name, take, help)
      ->type_name(range.size ? "BYTES" : "N")
      ->default_str(written(static_cast<std::uint64_t>(value), range));
}

void duration(CLI::App& app, const std::string& name, milliseconds& value,
              const std::string& help) {
  const Range range{1, day_ms};
  const auto take = [&value, name, range](const std::string& text) {
    const auto parsed = parse_number(text, range);
    if (!parsed) refuse(name, text, allowed(range) + ", in milliseconds");
    value = milliseconds(*parsed);
  };
  word(app, name, take, help)
      ->type_name("MS")
      ->default_str(std::to_string(value.count()));
}

template <class T>
void choice(CLI::App& app, const std::string& name, T& value,
            std::initializer_list<std::pair<const char*, T>> choices,
            const std::string& help) {
  std::string names;
  for (const auto& [known_word, meaning] : choices)
    names += (names.empty() ? "" : "|") + std::string(known_word);
  const std::vector<std::pair<std::string, T>> known(choices.begin(),
                                                     choices.end());
  const auto take = [&value, name, names, known](const std::string& text) {
    for (const auto& [known_word, meaning] : known)
      if (known_word == text) return void(value = meaning);
    refuse(name, text, names);
  };
  word(app, name, take, help)
      ->type_name(names)
      ->default_str(known.front().first);
}

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
         "bytes of all buffers, above which the largest is closed");
  duration(app, "--frame-time", value.frame_time, "time to complete a request");
  duration(app, "--reader-time", value.reader_time,
           "time without progress of a peer who does not read");
  duration(app, "--drain-time", value.drain_time,
           "time for a peer to end after we have");
}

/// A row that both of a program's models have is one option.
void rows(CLI::App& app, net::Options& options, const net::Model& model) {
  for (const net::Row& row : model.rows) {
    const auto [own, is_new] = options.own.try_emplace(row.name, row.value);
    if (is_new)
      number(app, "--" + std::string(row.name), own->second,
             {row.least, row.most}, row.help);
  }
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
/// the hash of it.
std::string canonical(const std::string& name, const std::string& text) {
  const auto address = net::parse_address(text);
  if (!address)
    refuse(name, text, "an address: 127.0.0.1:7000, [::1]:7000 or /a/path");
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
  std::set<std::string> seen;
  for (std::string& address : options.ring) {
    address = canonical("--ring", address);
    if (!seen.insert(address).second)
      refuse("--ring", address, "each address once");
  }
  options.announce = announced(options);
  if (!seen.empty() && !seen.contains(options.announce))
    refuse("--announce", options.announce, "one of the addresses of --ring");
}

void server_options(CLI::App& app, ServerOptions& options) {
  app.add_option("--bind", options.net.bind,
                 "address to listen on, or a path that begins with /")
      ->type_name("ADDRESS")
      ->capture_default_str();
  number(app, "--port", options.net.port, {0, 65535}, "0 takes any");
  number(app, "--listen-fd", options.net.listen_fd,
         {0, std::numeric_limits<int>::max()},
         "an inherited socket, bound already, instead of --bind and --port");
  app.get_option("--listen-fd")->default_str("");
  app.add_option("--announce", options.announce,
                 "the address by which others know this node [bind and port]")
      ->type_name("HOST:PORT");
  number(app, "--threads", options.net.threads, {1, 256},
         "loops or workers, where the variant has them");
  number(app, "--max-clients", options.net.clients_max, {1, 1'000'000},
         "conversations at once [the descriptor limit less 32]");
  app.get_option("--max-clients")->default_str("");
  number(app, "--max-memory", options.memory_max, {64 * kib, 64 * gib, true},
         "bytes of all keys and values");
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
  duration(app, "--lookup-time", options.lookup_time,
           "time for another node to answer");
}

void account_options(CLI::App& app, ServerOptions& options) {
  app.add_option("--trace", options.trace,
                 "write the last system calls of each thread, in the "
                 "trace-event format")
      ->type_name("FILE");
  app.add_flag("--traits", options.traits,
               "say what this variant promises, and end");
}

std::string title(const net::Model& model, const char* kind) {
  return std::string("The ") + model.name + " " + kind + ", variant " +
         model.variant + ".";
}

/// Runs the parser and then what only the whole can be checked for.
template <class T, class Check>
std::expected<T, Ending> parse(CLI::App& app, Arguments arguments, T& options,
                               Check check) {
  app.set_help_flag("--help", "print this and end");
  app.get_formatter()->column_width(36);
  std::ranges::reverse(arguments);  // as the library wants them
  try {
    app.parse(std::move(arguments));
    check();
    return std::move(options);
  } catch (const CLI::CallForHelp&) {
    return std::unexpected(Ending{0, app.help()});
  } catch (const CLI::ArgumentMismatch& error) {
    // Its own words are of the kind "--port: 1 required N missing".
    const std::string text = error.what();
    return std::unexpected(Ending{
        2, text.substr(0, text.find(':')) + ": wants one value\n" + hint});
  } catch (const CLI::Error& error) {
    return std::unexpected(Ending{2, std::string(error.what()) + '\n' + hint});
  }
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
  CLI::App app(title(server, "server"),
               std::string(server.name) + "-" + server.variant + "-server");
  server_options(app, options);
  ring_options(app, options);
  limits(app, options.net.limits);
  account_options(app, options);
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
      "Starts a ring of servers on ports of its own, has a client\n"
      "demonstrate it, and stops it.",
      "ring");
  app.add_option("--servers", options.servers, "programs, taken in turn")
      ->required()
      ->type_name("PATH,...")
      ->delimiter(',');
  app.add_option("--client", options.client,
                 "program that is run with --demo; needed unless --serve")
      ->type_name("PATH");
  number(app, "--count", options.count, {1, 256}, "servers");
  app.add_flag("--serve", options.serve,
               "print the addresses and wait for SIGINT");
  const auto separator = std::ranges::find(arguments, "--");
  if (separator != arguments.end())
    options.server_options.assign(separator + 1, arguments.end());
  app.footer("What stands behind -- is handed to every server.");
  return parse(app, Arguments(arguments.begin(), separator), options, [&] {
    if (options.client.empty() == !options.serve)
      throw CLI::ValidationError("Wanted is one of: --client PATH, --serve");
  });
}

int print(const Ending& ending) {
  std::fputs(ending.text.c_str(), ending.code == 0 ? stdout : stderr);
  return ending.code;
}

}  // namespace program
