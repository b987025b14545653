#pragma once
// The ring in Redis's terms: every node with its ranges of slots.

#include <cstdint>
#include <vector>

#include "dht/overlay.hpp"

namespace node {

/// Slots from .. upto, both included.
struct Slots {
  std::uint16_t from, upto;
  bool operator==(const Slots&) const = default;
};

struct Shard {
  const dht::Member* node;   // the overlay's
  std::vector<Slots> slots;  // ascending, disjoint, not adjacent; may be none
};

/// All members that the overlay knows, in the order of their identifiers. A
/// slot belongs to the owner of its first identifier; in a large ring a node
/// can be without one.
std::vector<Shard> shards(const dht::Overlay& overlay);

}  // namespace node
