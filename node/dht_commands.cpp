// The overlay network as it is, with full identifiers and every rule named.

#include <string>

#include "node/handlers.hpp"
#include "node/text.hpp"

namespace node {

namespace {

void write(protocol::Reply& reply, const dht::Member& member) {
  reply.bulk(dht::to_hex(member.id));
  reply.bulk(member.address);
}

dht::Id place(const Call& call, std::string_view key) {
  call.reply.spend(key.size() / hashed_a_step);
  return call.context.place(key);
}

}  // namespace

void dht_lookup(const Call& call) {
  auto& reply = call.reply;
  const auto& node = call.context;
  const auto id = place(call, call.arguments[1]);
  if (node.overlay().owns(id)) {
    reply.array(1);
    reply.array(4);
    write(reply, node.overlay().self());
    reply.bulk("start");
    return reply.integer(0);
  }
  auto* const lookups = node.setup().lookups;
  if (!lookups) return reply.error(nobody_to_ask);
  lookups->lookup(id, reply.later(), reply.version());
}

void dht_mode(const Call& call) {
  const auto mode = call.arguments[1];
  const bool proxy = same_word(mode, "proxy");
  if (!proxy && !same_word(mode, "redirect"))
    return call.reply.error(syntax_error);
  choices(call.reply.client()).proxy = proxy;
  call.reply.simple("OK");
}

void dht_next(const Call& call) {
  auto& reply = call.reply;
  const auto arguments = call.arguments;
  if (arguments.size() > 3 ||
      (arguments.size() == 3 && !same_word(arguments[1], "id")))
    return reply.error(syntax_error);
  const auto id = arguments.size() == 3 ? dht::from_hex(arguments[2])
                                        : place(call, arguments[1]);
  if (!id) return reply.error("ERR an identifier has 40 hexadecimal digits");
  const auto& overlay = call.context.overlay();
  const bool here = overlay.owns(*id);
  const auto hop =
      here ? dht::Hop{dht::Hop::Kind::here, &overlay.self(), "owner"}
           : call.context.next_hop(*id);
  if (!hop.next) return reply.error(not_served);
  reply.array(4);
  reply.bulk(here ? "here" : "forward");
  write(reply, *hop.next);
  reply.bulk(hop.rule);
}

void dht_owner(const Call& call) {
  const auto id = place(call, call.arguments[1]);
  const auto* const owner = call.context.owners().of(id);
  if (!owner) return call.reply.error(not_served);
  call.reply.array(2);
  write(call.reply, *owner);
}

void dht_table(const Call& call) {
  const auto rows = call.context.overlay().table();
  call.reply.array(rows.size());
  for (const auto& row : rows) {
    call.reply.array(4);
    call.reply.bulk(row.rule);
    call.reply.bulk(row.start);
    write(call.reply, row.member);
  }
}

}  // namespace node
