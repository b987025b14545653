#include "dht/identifier.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace {

using dht::Id;

// The definition, by walking: from a one step at a time, b being the last.
bool walk_meets(unsigned a, unsigned x, unsigned b, bool with_b) {
  unsigned at = a;
  do {
    at = (at + 1) % 8;
    if (at == b && !with_b) return false;
    if (at == x) return true;
  } while (at != b);
  return false;
}

TEST(Interval, HalfOpenIsWhatAWalkMeetsUpToItsEnd) {
  for (unsigned a = 0; a < 8; ++a)
    for (unsigned x = 0; x < 8; ++x)
      for (unsigned b = 0; b < 8; ++b)
        EXPECT_EQ(dht::in_half_open(dht::id_from(a), dht::id_from(x),
                                    dht::id_from(b)),
                  walk_meets(a, x, b, true))
            << x << " in (" << a << ", " << b << "]";
}

TEST(Interval, OpenIsWhatAWalkMeetsBeforeItsEnd) {
  for (unsigned a = 0; a < 8; ++a)
    for (unsigned x = 0; x < 8; ++x)
      for (unsigned b = 0; b < 8; ++b)
        EXPECT_EQ(
            dht::in_open(dht::id_from(a), dht::id_from(x), dht::id_from(b)),
            walk_meets(a, x, b, false))
            << x << " in (" << a << ", " << b << ")";
}

TEST(Interval, OfOnePointIsTheWholeCircle) {
  const Id a = dht::id_from(5);
  EXPECT_TRUE(dht::in_half_open(a, a, a));
  EXPECT_FALSE(dht::in_open(a, a, a));
  EXPECT_TRUE(dht::in_open(a, dht::id_from(4), a));
}

TEST(Id, TakesANumberIntoItsLastBytes) {
  EXPECT_EQ(dht::to_hex(dht::id_from(0x0123456789abcdef)),
            "0000000000000000000000000123456789abcdef");
  EXPECT_LT(dht::id_from(255), dht::id_from(256));
}

TEST(Id, IsReadBackFromItsDigits) {
  // SHA-1 of "abc" and of "" (FIPS 180-4, RFC 3174).
  for (const std::string digits : {"a9993e364706816aba3e25717850c26c9cd0d89d",
                                   "da39a3ee5e6b4b0d3255bfef95601890afd80709"})
    EXPECT_EQ(dht::to_hex(dht::from_hex(digits).value()), digits);
  EXPECT_EQ(dht::from_hex("A9993E364706816ABA3E25717850C26C9CD0D89D"),
            dht::from_hex("a9993e364706816aba3e25717850c26c9cd0d89d"));
}

TEST(Id, IsNotReadFromAnythingElse) {
  const std::string good(40, '0');
  EXPECT_TRUE(dht::from_hex(good));
  EXPECT_FALSE(dht::from_hex(""));
  EXPECT_FALSE(dht::from_hex(good.substr(1)));
  EXPECT_FALSE(dht::from_hex(good + "0"));
  for (const char wrong : {'/', ':', '@', 'G', '`', 'g', ' ', '\0', '\xff'})
    for (const std::size_t at : {0, 1, 38, 39}) {
      std::string digits = good;
      digits[at] = wrong;
      EXPECT_FALSE(dht::from_hex(digits)) << digits;
    }
}

TEST(Space, AddsPowersLikeArithmetic) {
  for (unsigned bits = 1; bits <= 10; ++bits)
    for (unsigned n = 0; n < 1U << bits; ++n)
      for (unsigned power = 0; power < bits; ++power)
        EXPECT_EQ(dht::Space{bits}.plus_power(dht::id_from(n), power),
                  dht::id_from((n + (1U << power)) % (1U << bits)))
            << n << " + 2^" << power << " of " << bits << " bits";
}

TEST(Space, WrapsAroundAt160Bits) {
  const Id last = dht::from_hex(std::string(40, 'f')).value();
  EXPECT_EQ(dht::Space{}.plus_power(last, 0), Id{});
  EXPECT_EQ(dht::to_hex(dht::Space{}.plus_power(last, 159)),
            "7" + std::string(39, 'f'));
  EXPECT_EQ(dht::to_hex(dht::Space{}.plus_power(Id{}, 159)),
            "8" + std::string(39, '0'));
  EXPECT_EQ(dht::to_hex(dht::Space{}.plus_power(last, 8)),
            std::string(37, '0') + "0ff");
}

