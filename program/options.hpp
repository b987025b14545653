#pragma once
// What the programs can be told on their command lines. The parsing itself, and
// the library that does it, is confined to options.cpp.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "dht/chord.hpp"
#include "dht/identifier.hpp"
#include "net/model.hpp"
#include "node/redirect.hpp"

namespace program {

struct ServerOptions {
  net::Options net;
  std::string announce;           // empty: whatever port 0 comes to
  std::vector<std::string> ring;  // addresses, distinct; empty: no ring
  dht::Placement keys = dht::Placement::slots;
  dht::Routing routing = dht::Routing::fingers;
  node::Redirect redirect = node::Redirect::hop;
  std::chrono::milliseconds lookup_time{1000};
  std::size_t memory_max = 256 << 20;
  std::string trace;  // a file; empty: none
  bool traits = false;
};

struct ClientOptions {
  net::Options net;
  std::string address;
  std::vector<std::string> command;
  std::vector<std::string> lookup;  // keys
  bool demo = false;
  bool resp3 = false;
  std::optional<bool> raw;  // nothing: as the output is a terminal or not
  std::string trace;        // a file; empty: none
  std::chrono::milliseconds timeout{5000};
};

struct RingOptions {
  std::vector<std::string> servers;  // programs
  std::string client;                // a program
  unsigned count = 8;
  std::string bind = "127.0.0.1";
  unsigned port = 0;   // of the first server, the others' behind it; 0: any
  bool alone = false;  // one server, and no ring
  bool serve = false;
  std::vector<std::string> server_options;  // behind --
};

/// The program ends here: what it prints, and its exit code (0 for --help, on
/// the standard output; 2 for a wrong command line, on the standard error).
struct Ending {
  int code = 0;
  std::string text;
};

using Arguments = std::vector<std::string>;  // without the program's name

/// The models' rows become options with their ranges. Of the server's program
/// both models count, since a node asks other nodes through its client.
std::expected<ServerOptions, Ending> parse_server(const Arguments& arguments,
                                                  const net::Model& server,
                                                  const net::Model& client);
std::expected<ClientOptions, Ending> parse_client(const Arguments& arguments,
                                                  const net::Model& client);
std::expected<RingOptions, Ending> parse_ring(const Arguments& arguments);

/// Prints it where it belongs and returns the code.
int print(const Ending& ending);

}  // namespace program
