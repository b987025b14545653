#pragma once
// SipHash-1-3 (Aumasson and Bernstein, INDOCRYPT 2012): a hash whose collisions
// cannot be prepared by somebody who does not know its key. With a plain hash a
// peer could send a million keys that all fall into one bucket.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace node {

/// The secret of a hash table.
struct HashKey {
  std::uint64_t first = 0, second = 0;
};

class SipHash {
 public:
  explicit SipHash(HashKey key)
      : v0_(key.first ^ 0x736f6d6570736575),
        v1_(key.second ^ 0x646f72616e646f6d),
        v2_(key.first ^ 0x6c7967656e657261),
        v3_(key.second ^ 0x7465646279746573) {}

  /// Of the bytes, in the order of a little-endian machine. Once per object.
  std::uint64_t operator()(std::string_view bytes) {
    const auto length = static_cast<std::uint64_t>(bytes.size());
    for (; bytes.size() >= 8; bytes.remove_prefix(8)) mix(word(bytes));
    std::uint64_t rest = length << 56;
    for (std::size_t i = 0; i < bytes.size(); ++i)
      rest |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << 8 * i;
    mix(rest);
    v2_ ^= 0xff;
    for (int round = 0; round < 3; ++round) turn();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  // The first eight bytes.
  static std::uint64_t word(std::string_view bytes) {
    std::uint64_t result;
    std::memcpy(&result, bytes.data(), sizeof result);
    if constexpr (std::endian::native == std::endian::big)
      result = std::byteswap(result);
    return result;
  }
  void mix(std::uint64_t word) {
    v3_ ^= word;
    turn();
    v0_ ^= word;
  }
  void turn() {
    v0_ += v1_, v1_ = std::rotl(v1_, 13) ^ v0_, v0_ = std::rotl(v0_, 32);
    v2_ += v3_, v3_ = std::rotl(v3_, 16) ^ v2_;
    v0_ += v3_, v3_ = std::rotl(v3_, 21) ^ v0_;
    v2_ += v1_, v1_ = std::rotl(v1_, 17) ^ v2_, v2_ = std::rotl(v2_, 32);
  }

  std::uint64_t v0_, v1_, v2_, v3_;
};

}  // namespace node