TEST(Space, CarriesThroughEveryByte) {
  Id ones;  // 2^152 - 1
  std::fill(ones.bytes.begin() + 1, ones.bytes.end(), 0xff);
  EXPECT_EQ(dht::to_hex(dht::Space{}.plus_power(ones, 0)),
            "01" + std::string(38, '0'));
}

TEST(Space, ContainsWhatHasNoBitAboveIt) {
  EXPECT_TRUE(dht::Space{6}.contains(dht::id_from(63)));
  EXPECT_FALSE(dht::Space{6}.contains(dht::id_from(64)));
  EXPECT_TRUE(dht::Space{8}.contains(dht::id_from(255)));
  EXPECT_FALSE(dht::Space{8}.contains(dht::id_from(256)));
  const Id last = dht::from_hex(std::string(40, 'f')).value();
  EXPECT_TRUE(dht::Space{160}.contains(last));
  EXPECT_FALSE(dht::Space{159}.contains(last));
}

TEST(Slot, IsRedissOwn) {
  EXPECT_EQ(dht::slot_of("foo"), 12182);
  EXPECT_EQ(dht::slot_of("bar"), 5061);
  EXPECT_EQ(dht::slot_of("hello"), 866);
  EXPECT_EQ(dht::slot_of("x"), 16287);
  EXPECT_EQ(dht::slot_of("123456789"), 12739);  // CRC 0x31C3, modulo 16384
  EXPECT_EQ(dht::slot_of("123456789"), 0x31C3 % 16384);
  EXPECT_EQ(dht::slot_of(""), 0);
  // Python's binascii.crc_hqx.
  EXPECT_EQ(dht::slot_of("0123456789abcdef0123456789ABCDEF."), 11555);
  EXPECT_EQ(dht::slot_of(std::string(1000, '\xff')), 14164);
}

TEST(Slot, IsThatOfTheTag) {
  EXPECT_EQ(dht::slot_of("{user1000}.following"), 3443);
  EXPECT_EQ(dht::slot_of("{user1000}.followers"), 3443);
  EXPECT_EQ(dht::slot_of("user1000"), 3443);
  EXPECT_EQ(dht::slot_of("foo{bar}{zap}"), 5061);
  EXPECT_EQ(dht::slot_of("a{foo}"), 12182);
  EXPECT_EQ(dht::slot_of("foo{{bar}}zap"), dht::slot_of("{bar"));
  EXPECT_EQ(dht::slot_of("}{foo}"), 12182);
  // What redis-benchmark sends: the first "}" ends the tag.
  EXPECT_EQ(dht::slot_of("key:{8M}}:000000000012"), 5461);
}

TEST(Slot, IsThatOfTheWholeKeyWithoutATag) {
  const auto tagged = dht::slot_of("bar");
  for (const std::string key :
       {"foo{}{bar}", "{}bar", "{bar", "bar}", "{", "}"})
    EXPECT_NE(dht::slot_of(key), tagged) << key;
  // By a second, bitwise account of the checksum over the whole key.
  unsigned crc = 0;
  for (const unsigned char c : std::string("foo{}{bar}")) {
    crc ^= c << 8;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc & 0x8000) != 0 ? (crc << 1 ^ 0x1021) & 0xffff : crc << 1;
  }
  EXPECT_EQ(dht::slot_of("foo{}{bar}"), crc % 16384);
}

TEST(Slot, IsTheTopOfItsIdentifier) {
  for (unsigned slot = 0; slot < dht::slots; ++slot) {
    const Id first = dht::id_of_slot(static_cast<std::uint16_t>(slot));
    ASSERT_EQ(dht::slot_of_id(first), slot);
    Id last = first;
    last.bytes[1] |= 3;
    std::fill(last.bytes.begin() + 2, last.bytes.end(), 0xff);
    ASSERT_EQ(dht::slot_of_id(last), slot);
    if (slot + 1 < dht::slots) {
      ASSERT_LT(last, dht::id_of_slot(static_cast<std::uint16_t>(slot + 1)));
    }
  }
  EXPECT_EQ(dht::to_hex(dht::id_of_slot(12182)), "be58" + std::string(36, '0'));
}

TEST(Placement, IsByTheSlotOrByTheHash) {
  const dht::Hash length = [](std::string_view bytes) {
    return dht::id_from(bytes.size());
  };
  EXPECT_EQ(dht::place("foo", dht::Placement::slots, nullptr),
            dht::id_of_slot(12182));
  EXPECT_EQ(dht::place("foo", dht::Placement::sha1, length), dht::id_from(3));
}

}  // namespace
