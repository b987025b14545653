#pragma once
// The one table of commands. Requests are dispatched by it, COMMAND and HELP
// are answered from it, and the page of documentation is made from it.

#include "node/node.hpp"
#include "protocol/commands.hpp"

namespace node {

using Call = protocol::Call<Node>;

extern const protocol::CommandTable<Node> table;

}  // namespace node
