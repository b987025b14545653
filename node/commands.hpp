#pragma once
// The one table of commands. Requests are dispatched by it, COMMAND and HELP
// are answered from it, and the page of documentation is made from it.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "node/node.hpp"
#include "protocol/service.hpp"

namespace node {

/// One request, for the time of its answer.
struct Call {
  Node& node;
  std::span<const std::string_view> arguments;  // the command's name first
  protocol::Reply& reply;
};

/// What a command does, in Redis's words. Clients that follow redirects ask for
/// `readonly` and `write`.
struct Flags {
  bool write = false;
  bool readonly = false;
  bool denyoom = false;  // can be refused for want of memory
  bool fast = false;     // in constant time
  bool admin = false;
};

/// What an answer takes of the one thread that many peers wait for.
struct Cost {
  /// In steps, of which a PING is about one, as measured. Bytes that come and
  /// go are counted by the session; what grows with anything else is spent by
  /// the command itself.
  unsigned steps = 1;
  /// Without optional arguments the answer is always the same: it is written
  /// once, when the node is made, and copied from then on.
  bool constant = false;
};

struct Command {
  std::string_view name;  // "get"; "client|setname" is a subcommand of "client"
  /// How many arguments, the name and the subcommand's name included; negative:
  /// at least so many.
  int arity;
  Flags flags;
  /// The arguments that are keys, from the first to the last; none: 0. A
  /// negative place counts from the end: -1 is the last argument.
  int first_key, last_key;
  std::string_view group;
  std::string_view syntax;  // of the arguments: "key [key ...]"
  std::string_view summary;
  /// Writes the answer. Arity and keys have been looked at. Null: a container,
  /// which is answered by its subcommands only.
  void (*answer)(const Call&);
  Cost cost = {};
};

/// All rows; the subcommands of a container stand right behind it.
std::span<const Command> commands();
/// The rows of its subcommands; empty if it has none.
std::span<const Command> subcommands(const Command& command);

/// The row by which a request is answered and its number. Null, and the number
/// of rows, if there is none.
struct Row {
  const Command* command;
  std::size_t number;
};
/// In constant time: every request is looked up here. At least one argument.
Row find_row(std::span<const std::string_view> arguments);

/// A row by its name in any case of letters, or null.
const Command* find(std::string_view name);
const Command* find(std::string_view container, std::string_view name);

}  // namespace node
