#pragma once
// Chord (Stoica et al., SIGCOMM 2001; IEEE/ACM ToN 11(1), 2003) with tables
// computed from a list of all members.

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "dht/overlay.hpp"

namespace dht {

enum class Routing { fingers, successors };  // O(log N) hops, or O(N)

class Chord final : public Overlay {
 public:
  /// `members` in any order, distinct identifiers, `self` among them; throws
  /// std::invalid_argument otherwise, and for identifiers outside the space.
  Chord(Space space, std::vector<Member> members, const Id& self,
        Routing routing = Routing::fingers);

  const char* name() const override { return "chord"; }
  const Member& self() const override;
  bool owns(const Id& key) const override;
  /// ToN section IV-D, figure 5. The level is not needed. Allocates nothing.
  Hop next_hop(const Id& key, unsigned level) const override;
  bool nearer(const Id& next, const Id& than, const Id& key) const override;
  std::vector<Range> ranges() const override;
  std::vector<TableRow> table() const override;

  /// finger[i], i from 1 to bits: the first node at or behind self + 2^(i-1);
  /// ourselves, if there is nobody on that half of the circle.
  const Member& finger(unsigned i) const;
  const Member& successor() const;
  const Member& predecessor() const;
  /// The node that a key belongs to, from the list: the oracle of the tests.
  const Member& owner_of(const Id& key) const;

 private:
  // Fingers that point to one node are one choice: of 160 fingers about
  // log2 N differ, and only those are looked at for a step.
  struct Choice {
    Id id;
    std::size_t place;
    std::string rule;  // of the highest of the equal fingers
  };

  std::size_t place_of(const Id& key) const;
  void fill_fingers();

  Space space_;
  std::vector<Member> ring_;  // by identifier
  std::size_t self_ = 0;
  std::vector<std::size_t> fingers_;  // places in ring_
  std::vector<Choice> choices_;       // the farthest first, never ourselves
  Routing routing_;
};

/// The path of a lookup over a set of overlays, the first included, as the
/// worked examples print it: tests and DHT.LOOKUP take the same steps. Throws
/// std::invalid_argument if a node on the path is not among `nodes`.
std::vector<Member> route(std::span<const Chord* const> nodes, const Id& from,
                          const Id& key);

}  // namespace dht
