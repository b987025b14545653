// The ring as clients of a Redis cluster ask for it; the formats are Redis 7's
// (cluster.c), as redis-cli, redis-benchmark and hiredis take them to pieces.

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "node/handlers.hpp"
#include "node/shards.hpp"
#include "node/text.hpp"
#include "protocol/decimal.hpp"

namespace node {

namespace {

std::int64_t port_number(const Endpoint& endpoint) {
  return protocol::read_decimal(endpoint.port).value_or(0);
}

// A node of CLUSTER SHARDS: each of ours is a master, and there if it is known.
void write_master(protocol::Reply& reply, const dht::Member& member) {
  const auto at = split(member.address);
  reply.map(7);
  field(reply, "id", dht::to_hex(member.id));
  field(reply, "port", port_number(at));
  field(reply, "ip", at.host);
  field(reply, "endpoint", at.host);
  field(reply, "role", "master");
  field(reply, "replication-offset", 0);
  field(reply, "health", "online");
}

}  // namespace

void cluster_countkeysinslot(const Call& call) {
  const auto slot = protocol::read_decimal(call.arguments[2]);
  if (!slot) return call.reply.error(not_an_integer);
  if (*slot < 0 || *slot >= dht::slots)
    return call.reply.error("ERR Invalid slot");
  const auto keys =
      call.context.store().size_of_slot(static_cast<std::uint16_t>(*slot));
  call.reply.integer(static_cast<std::int64_t>(keys));
}

void cluster_info(const Call& call) {
  const auto all = shards(call.context.overlay());
  std::size_t assigned = 0, with_slots = 0;
  for (const auto& shard : all) {
    with_slots += shard.slots.empty() ? 0 : 1;
    for (const auto& slots : shard.slots)
      assigned += slots.upto - slots.from + 1u;
  }
  std::string text = "cluster_state:";
  text += assigned == dht::slots ? "ok" : "fail";
  const std::pair<std::string_view, std::size_t> fields[] = {
      {"cluster_slots_assigned", assigned},
      {"cluster_slots_ok", assigned},
      {"cluster_slots_pfail", 0},
      {"cluster_slots_fail", 0},
      {"cluster_known_nodes", all.size()},
      {"cluster_size", with_slots},
      {"cluster_current_epoch", 1},
      {"cluster_my_epoch", 1},
      {"cluster_stats_messages_sent", 0},
      {"cluster_stats_messages_received", 0}};
  for (const auto& [name, number] : fields)
    text.append("\r\n").append(name).append(":").append(std::to_string(number));
  call.reply.verbatim(text + "\r\n");
}

void cluster_keyslot(const Call& call) {
  call.reply.spend(call.arguments[2].size() / hashed_a_step);
  call.reply.integer(call.context.slot(call.arguments[2]));
}

void cluster_myid(const Call& call) {
  call.reply.bulk(dht::to_hex(call.context.overlay().self().id));
}

// A node is a line: id, address@bus, flags, its master, ping sent, pong
// received, epoch, link, slots. There is no bus between our nodes: port 0.
void cluster_nodes(const Call& call) {
  const auto& self = call.context.overlay().self();
  std::string text;
  for (const auto& shard : shards(call.context.overlay())) {
    const auto at = split(shard.node->address);
    text += dht::to_hex(shard.node->id) + " ";
    text.append(at.host).append(":").append(at.port).append("@0 ");
    text += shard.node->id == self.id ? "myself,master" : "master";
    text += " - 0 0 1 connected";
    for (const auto& slots : shard.slots) {
      text += " " + std::to_string(slots.from);
      if (slots.upto != slots.from) text += "-" + std::to_string(slots.upto);
    }
    text += "\n";
  }
  call.reply.verbatim(text);
}

void cluster_shards(const Call& call) {
  auto& reply = call.reply;
  const auto all = shards(call.context.overlay());
  reply.array(all.size());
  for (const auto& shard : all) {
    reply.map(2);
    reply.bulk("slots");
    reply.array(2 * shard.slots.size());
    for (const auto& slots : shard.slots) {
      reply.integer(slots.from);
      reply.integer(slots.upto);
    }
    reply.bulk("nodes");
    reply.array(1);
    write_master(reply, *shard.node);
  }
}

void cluster_slots(const Call& call) {
  std::vector<std::pair<Slots, const dht::Member*>> ranges;
  for (const auto& shard : shards(call.context.overlay()))
    for (const auto& slots : shard.slots) ranges.push_back({slots, shard.node});
  std::ranges::sort(ranges, {}, [](const auto& one) { return one.first.from; });
  auto& reply = call.reply;
  reply.array(ranges.size());
  for (const auto& [slots, member] : ranges) {
    const auto at = split(member->address);
    reply.array(3);
    reply.integer(slots.from);
    reply.integer(slots.upto);
    reply.array(3);
    reply.bulk(at.host);
    reply.integer(port_number(at));
    reply.bulk(dht::to_hex(member->id));
  }
}

}  // namespace node
