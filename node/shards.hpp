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

/// Who owns a key, by the list of members: in O(log N), where a list of ranges
/// would be made and searched anew for every question.
class Owners {
 public:
  /// The overlay outlives this, and does not change meanwhile.
  explicit Owners(const dht::Overlay& overlay);
  /// Null: nobody.
  const dht::Member* of(const dht::Id& key) const;

 private:
  std::vector<dht::Range> ranges_;  // by their ends
};

}  // namespace node
