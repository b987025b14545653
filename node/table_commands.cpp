// The commands that tell of the table of commands: COMMAND and every HELP.

#include <algorithm>
#include <string>
#include <vector>

#include "node/handlers.hpp"
#include "node/text.hpp"

namespace node {

namespace {

// To describe a command with all its subcommands.
constexpr std::size_t steps_a_name = 20;

using Rows = std::vector<const Command*>;

// The commands that are named behind COMMAND DOCS or INFO; without a name all
// of them, but not their subcommands. Unknown names are null.
Rows named_rows(const Call& call) {
  Rows rows;
  for (std::size_t i = 2; i < call.arguments.size(); ++i) {
    const auto name = call.arguments[i];
    const auto bar = name.find('|');
    rows.push_back(bar == name.npos
                       ? table.find(name)
                       : table.find(name.substr(0, bar), name.substr(bar + 1)));
  }
  call.reply.spend(steps_a_name * rows.size());
  if (call.arguments.size() > 2) return rows;
  for (const auto& row : table.commands())
    if (!row.is_subcommand()) rows.push_back(&row);
  return rows;
}

void describe_flags(protocol::Reply& reply, const protocol::Flags& flags) {
  std::vector<std::string_view> names;
  if (flags.write) names.push_back("write");
  if (flags.readonly) names.push_back("readonly");
  if (flags.denyoom) names.push_back("denyoom");
  if (flags.admin) names.push_back("admin");
  if (flags.fast) names.push_back("fast");
  reply.set(names.size());
  for (const auto name : names) reply.simple(name);
}

// Ten pieces, as Redis has them since 7.0.
void describe(protocol::Reply& reply, const Command& row) {
  reply.array(10);
  reply.bulk(row.name);
  reply.integer(row.arity);
  describe_flags(reply, row.flags);
  reply.integer(row.first_key);
  reply.integer(row.last_key);
  reply.integer(row.first_key == 0 ? 0 : 1);  // from one key to the next
  reply.set(0);                               // categories of access
  reply.set(0);                               // tips
  reply.set(0);                               // key specifications
  // What has no subcommands has an empty set of them, and otherwise they are an
  // array: so is Redis.
  const auto below = table.subcommands(row);
  below.empty() ? reply.set(0) : reply.array(below.size());
  for (const auto& subcommand : below) describe(reply, subcommand);
}

// "key [key ...]" in its parts, a bracket with all that is in it being one.
std::vector<std::string_view> parts_of(std::string_view syntax) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t i = 0; i < syntax.size(); ++i) {
    if (syntax[i] == '[') ++depth;
    if (syntax[i] == ']') --depth;
    if (syntax[i] != ' ' || depth != 0) continue;
    parts.push_back(syntax.substr(begin, i - begin));
    begin = i + 1;
  }
  if (!syntax.empty()) parts.push_back(syntax.substr(begin));
  return parts;
}

void document_arguments(protocol::Reply& reply, std::string_view syntax) {
  const auto parts = parts_of(syntax);
  reply.array(parts.size());
  for (auto part : parts) {
    const bool optional = part.starts_with('[');
    if (optional) part = part.substr(1, part.size() - 2);
    reply.map(optional ? 3 : 2);
    field(reply, "name", part);
    field(reply, "type", part == "key" ? "key" : "string");
    if (!optional) continue;
    reply.bulk("flags");
    reply.set(1);
    reply.simple("optional");
  }
}

void document(protocol::Reply& reply, const Command& row) {
  const auto below = table.subcommands(row);
  reply.bulk(row.name);
  reply.map(below.empty() ? 4 : 5);
  field(reply, "summary", row.summary);
  field(reply, "since", version);
  field(reply, "group", row.group);
  reply.bulk("arguments");
  document_arguments(reply, row.syntax);
  if (below.empty()) return;
  reply.bulk("subcommands");
  reply.map(below.size());
  for (const auto& subcommand : below) document(reply, subcommand);
}

}  // namespace

void command(const Call& call) { command_info(call); }

void command_count(const Call& call) {
  call.reply.integer(std::ranges::count_if(
      table.commands(), [](const auto& row) { return !row.is_subcommand(); }));
}

void command_docs(const Call& call) {
  if (call.arguments.size() > 2 + names_max)
    return call.reply.error(too_many_names);
  auto rows = named_rows(call);
  std::erase(rows, nullptr);
  call.reply.map(rows.size());
  for (const auto* row : rows) document(call.reply, *row);
}

void command_info(const Call& call) {
  // Each name may be answered with many times its own bytes.
  if (call.arguments.size() > 2 + names_max)
    return call.reply.error(too_many_names);
  const auto rows = named_rows(call);
  call.reply.array(rows.size());
  for (const auto* row : rows) {
    if (row)
      describe(call.reply, *row);
    else
      call.reply.null();
  }
}

void help(const Call& call) {
  const auto& container = *table.find(call.arguments[0]);
  const auto below = table.subcommands(container);
  call.reply.array(1 + 2 * below.size());
  call.reply.simple(upper(container.name) +
                    " <subcommand> [<arg> [value] [opt] ...]. "
                    "Subcommands are:");
  for (const auto& row : below) {
    std::string line = upper(row.name.substr(container.name.size() + 1));
    if (!row.syntax.empty()) line += " " + std::string(row.syntax);
    call.reply.simple(line);
    call.reply.simple("    " + std::string(row.summary));
  }
}

}  // namespace node
