#include <sys/socket.h>

#include <ostream>

#include "tests/conformance/ring.hpp"

namespace conformance {

void RingTest::SetUp() {
  ServerTest::SetUp();
  if (IsSkipped() || HasFailure()) return;
  // A process that was forked for a peer cannot ask other nodes, and one that
  // serves one peer at a time cannot be asked while it asks.
  if (traits()["full"] == "processes" || traits()["concurrent"] != "all")
    GTEST_SKIP() << "a node that serves " << traits()["concurrent"]
                 << " at once (" << traits()["full"] << ") makes no ring";
}

std::vector<Server*> RingTest::start_ring(
    const std::vector<Program>& programs, const Arguments& options,
    const std::vector<std::string>& others) {
  std::vector<Descriptor> sockets;
  std::string list;
  for (const auto& other : others) list += other + ",";
  for (std::size_t i = 0; i < programs.size(); ++i) {
    sockets.push_back(bind_socket());
    list += (i ? "," : "") + address_of(sockets.back());
  }
  Arguments all = options;
  all.insert(all.end(), {"--ring", list});
  std::vector<Server*> nodes;
  for (std::size_t i = 0; i < programs.size(); ++i)
    nodes.push_back(&launch(programs[i], all, std::move(sockets[i])));
  for (Server* node : nodes) node->await_ready();
  return nodes;
}

std::vector<Server*> RingTest::start_ring(
    std::size_t count, const Arguments& options,
    const std::vector<std::string>& others) {
  return start_ring(std::vector<Program>(count, GetParam()), options, others);
}

void PrintTo(const Path& path, std::ostream* out) {
  for (std::size_t i = 0; i < path.addresses.size(); ++i)
    *out << path.addresses[i] << " (" << path.rules[i] << ") ";
}

Path path_of(const Reply& reply) {
  if (reply.type != '*') throw Trouble("no path but: " + reply.text);
  Path path;
  for (const Reply& hop : reply.items) {
    if (hop.items.size() != 4) throw Trouble("a hop has four parts");
    path.addresses.push_back(hop.items[1].text);
    path.rules.push_back(hop.items[2].text);
  }
  return path;
}

Path look_up(Peer& node, const std::string& key) {
  return path_of(decode(node.ask({"DHT.LOOKUP", key})));
}

std::string owner_of(Peer& node, const std::string& key) {
  const Reply owner = decode(node.ask({"DHT.OWNER", key}));
  if (owner.items.size() != 2) throw Trouble("DHT.OWNER says " + owner.text);
  return owner.items[1].text;
}

std::vector<std::string> keys_of(Peer& node, const std::string& address,
                                 std::size_t count) {
  std::vector<std::string> keys;
  for (int i = 0; keys.size() < count; ++i) {
    if (i > 1'000'000) throw Trouble(address + " owns next to nothing");
    const std::string key = "key:" + std::to_string(i);
    if (owner_of(node, key) == address) keys.push_back(key);
  }
  return keys;
}

SilentNode::SilentNode() : socket_(bind_socket()) {
  ::listen(socket_.get(), 1000);
}

}  // namespace conformance
