#pragma once
// The one table of commands. Requests are dispatched by it, COMMAND and HELP
// are answered from it, and the page of documentation is made from it.

#include <span>
#include <string_view>

#include "node/node.hpp"
#include "protocol/commands.hpp"

namespace node {

using Call = protocol::Call<Node>;

/// All rows; the subcommands of a container stand right behind it.
std::span<const Command> commands();
/// The rows of its subcommands; empty if it has none.
std::span<const Command> subcommands(const Command& command);

/// In constant time: every request is looked up here. At least one argument.
Row find_row(std::span<const std::string_view> arguments);

/// A row by its name in any case of letters, or null.
const Command* find(std::string_view name);
const Command* find(std::string_view container, std::string_view name);

}  // namespace node
