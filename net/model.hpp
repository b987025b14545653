#pragma once
// What a model's folder defines, and what the programs know of it.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "protocol/agenda.hpp"
#include "protocol/limits.hpp"
#include "protocol/service.hpp"

namespace net {

class Listener;
class Mailbox;
class Trial;

/// One option that only this model has: a number, or one of some words.
struct Row {
  const char* name;  // "buffers", for --buffers
  const char* help;  // one line, with the unit
  std::uint64_t value, least = 0, most = 0;
  std::span<const char* const> words = {};  // the value is an index of them
};

/// What a variant promises; --traits prints it and the conformance suite
/// asserts it.
struct Traits {
  // Conversations served at once: all, N, 1, or as many as --threads.
  const char* concurrent = "all";
  const char* concurrent_by = nullptr;  // or as many as this row says
  const char* full = "tell";  // above --max-clients: tell, queue, processes
  bool sleeps = true;         // uses no CPU while nothing happens
  const char* sleeps_by = nullptr;  // the row that has it sleep all the same,
                                    // unless it is 0
  const char* threads = "none";     // what --threads multiplies: loops, workers
  unsigned threads_default = 1;
  bool one_for_all = false;  // one thread has them all, though no loop can be
                             // added to it
  unsigned descriptors = 0;  // it can watch those below; 0: all there are
  bool duplex = true;        // a client's: can send while it waits for a reply
  // What of the contract a server keeps, each level with those before it.
  bool store = true;   // the commands on keys
  bool limits = true;  // the limits, deadlines and counters
  bool ring = true;    // a node among others
};

/// Calls per request at one connection and no pipelining; the one in which the
/// model waits, or asks, is the first.
struct Ideal {
  const char* call;
  double per_request;
  bool at_least = false;  // and as often as it was asked in vain
  bool unseen = false;    // made in threads of the C library's own, about so
                          // often; only a tracer sees it
};

/// What all of the process's options came to.
struct Options {
  std::string bind = "127.0.0.1";  // an address, or a path that begins with /
  std::uint16_t port = 7000;       // 0: any
  int listen_fd = -1;              // inherited, bound; the Endpoint closes it
  unsigned threads = 1;
  std::uint64_t clients_max = 0;  // 0: the limit of descriptors less ours
  int send_buffer = 0;            // SO_SNDBUF in bytes; 0: the kernel's choice
  protocol::Limits limits;
  std::map<std::string, std::uint64_t, std::less<>> own;  // the model's rows

  /// The value of one of the model's rows.
  std::uint64_t operator[](std::string_view row) const {
    return own.find(row)->second;
  }
};

/// One variant of a server or a client.
struct Model {
  const char* name;
  const char* variant;
  std::span<const Row> rows = {};
  Traits traits = {};
  std::span<const Ideal> ideal = {};
  /// Can it run here? Asks the kernel for all that serve() or converse() will
  /// ask for. Empty if it may be had, else one line: what was refused and the
  /// remedy. Null: it makes no call that is unusual. Called by net::refusal().
  std::string (*probe)(const Options&, Trial&) = nullptr;
};

}  // namespace net

/// What the two files of a variant define, and that is all.
namespace model {

extern const net::Model server;
/// Serves until the mailbox says stop. One call per loop, each in a thread of
/// its own with every signal blocked. Throws std::system_error in set-up.
void serve(net::Listener& listener, protocol::Service& service,
           net::Mailbox& mailbox, const net::Options& options);

extern const net::Model client;
/// Talks to the agenda's peers until it is over or the mailbox says stop.
void converse(protocol::Agenda& agenda, net::Mailbox& mailbox,
              const net::Options& options);

}  // namespace model
