#pragma once
// What every overlay network answers: who is responsible for a key, and who
// knows more about it than we do.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dht/identifier.hpp"

namespace dht {

/// A node: its identifier (SHA-1 of its address) and where it listens.
struct Member {
  Id id;
  std::string address;  // "127.0.0.1:7000"
  bool operator==(const Member&) const = default;
};

/// One step of a lookup.
struct Hop {
  enum class Kind { here, forward } kind = Kind::here;
  const Member* next =
      nullptr;       // forward: never ourselves; owned by the overlay
  std::string rule;  // which rule chose: "owner", "successor", "finger 6"
};

/// Keys in (after, upto] are the owner's.
struct Range {
  Id after, upto;
  const Member* owner;
};

/// One row of the routing table, for people.
struct TableRow {
  std::string rule;   // "finger 3", "successor", "predecessor"
  std::string start;  // what it stands for, "" if nothing
  Member member;
};

/// Pure: no socket, no thread, no clock. Const members may be called from many
/// threads. (Joining, leaving and messages come with the protocols.)
class Overlay {
 public:
  virtual ~Overlay() = default;
  virtual const char* name() const = 0;  // "chord"
  virtual const Member& self() const = 0;
  virtual bool owns(const Id& key) const = 0;
  /// `level` is how many hops were made; Chord does not need it. Every hop is
  /// strictly nearer to the key than the one before, so a lookup ends.
  virtual Hop next_hop(const Id& key, unsigned level) const = 0;
  /// Is `next` strictly nearer to the key's owner than `than`, in this
  /// overlay's own distance? A step that is not is refused by whoever follows
  /// answers of others, so that no mistaken node can send it in circles.
  virtual bool nearer(const Id& next, const Id& than, const Id& key) const = 0;
  /// Everybody's ranges, as far as known, in the order of the ring.
  virtual std::vector<Range> ranges() const = 0;
  virtual std::vector<TableRow> table() const = 0;
};

}  // namespace dht
