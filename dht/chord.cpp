#include "dht/chord.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace dht {

Chord::Chord(Space space, std::vector<Member> members, const Id& self,
             Routing routing)
    : space_(space), ring_(std::move(members)), routing_(routing) {
  if (space_.bits < 1 || space_.bits > 160)
    throw std::invalid_argument("chord: a space has 1 to 160 bits");
  std::ranges::sort(ring_, {}, &Member::id);
  for (std::size_t i = 0; i < ring_.size(); ++i) {
    if (!space_.contains(ring_[i].id))
      throw std::invalid_argument("chord: " + ring_[i].address +
                                  " lies outside the space");
    if (i > 0 && ring_[i - 1].id == ring_[i].id)
      throw std::invalid_argument("chord: " + ring_[i - 1].address + " and " +
                                  ring_[i].address + " have one identifier");
  }
  const auto found = std::ranges::lower_bound(ring_, self, {}, &Member::id);
  if (found == ring_.end() || found->id != self)
    throw std::invalid_argument("chord: we are not among the members");
  self_ = static_cast<std::size_t>(found - ring_.begin());
  fill_fingers();
}

// The successor of a key on the ring: the first node at or behind it.
std::size_t Chord::place_of(const Id& key) const {
  const auto found = std::ranges::lower_bound(ring_, key, {}, &Member::id);
  return found == ring_.end() ? 0
                              : static_cast<std::size_t>(found - ring_.begin());
}

void Chord::fill_fingers() {
  for (unsigned i = 1; i <= space_.bits; ++i)
    fingers_.push_back(place_of(space_.plus_power(self().id, i - 1)));
  for (unsigned i = space_.bits; i >= 1; --i) {
    const std::size_t place = fingers_[i - 1];
    if (place == self_) continue;  // the far half is empty
    if (!choices_.empty() && choices_.back().place == place) continue;
    choices_.push_back({ring_[place].id, place, "finger " + std::to_string(i)});
  }
}

const Member& Chord::self() const { return ring_[self_]; }

const Member& Chord::finger(unsigned i) const {
  return ring_[fingers_.at(i - 1)];
}

const Member& Chord::successor() const {
  return ring_[self_ + 1 == ring_.size() ? 0 : self_ + 1];
}

const Member& Chord::predecessor() const {
  return ring_[self_ == 0 ? ring_.size() - 1 : self_ - 1];
}

const Member& Chord::owner_of(const Id& key) const {
  return ring_[place_of(key)];
}

// A ring of one: (self, self] is the whole circle, and everything is ours.
bool Chord::owns(const Id& key) const {
  return in_half_open(predecessor().id, key, self().id);
}

Hop Chord::next_hop(const Id& key, unsigned) const {
  if (owns(key)) return {Hop::Kind::here, nullptr, "owner"};
  if (routing_ == Routing::successors ||
      in_half_open(self().id, key, successor().id))
    return {Hop::Kind::forward, &successor(), "successor"};
  // The closest finger that precedes the key: to go as far as the key, or
  // beyond, would be to pass the nodes that know who owns it. The search ends
  // at the latest with the successor, since the key lies behind it.
  auto choice = choices_.begin();
  while (!in_open(self().id, choice->id, key)) ++choice;
  return {Hop::Kind::forward, &ring_[choice->place], choice->rule};
}

// The distance is the way left to the owner, clockwise; at the owner it is 0.
bool Chord::nearer(const Id& next, const Id& than, const Id& key) const {
  const Id& owner = owner_of(key).id;
  return than != owner && in_half_open(than, next, owner);
}

std::vector<Range> Chord::ranges() const {
  std::vector<Range> all;
  all.reserve(ring_.size());
  const Member* before = &ring_.back();
  for (const Member& member : ring_) {
    all.push_back({before->id, member.id, &member});
    before = &member;
  }
  return all;
}

std::vector<TableRow> Chord::table() const {
  std::vector<TableRow> rows;
  rows.reserve(fingers_.size() + 2);
  rows.push_back({"predecessor", "", predecessor()});
  rows.push_back({"successor", "", successor()});
  for (unsigned i = 1; i <= space_.bits; ++i)
    rows.push_back({"finger " + std::to_string(i),
                    to_hex(space_.plus_power(self().id, i - 1)), finger(i)});
  return rows;
}

std::vector<Member> route(std::span<const Chord* const> nodes, const Id& from,
                          const Id& key) {
  std::vector<Member> path;
  const Id* at = &from;
  for (;;) {
    const auto node = std::ranges::find_if(
        nodes, [&](const Chord* chord) { return chord->self().id == *at; });
    if (node == nodes.end())
      throw std::invalid_argument("route: no overlay for " + to_hex(*at));
    path.push_back((*node)->self());
    const unsigned level = static_cast<unsigned>(path.size() - 1);
    const Hop hop = (*node)->next_hop(key, level);
    if (hop.kind == Hop::Kind::here) return path;
    at = &hop.next->id;
  }
}

}  // namespace dht
