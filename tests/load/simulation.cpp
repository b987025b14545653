#include "tests/load/simulation.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "net/clock.hpp"

namespace simulation {

void Store::answer(Words words, protocol::Reply& reply) {
  ++answered;
  if (instead && instead(words, reply)) return;
  const std::string_view name = words[0];
  if (name == "ECHO") return reply.bulk(words[1]);
  if (name == "PING") return reply.simple("PONG");
  const std::string key(words[1]);
  if (name == "SET") {
    values_[key] = words[2];
    return reply.simple("OK");
  }
  const auto found = values_.find(key);
  if (name == "DEL")
    return reply.integer(static_cast<std::int64_t>(values_.erase(key)));
  if (name == "EXISTS") return reply.integer(found != values_.end());
  found == values_.end() ? reply.null() : reply.bulk(found->second);
}

World::World(const load::Plan& plan, const std::vector<std::string>& commands,
             std::uint64_t keys)
    : workload(commands, keys),
      generator(
          plan, workload, bell, [this] { return usage; },
          [this](load::Phase phase) { enter(phase); }),
      now(net::now()) {}

void World::enter(load::Phase phase) {
  phases.push_back(phase);
  if (phase == load::Phase::measuring) measured_at = now;
}

const load::Outcome& World::run() {
  while (!generator.over()) turn();
  // As a model does it: what still stands is closed.
  while (!lines_.empty()) close(*lines_.begin()->first, "the model has ended");
  return generator.outcome();
}

// As a model's client: connects, speaks to whom there is something to say, and
// sleeps until the next event.
void World::turn() {
  while (protocol::Peer* peer = generator.next()) connect(*peer);
  while (protocol::Peer* peer = generator.due(now)) speak(*peer);
  if (generator.over() || bell.rung.exchange(false)) return;
  Nanoseconds next = generator.next_due();
  if (!events_.empty()) next = std::min(next, events_.begin()->first);
  if (next == protocol::never) throw std::logic_error("nobody wakes the load");
  now = woken_at(std::max(now, next));
  while (!events_.empty() && events_.begin()->first <= now)
    deliver(events_.extract(events_.begin()).mapped());
}

void World::connect(protocol::Peer& peer) {
  connecting_most = std::max(connecting_most, ++connecting);
  peer.tag = ++connects;
  lines_[&peer] = std::make_unique<Line>(store);
  events_.emplace(now + connect_time, Event{&peer, peer.tag, ""});
}

void World::deliver(const Event& event) {
  protocol::Peer& peer = *event.peer;
  // The connection may have ended while this was on its way.
  if (!lines_.contains(&peer) || peer.tag != event.connection) return;
  if (event.bytes.empty()) return connected(peer);
  if (const std::string why = reset(); !why.empty()) return close(peer, why);
  peer.session.receive(as_bytes(event.bytes));
  generator.hand_over(peer, now);
  exchange(peer);
}

void World::connected(protocol::Peer& peer) {
  --connecting;
  if (const std::string why = refusal(); !why.empty()) return close(peer, why);
  lines_.at(&peer)->connected = true;
  generator.connected(peer);
  speak(peer);
}

void World::speak(protocol::Peer& peer) {
  const auto line = lines_.find(&peer);
  if (line == lines_.end() || !line->second->connected) return;
  generator.say(peer, now);
  exchange(peer);
}

void World::exchange(protocol::Peer& peer) {
  Line& line = *lines_.at(&peer);
  while (peer.session.has_output()) {
    const auto bytes = peer.session.output();
    line.session.receive(bytes);
    peer.session.sent(bytes.size());
  }
  answer(peer, line);
  look(peer);
  if (peer.session.finished()) close(peer, std::string(peer.session.error()));
}

void World::answer(protocol::Peer& peer, Line& line) {
  std::string text;
  while (line.session.has_output()) {
    const auto bytes = line.session.output();
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    line.session.sent(bytes.size());
  }
  if (text.empty()) return;
  const std::size_t size = fragment == 0 ? text.size() : fragment;
  line.last = std::max(line.last, answered_at(now));
  for (std::size_t at = 0; at < text.size(); at += size) {
    events_.emplace(line.last, Event{&peer, peer.tag, text.substr(at, size)});
    if (fragment != 0) line.last += 10 * microsecond;
  }
}

void World::close(protocol::Peer& peer, const std::string& why) {
  lines_.erase(&peer);
  generator.closed(peer, why);
}

load::Plan closed_loop(std::uint32_t connections, std::uint32_t depth) {
  load::Plan plan;
  plan.address = "127.0.0.1:7000";
  plan.connections = connections;
  plan.depth = depth;
  plan.warmup_max = 0;
  plan.duration = second;
  return plan;
}

load::Plan open_loop(std::uint32_t connections, double rate) {
  load::Plan plan = closed_loop(connections, 1);
  plan.rate = rate;
  return plan;
}

}  // namespace simulation
