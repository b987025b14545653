#pragma once
// An overlay that says what a test wants it to say.

#include <utility>
#include <vector>

#include "dht/overlay.hpp"

namespace node {

class FixedOverlay final : public dht::Overlay {
 public:
  explicit FixedOverlay(dht::Member self) : self_(std::move(self)) {}

  const char* name() const override { return "fixed"; }
  const dht::Member& self() const override { return self_; }
  bool owns(const dht::Id&) const override { return owns_all; }
  dht::Hop next_hop(const dht::Id&, unsigned) const override { return hop; }
  bool nearer(const dht::Id&, const dht::Id&, const dht::Id&) const override {
    return is_nearer;
  }
  std::vector<dht::Range> ranges() const override { return all_ranges; }
  std::vector<dht::TableRow> table() const override { return {}; }

  bool owns_all = false;
  bool is_nearer = true;
  dht::Hop hop;
  std::vector<dht::Range> all_ranges;

 private:
  dht::Member self_;
};

/// The identifier with these first two bytes; its slot is first << 6 | second
/// >> 2.
inline dht::Id id_at(unsigned first, unsigned second = 0) {
  dht::Id id;
  id.bytes[0] = static_cast<std::uint8_t>(first);
  id.bytes[1] = static_cast<std::uint8_t>(second);
  return id;
}

}  // namespace node
