#pragma once
// A ring of one node, so that a node without a ring answers like one with it.

#include <utility>
#include <vector>

#include "dht/overlay.hpp"

namespace node {

/// Owns every key. Thread-safe: nothing changes.
class Alone final : public dht::Overlay {
 public:
  explicit Alone(dht::Member self) : self_(std::move(self)) {}

  const char* name() const override { return "alone"; }
  const dht::Member& self() const override { return self_; }
  bool owns(const dht::Id&) const override { return true; }
  dht::Hop next_hop(const dht::Id&, unsigned) const override;
  bool nearer(const dht::Id&, const dht::Id&, const dht::Id&) const override {
    return false;
  }
  std::vector<dht::Range> ranges() const override;
  std::vector<dht::TableRow> table() const override;

 private:
  dht::Member self_;
};

}  // namespace node
