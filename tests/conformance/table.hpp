#pragma once
// Every command that a server says it has, as requests.

#include <string>
#include <vector>

#include "tests/conformance/peer.hpp"

namespace conformance {

using Words = std::vector<std::string>;

/// A command of the server's COMMAND; subcommands are two words.
struct Row {
  Words name;
  std::size_t least = 0;  // arguments behind the name
  bool more = false;      // there may be more than that
};

/// Throws Trouble if the reply to COMMAND is not such a table.
std::vector<Row> table_of(Peer& peer);

/// Requests by which every command is asked, each of its arguments being
/// `filler` in turn and the others a single letter. Where more arguments may
/// follow, there is one more; options that have arguments of their own are
/// among them. Without QUIT, which ends the conversation.
std::vector<Words> requests_of(const std::vector<Row>& table,
                               const std::string& filler);

/// As a message calls it: the words, each cut short.
std::string title_of(const Words& words);

}  // namespace conformance
