#include "node/shards.hpp"

#include <algorithm>
#include <map>

namespace node {

namespace {

// Adds what of (after, upto] begins a slot. Past the end of the circle a range
// goes on at 0; upto == after is the whole circle.
void add(std::vector<Slots>& slots, const dht::Range& range) {
  // `after` itself is not in the range, so its own slot's first identifier is
  // not either: the first slot that can be is the next one.
  const unsigned from = dht::slot_of_id(range.after) + 1u;
  const unsigned upto = dht::slot_of_id(range.upto);
  const auto push = [&](unsigned first, unsigned last) {
    if (first <= last)
      slots.push_back({static_cast<std::uint16_t>(first),
                       static_cast<std::uint16_t>(last)});
  };
  if (range.after < range.upto) return push(from, upto);
  push(from, dht::slots - 1);
  push(0, upto);
}

std::vector<Slots> merge(std::vector<Slots> slots) {
  std::ranges::sort(slots, {}, &Slots::from);
  std::vector<Slots> merged;
  for (const auto& next : slots) {
    if (!merged.empty() && merged.back().upto + 1 == next.from)
      merged.back().upto = next.upto;
    else
      merged.push_back(next);
  }
  return merged;
}

}  // namespace

std::vector<Shard> shards(const dht::Overlay& overlay) {
  std::map<dht::Id, Shard> by_id;
  for (const auto& range : overlay.ranges()) {
    auto& shard = by_id[range.owner->id];
    shard.node = range.owner;
    add(shard.slots, range);
  }
  std::vector<Shard> result;
  result.reserve(by_id.size());
  for (auto& [_, shard] : by_id)
    result.push_back({shard.node, merge(std::move(shard.slots))});
  return result;
}

Owners::Owners(const dht::Overlay& overlay) : ranges_(overlay.ranges()) {
  std::ranges::sort(ranges_, {}, &dht::Range::upto);
}

// The first range that ends at or behind the key, or the one that goes on past
// the end of the circle.
const dht::Member* Owners::of(const dht::Id& key) const {
  if (ranges_.empty()) return nullptr;
  auto range = std::ranges::lower_bound(ranges_, key, {}, &dht::Range::upto);
  if (range == ranges_.end()) range = ranges_.begin();
  return dht::in_half_open(range->after, key, range->upto) ? range->owner
                                                           : nullptr;
}

}  // namespace node
