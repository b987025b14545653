#pragma once
// A table of commands, over any service: requests are dispatched by it, and
// what a service tells of itself (COMMAND, HELP, pages) is read from it.

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>

#include "protocol/service.hpp"
#include "protocol/words.hpp"

namespace protocol {

/// One request, for the time of its answer.
template <class Context>
struct Call {
  Context& context;                             // what the commands work with
  std::span<const std::string_view> arguments;  // the command's name first
  Reply& reply;
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
  /// once, when the service is made, and copied from then on.
  bool constant = false;
};

template <class Context>
struct Command {
  std::string_view name;  // "get"; "client|setname" is a subcommand of "client"
  /// How many arguments, the name and the subcommand's name included; negative:
  /// at least so many.
  int arity;
  Flags flags;
  /// The arguments that are keys, from the first to the last; none: 0. A
  /// negative one counts from the end: -1 is the last argument.
  int first_key, last_key;
  std::string_view group;
  std::string_view syntax;  // of the arguments: "key [key ...]"
  std::string_view summary;
  /// Writes the answer. Arity and keys have been looked at. Null: a container,
  /// which is answered by its subcommands only.
  void (*answer)(const Call<Context>&);
  Cost cost = {};

  constexpr bool is_subcommand() const { return name.contains('|'); }
  std::size_t least_arguments() const {
    return static_cast<std::size_t>(std::abs(arity));
  }
  bool takes(std::size_t arguments) const {
    return arity < 0 ? arguments >= least_arguments()
                     : arguments == least_arguments();
  }
};

/// The row by which a request is answered and its number. Null, and the number
/// of rows, if there is none.
template <class Context>
struct Row {
  const Command<Context>* command;
  std::size_t number;
};

/// Made by the compiler: constexpr CommandTable<Context> table(rows). The rows
/// outlive it; the subcommands of a container stand right behind it.
template <class Context>
class CommandTable {
 public:
  explicit constexpr CommandTable(std::span<const Command<Context>> commands)
      : commands_(commands) {
    assert(commands.size() < rows_max);
    index_.fill(empty);
    for (std::size_t row = 0; row < commands.size(); ++row) {
      // Found through their container: nobody may say "client|id" for
      // "client id".
      if (commands[row].is_subcommand()) continue;
      std::size_t slot = hash(commands_[row].name) % slots;
      while (index_[slot] != empty) slot = (slot + 1) % slots;
      index_[slot] = static_cast<std::uint8_t>(row);
      while (row + counts_[row] + 1 < commands.size() &&
             commands[row + counts_[row] + 1].is_subcommand())
        ++counts_[row];
    }
  }

  std::span<const Command<Context>> commands() const { return commands_; }
  /// The rows of its subcommands; empty if it has none.
  std::span<const Command<Context>> subcommands(
      const Command<Context>& command) const {
    const auto row = static_cast<std::size_t>(&command - commands_.data());
    return commands_.subspan(row + 1, counts_[row]);
  }

  /// In constant time: every request is looked up here. At least one argument.
  Row<Context> find_row(std::span<const std::string_view> arguments) const {
    std::size_t row = row_of(arguments[0]);
    if (row != commands_.size() && counts_[row] != 0 && arguments.size() > 1)
      row = row_of(row, arguments[1]);
    return {at(row), row};
  }
  /// A row by its name in any case of letters, or null.
  const Command<Context>* find(std::string_view name) const {
    return at(row_of(name));
  }
  const Command<Context>* find(std::string_view container,
                               std::string_view name) const {
    const std::size_t row = row_of(container);
    return row == commands_.size() ? nullptr : at(row_of(row, name));
  }

 private:
  // Slots of the index, by hash; what is taken moves on to the next one.
  static constexpr std::uint8_t empty = 255;
  static constexpr std::size_t slots = 256;
  static constexpr std::size_t rows_max = slots / 2;  // and below `empty`

  // Of the length and three letters, whatever their case: enough to tell known
  // names apart, and what a peer sends can hit at most one chain of them.
  static constexpr std::size_t hash(std::string_view name) {
    if (name.empty()) return 0;
    const auto letter = [name](std::size_t at) {
      return static_cast<std::size_t>(static_cast<unsigned char>(name[at]) |
                                      32);
    };
    return name.size() + 7 * letter(0) + 31 * letter(name.size() / 2) +
           101 * letter(name.size() - 1);
  }

  const Command<Context>* at(std::size_t row) const {
    return row == commands_.size() ? nullptr : &commands_[row];
  }
  // The number of a row; how many there are if there is none.
  std::size_t row_of(std::string_view name) const {
    for (std::size_t slot = hash(name) % slots; index_[slot] != empty;
         slot = (slot + 1) % slots)
      if (same_word(commands_[index_[slot]].name, name)) return index_[slot];
    return commands_.size();
  }
  // The same among the subcommands of a row.
  std::size_t row_of(std::size_t container, std::string_view name) const {
    const std::size_t prefix = commands_[container].name.size() + 1;
    for (std::size_t row = container + 1; row <= container + counts_[container];
         ++row)
      if (same_word(commands_[row].name.substr(prefix), name)) return row;
    return commands_.size();
  }

  std::span<const Command<Context>> commands_;
  std::array<std::uint8_t, slots> index_{};
  // How many of the rows behind each row are its subcommands.
  std::array<std::uint8_t, rows_max> counts_{};
};

/// Answers a request for which there is no row. `container`: of the first word
/// there is one, and of the second none behind it.
inline void refuse_unknown(std::span<const std::string_view> arguments,
                           bool container, Reply& reply) {
  reply.spend(4);
  const auto name = shortened(arguments[0]);
  if (container)
    return reply.error("ERR unknown subcommand '" +
                       std::string(shortened(arguments[1])) + "'. Try " +
                       upper(name) + " HELP.");
  // A browser that was led to this port by a hostile page sends this; what it
  // would take for commands stands in the lines behind it.
  if (same_word(name, "post") || same_word(name, "host:")) return reply.drop();
  std::string beginning;
  for (const auto argument : arguments.subspan(1)) {
    if (beginning.size() >= 128) break;
    beginning += '\'';
    beginning += shortened(argument, 128 - beginning.size() + 1);
    beginning += "' ";
  }
  reply.error("ERR unknown command '" + std::string(name) +
              "', with args beginning with: " + beginning);
}

inline void refuse_arity(std::string_view command, Reply& reply) {
  reply.error("ERR wrong number of arguments for '" + std::string(command) +
              "' command");
}

/// Answers a request by a table, for services that need nothing in between.
template <class Context>
void answer(const CommandTable<Context>& table, Context& context,
            std::span<const std::string_view> arguments, Reply& reply) {
  const auto [command, number] = table.find_row(arguments);
  if (!command)
    return refuse_unknown(arguments, table.find(arguments[0]), reply);
  reply.spend(command->cost.steps);
  if (!command->answer || !command->takes(arguments.size()))
    return refuse_arity(command->name, reply);
  command->answer({context, arguments, reply});
}

}  // namespace protocol
