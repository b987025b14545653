#include "dht/identifier.hpp"

#include <cstddef>

namespace dht {
namespace {

constexpr std::size_t id_bits = 160;
constexpr unsigned slot_bits = 14;

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// CRC-16/XMODEM: polynomial 0x1021, begins with 0, most significant bit first.
constexpr std::array<std::uint16_t, 256> crc_table = [] {
  std::array<std::uint16_t, 256> table{};
  for (unsigned byte = 0; byte < table.size(); ++byte) {
    unsigned crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc & 0x8000) != 0 ? crc << 1 ^ 0x1021 : crc << 1;
    table[byte] = static_cast<std::uint16_t>(crc);
  }
  return table;
}();

// What a byte comes to with so many zeros behind it: of eight bytes each is
// then looked up by itself, where one by one each would wait for the one
// before.
constexpr std::size_t strip = 8;
constexpr auto crc_tables = [] {
  std::array<std::array<std::uint16_t, 256>, strip> tables{crc_table};
  for (std::size_t zeros = 1; zeros < strip; ++zeros)
    for (std::size_t byte = 0; byte < crc_table.size(); ++byte) {
      const unsigned crc = tables[zeros - 1][byte];
      tables[zeros][byte] =
          static_cast<std::uint16_t>(crc << 8 ^ crc_table[crc >> 8]);
    }
  return tables;
}();

std::uint16_t crc16(std::string_view bytes) {
  unsigned crc = 0;
  for (; bytes.size() >= strip; bytes.remove_prefix(strip)) {
    unsigned sum = 0;
    for (std::size_t i = 0; i < strip; ++i) {
      const unsigned before = i == 0 ? crc >> 8 : i == 1 ? crc & 0xff : 0;
      const unsigned byte = static_cast<std::uint8_t>(bytes[i]) ^ before;
      sum ^= crc_tables[strip - 1 - i][byte];
    }
    crc = sum;
  }
  for (char c : bytes) {
    const unsigned place = (crc >> 8 ^ static_cast<std::uint8_t>(c)) & 0xff;
    crc = (crc << 8 ^ crc_table[place]) & 0xffff;
  }
  return static_cast<std::uint16_t>(crc);
}

// The first "{" and the first "}" behind it count, so "{}x{y}" has no tag.
std::string_view hashed_part(std::string_view key) {
  const std::size_t open = key.find('{');
  if (open == key.npos) return key;
  const std::size_t close = key.find('}', open + 1);
  if (close == key.npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

}  // namespace

Id id_from(std::uint64_t number) {
  Id id;
  for (std::size_t i = 0; i < sizeof number; ++i)
    id.bytes[id.bytes.size() - 1 - i] =
        static_cast<std::uint8_t>(number >> 8 * i);
  return id;
}

std::string to_hex(const Id& id) {
  constexpr char digits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * id.bytes.size());
  for (std::uint8_t byte : id.bytes) {
    hex += digits[byte >> 4];
    hex += digits[byte & 15];
  }
  return hex;
}

std::optional<Id> from_hex(std::string_view digits) {
  Id id;
  if (digits.size() != 2 * id.bytes.size()) return std::nullopt;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) {
    const int high = digit_of(digits[2 * i]);
    const int low = digit_of(digits[2 * i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    id.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return id;
}

bool Space::contains(const Id& id) const {
  for (std::size_t bit = bits; bit < id_bits; ++bit) {
    const std::uint8_t byte = id.bytes[id.bytes.size() - 1 - bit / 8];
    if ((byte >> bit % 8 & 1) != 0) return false;
  }
  return true;
}

Id Space::plus_power(const Id& id, unsigned power) const {
  Id sum = id;
  unsigned carry = 1U << power % 8;
  for (std::size_t i = power / 8; i < sum.bytes.size(); ++i) {
    std::uint8_t& byte = sum.bytes[sum.bytes.size() - 1 - i];
    carry += byte;
    byte = static_cast<std::uint8_t>(carry);
    carry >>= 8;
  }
  // The sum is below 2^(bits + 1): taking it modulo 2^bits is clearing one bit.
  if (bits < id_bits)
    sum.bytes[sum.bytes.size() - 1 - bits / 8] &=
        static_cast<std::uint8_t>(~(1U << bits % 8));
  return sum;
}

// Where the way passes 0, x is on it if it is behind a or before b. The same
// words serve a == b: behind a or not behind a is the whole circle.
bool in_half_open(const Id& a, const Id& x, const Id& b) {
  return a < b ? a < x && x <= b : a < x || x <= b;
}

bool in_open(const Id& a, const Id& x, const Id& b) {
  return a < b ? a < x && x < b : a < x || x < b;
}

std::uint16_t slot_of(std::string_view key) {
  return crc16(hashed_part(key)) % slots;
}

Id id_of_slot(std::uint16_t slot) {
  const unsigned top = static_cast<unsigned>(slot) << (16 - slot_bits);
  Id id;
  id.bytes[0] = static_cast<std::uint8_t>(top >> 8);
  id.bytes[1] = static_cast<std::uint8_t>(top);
  return id;
}

std::uint16_t slot_of_id(const Id& id) {
  const unsigned top = static_cast<unsigned>(id.bytes[0]) << 8 | id.bytes[1];
  return static_cast<std::uint16_t>(top >> (16 - slot_bits));
}

Id place(std::string_view key, Placement placement, Hash hash) {
  return placement == Placement::slots ? id_of_slot(slot_of(key)) : hash(key);
}

}  // namespace dht
