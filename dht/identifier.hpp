#pragma once
// Identifiers on the ring: 160 bits as SHA-1 gives them, or m bits in the
// worked examples, where a node fits on a page.

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace dht {

/// A number of 160 bits, most significant byte first. Trivially copyable.
struct Id {
  std::array<std::uint8_t, 20> bytes{};
  auto operator<=>(const Id&) const = default;
};

Id id_from(std::uint64_t number);  // for the small rings
std::string to_hex(const Id& id);  // 40 digits
/// Exactly 40 digits, of either case; else nothing.
std::optional<Id> from_hex(std::string_view digits);

/// The circle of the identifiers 0 .. 2^bits - 1, bits from 1 to 160.
struct Space {
  unsigned bits = 160;
  bool contains(const Id& id) const;
  /// id + 2^power, modulo 2^bits; power < bits.
  Id plus_power(const Id& id, unsigned power) const;
};

/// Is x on the way from a (excluded) to b (included), clockwise? With a == b
/// the way is the whole circle. Chord writes it x in (a, b].
bool in_half_open(const Id& a, const Id& x, const Id& b);
/// x in (a, b); with a == b everything but a.
bool in_open(const Id& a, const Id& x, const Id& b);

/// SHA-1 of the bytes; handed in, since dht calls no library.
using Hash = Id (*)(std::string_view bytes);

inline constexpr unsigned slots = 16384;
/// Redis's slot of a key: CRC16 of what stands in its first {...}, if that is
/// not empty, else of all (redis.io/docs/reference/cluster-spec).
std::uint16_t slot_of(std::string_view key);
/// The first identifier whose top 14 bits are the slot.
Id id_of_slot(std::uint16_t slot);
std::uint16_t slot_of_id(const Id& id);  // its top 14 bits

/// How keys are placed on the ring: --keys. By slots all keys of a slot have
/// one identifier, so that CLUSTER SLOTS is the ring's own ownership; by sha1
/// they spread as in the papers. `hash` is called only for sha1.
enum class Placement { slots, sha1 };
Id place(std::string_view key, Placement placement, Hash hash);

}  // namespace dht
