#include "tests/conformance/table.hpp"

#include <algorithm>
#include <cstdlib>

namespace conformance {

namespace {

Words split(const std::string& name) {
  const std::size_t bar = name.find('|');
  if (bar == name.npos) return {name};
  return {name.substr(0, bar), name.substr(bar + 1)};
}

// A row is name, arity, flags ..., subcommands; those are rows too.
void add(const Reply& reply, std::vector<Row>& table) {
  constexpr std::size_t name = 0, arity = 1, subcommands = 9;
  if (reply.items.size() <= subcommands)
    throw Trouble("not a row of COMMAND: " + reply.text);
  Row row{.name = split(reply.items[name].text)};
  const long words = std::atol(reply.items[arity].text.c_str());
  row.more = words < 0;
  row.least = static_cast<std::size_t>(std::labs(words)) - row.name.size();
  const auto& below = reply.items[subcommands].items;
  // A container says nothing by itself; COMMAND does.
  if (below.empty() || row.least == 0) table.push_back(row);
  for (const Reply& subcommand : below) add(subcommand, table);
}

}  // namespace

std::vector<Row> table_of(Peer& peer) {
  std::vector<Row> table;
  const Reply reply = decode(peer.ask({"COMMAND"}));
  for (const Reply& row : reply.items) add(row, table);
  if (table.size() < 2) throw Trouble("COMMAND knows no commands");
  return table;
}

std::vector<Words> requests_of(const std::vector<Row>& table,
                               const std::string& filler) {
  std::vector<Words> requests;
  for (const Row& row : table) {
    if (row.name[0] == "quit") continue;
    const std::size_t count = row.least + (row.more ? 1 : 0);
    if (count == 0) requests.push_back(row.name);
    for (std::size_t place = 0; place < count; ++place) {
      Words words = row.name;
      words.insert(words.end(), count, "k");
      words[row.name.size() + place] = filler;
      requests.push_back(words);
    }
  }
  for (const Words& words :
       std::vector<Words>{{"hello", "3", "setname", filler},
                          {"hello", "2", "auth", "default", filler},
                          {"hello", "2", "auth", filler, "k"},
                          {"client", "setinfo", "lib-name", filler},
                          {"client", "setinfo", "lib-ver", filler},
                          {"dht.next", "id", filler},
                          {filler},
                          {filler, filler}})
    requests.push_back(words);
  return requests;
}

std::string title_of(const Words& words) {
  std::string title;
  for (const std::string& word : words)
    title += (title.empty() ? "" : " ") + word.substr(0, 20);
  return title;
}

}  // namespace conformance
