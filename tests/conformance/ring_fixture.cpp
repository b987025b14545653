#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <ostream>

#include "tests/conformance/ring.hpp"

namespace conformance {

void RingTest::SetUp() {
  ServerTest::SetUp();
  if (IsSkipped() || HasFailure()) return;
  ASSERT_TRUE(takes_socket())
      << "a ring is made of sockets that are bound before: --listen-fd";
  // A process that was forked for a peer cannot ask other nodes, and one that
  // serves one peer at a time cannot be asked while it asks.
  if (traits()["full"] == "processes" || traits().concurrent() < 100)
    GTEST_SKIP() << "a node that serves " << traits()["concurrent"]
                 << " at once (" << traits()["full"] << ") makes no ring";
}

std::vector<Server*> RingTest::launch_ring(
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

// Places on the ring are hashes of ports that chance has chosen: now and then
// a node gets next to nothing of it, and another ring is made.
std::vector<Server*> RingTest::start_ring(
    const std::vector<Program>& programs, const Arguments& options,
    const std::vector<std::string>& others) {
  for (int attempt = 0; attempt < 10; ++attempt) {
    const auto nodes = launch_ring(programs, options, others);
    Peer peer = nodes[0]->connect();
    std::map<std::string, std::size_t> shares;
    for (const auto& owner : owners_of_slots(peer)) ++shares[owner];
    const bool fair =
        std::all_of(shares.begin(), shares.end(),
                    [](const auto& share) { return share.second >= 4; });
    if (fair && shares.size() == programs.size() + others.size()) return nodes;
  }
  throw Trouble(
      "ten rings of " + std::to_string(programs.size() + others.size()) +
      ", and in each CLUSTER SLOTS gave a node fewer than 4 of 16384 slots");
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
  if (reply.type != '*')
    throw Trouble("DHT.LOOKUP is answered by an array of hops, not by " +
                  printable(reply.text));
  Path path;
  for (const Reply& hop : reply.items) {
    if (hop.items.size() != 4)
      throw Trouble(
          "a hop of DHT.LOOKUP has four parts: id, address, rule, us");
    path.addresses.push_back(hop.items[1].text);
    path.rules.push_back(hop.items[2].text);
  }
  return path;
}

Path look_up(Peer& node, const std::string& key) {
  return path_of(decode(node.ask({"DHT.LOOKUP", key})));
}

std::string owner_of(Peer& node, const std::string& key) {
  const Answer answer = node.ask({"DHT.OWNER", key});
  const Reply owner = decode(answer);
  if (owner.items.size() != 2)
    throw Trouble("DHT.OWNER is answered by an id and an address, not by " +
                  printable(answer));
  return owner.items[1].text;
}

std::vector<std::string> owners_of_slots(Peer& node) {
  std::vector<std::string> owners(16384);
  const Answer answer = node.ask({"CLUSTER", "SLOTS"});
  const Reply ranges = decode(answer);
  if (ranges.items.empty())
    throw Trouble("CLUSTER SLOTS is answered by an array of ranges, not by " +
                  printable(answer));
  for (const Reply& range : ranges.items) {
    const auto& master = range.items.at(2).items;
    const auto first = number_of(range.items.at(0).text, "a first slot"),
               last = number_of(range.items.at(1).text, "a last slot");
    if (last >= owners.size())
      throw Trouble("there is no slot " + std::to_string(last));
    for (auto slot = first; slot <= last; ++slot) {
      if (!owners[slot].empty())
        throw Trouble("slot " + std::to_string(slot) + " has two owners");
      owners[slot] = master.at(0).text + ":" + master.at(1).text;
    }
  }
  return owners;
}

// CRC16-CCITT (XMODEM), as the cluster specification has it.
std::size_t slot_of(const std::string& key) {
  unsigned crc = 0;
  for (const char byte : key) {
    crc ^= static_cast<unsigned>(static_cast<unsigned char>(byte)) << 8;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
  }
  return crc % 16384;
}

std::vector<std::string> keys_of(Peer& node, const std::string& address,
                                 std::size_t count) {
  const auto owners = owners_of_slots(node);
  if (std::find(owners.begin(), owners.end(), address) == owners.end())
    throw Trouble(address + " owns nothing");
  std::vector<std::string> keys;
  for (int i = 0; keys.size() < count; ++i) {
    const std::string key = "key:" + std::to_string(i);
    if (owners[slot_of(key)] == address) keys.push_back(key);
  }
  return keys;
}

SilentNode::SilentNode() : socket_(bind_socket()) {
  ::listen(socket_.get(), 1000);
}

}  // namespace conformance
