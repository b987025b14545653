#include "node/node.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "dht/chord.hpp"
#include "node/commands.hpp"
#include "node/text.hpp"
#include "protocol/decimal.hpp"

namespace node {

namespace {

using Arguments = std::span<const std::string_view>;

// The names that parser.hpp lists, as fields of INFO can be called.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8>
    protocol_errors = {{
        {"invalid multibulk length", "invalid_multibulk_length"},
        {"expected '$'", "expected_bulk"},
        {"invalid bulk length", "invalid_bulk_length"},
        {"too big mbulk count string", "too_big_mbulk_count"},
        {"too big bulk count string", "too_big_bulk_count"},
        {"too big inline request", "too_big_inline_request"},
        {"unbalanced quotes in request", "unbalanced_quotes"},
        {"too big request", "too_big_request"},
    }};

// So many requests of a kind are timed at the beginning of each thread, and
// from then on each of these, for all that come between: two looks at a clock
// take as long as all that is done here for a PING.
constexpr std::uint64_t timed_each = 64;

Arguments keys_of(const Command& command, Arguments arguments) {
  const auto first = static_cast<std::size_t>(command.first_key);
  const auto end = command.last_key < 0 ? arguments.size() : first + 1;
  return arguments.subspan(first, end - first);
}

// A ring of one, so that a node without a ring answers like one with it.
std::unique_ptr<const dht::Overlay> make_alone(const Setup& setup) {
  if (setup.overlay) return nullptr;
  return std::make_unique<dht::Chord>(dht::Space{}, std::vector(1, setup.self),
                                      setup.self.id);
}

}  // namespace

Chosen& choices(protocol::Client& client) {
  if (!client.state) client.state = std::make_unique<Chosen>();
  return *chosen(client);
}

Node::Node(Setup setup, Store& store, Surroundings& surroundings)
    : setup_(std::move(setup)),
      alone_(make_alone(setup_)),
      overlay_(setup_.overlay ? setup_.overlay : alone_.get()),
      owners_(*overlay_),
      store_(store),
      surroundings_(surroundings),
      common_(std::allocate_shared<Common>(
          std::pmr::polymorphic_allocator<Common>(setup_.shared))),
      budget_(setup_.limits.buffers_max, common_->buffers),
      lost_(surroundings.counter("lost.", "memory")) {
  const auto add = [&](std::string_view name) {
    figures_.push_back({surroundings.counter("cmd.", name),
                        surroundings.counter("time.", name)});
  };
  for (const auto& command : table.commands()) add(command.name);
  add("unknown");
  for (const auto& [_, field] : protocol_errors)
    protocol_errors_.push_back(surroundings.counter("err.", field));
  protocol_errors_.push_back(surroundings.counter("err.", "other"));
  write_constants();
}

// Of a ring of 2 000 nodes CLUSTER SHARDS is half a megabyte. To put that
// together takes a hundred times as long as to copy it, and others wait for it.
void Node::write_constants() {
  for (const auto& command : table.commands())
    for (const int version : {2, 3}) {
      auto& text = constants_.emplace_back();
      if (!command.cost.constant) continue;
      const auto bar = command.name.find('|');
      const std::string_view words[] = {
          command.name.substr(0, bar),
          bar == command.name.npos ? "" : command.name.substr(bar + 1)};
      protocol::StringSink sink;
      protocol::Client nobody;
      nobody.version = static_cast<std::int8_t>(version);
      protocol::Reply reply(sink, nobody, {});
      command.answer({*this, {words, command.least_arguments()}, reply});
      text = std::move(sink.text);
    }
}

void Node::answer(Arguments arguments, protocol::Reply& reply) {
  const Row row = table.find_row(arguments);
  const auto& figures = figures_[row.number];
  const auto nth = surroundings_.count(figures.requests, 1);
  const bool timed = nth <= timed_each || nth % timed_each == 0;
  const auto began = timed ? surroundings_.now_ns() : 0;
  answer(row, arguments, reply);
  if (!timed) return;
  const auto took = surroundings_.now_ns() - began;
  surroundings_.count(figures.time,
                      nth > timed_each ? timed_each * took : took);
}

inline void Node::answer(const Row& row, Arguments arguments,
                         protocol::Reply& reply) {
  Chosen* const said = chosen(reply.client());
  const bool asked = said && std::exchange(said->asking, false);
  if (!row.command)
    return protocol::refuse_unknown(arguments, table.find(arguments[0]), reply);
  const Command& command = *row.command;
  reply.spend(command.cost.steps);
  if (!command.takes(arguments.size()))
    return protocol::refuse_arity(command.name, reply);
  if (command.cost.constant && arguments.size() == command.least_arguments())
    return reply.raw(constants_[2 * row.number + (reply.version() == 3)]);
  if (command.last_key < 0 && arguments.size() > keys_max + 1)
    return reply.error(too_many_keys);
  const bool somewhere = setup_.overlay && command.first_key != 0;
  if (somewhere && !answerable(command, arguments, reply, asked)) return;
  command.answer({*this, arguments, reply});
}

// False: the keys are not here, and that has been answered.
bool Node::answerable(const Command& command, Arguments arguments,
                      protocol::Reply& reply, bool asked) const {
  const auto keys = keys_of(command, arguments);
  const std::size_t each = setup_.placement == dht::Placement::sha1 ? 4 : 0;
  for (const auto key : keys) reply.spend(each + key.size() / hashed_a_step);
  const auto id = place(keys[0]);
  const bool here = overlay_->owns(id);
  // Several keys have to be in one place. By slots that is one slot, as stock
  // clients expect; by sha1, where no two keys are together, one node.
  for (const auto key : keys.subspan(1)) {
    const auto other = place(key);
    const bool together =
        other == id || (setup_.placement == dht::Placement::sha1 && here &&
                        overlay_->owns(other));
    if (together) continue;
    reply.error("CROSSSLOT Keys in request don't hash to the same slot");
    return false;
  }
  if (here || asked) return true;
  redirect(keys[0], id, arguments, reply);
  return false;
}

// Sends the client to the next node, or asks the owner in its stead.
void Node::redirect(std::string_view key, const dht::Id& id,
                    Arguments arguments, protocol::Reply& reply) const {
  const Chosen* const said = chosen(reply.client());
  if (said && said->proxy) {
    if (!setup_.lookups) return reply.error(nobody_to_ask);
    return setup_.lookups->proxy(id, arguments, reply.later(), reply.version());
  }
  const dht::Member* const next = redirected_to(id);
  if (!next) return reply.error(not_served);
  const auto to = split(next->address);
  // Exactly these three parts: clients take the line to pieces at its blanks.
  std::array<char, 16> moved;
  std::copy_n("-MOVED ", 7, moved.data());
  char* const end = protocol::write_decimal(moved.data() + 7, slot(key));
  reply.raw({moved.data(), end});
  reply.raw(" ");
  reply.raw(to.host);
  reply.raw(":");
  reply.raw(to.port);
  reply.raw("\r\n");
}

const dht::Member* Node::redirected_to(const dht::Id& key) const {
  const bool directly = setup_.redirect == Redirect::owner;
  const dht::Member* const named = directly ? owners_.of(key) : nullptr;
  // No list, or one that the overlay does not agree with: a hop leads on.
  if (!named || !overlay_->nearer(named->id, overlay_->self().id, key))
    return next_hop(key).next;
  return named;
}

dht::Hop Node::next_hop(const dht::Id& key) const {
  auto hop = overlay_->next_hop(key, 0);
  // A client that is sent round in circles never stops (redis-cli has no limit
  // of redirects), so every step has to lead nearer.
  if (hop.next && !overlay_->nearer(hop.next->id, overlay_->self().id, key))
    hop.next = nullptr;
  return hop;
}

void Node::protocol_error(std::string_view name) {
  const auto found = std::ranges::find(
      protocol_errors, name, [](const auto& pair) { return pair.first; });
  surroundings_.count(protocol_errors_[static_cast<std::size_t>(
                          found - protocol_errors.begin())],
                      1);
}

dht::Id Node::place(std::string_view key) const {
  return dht::place(key, setup_.placement, setup_.hash);
}

std::uint16_t Node::slot(std::string_view key) const {
  return setup_.placement == dht::Placement::slots
             ? dht::slot_of(key)
             : dht::slot_of_id(place(key));
}

std::uint64_t Node::number(protocol::Client& client) {
  std::uint64_t& id = choices(client).id;
  if (id == 0)
    id = common_->clients.fetch_add(1, std::memory_order_relaxed) + 1;
  return id;
}

}  // namespace node
