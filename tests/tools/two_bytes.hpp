#pragma once
// Another framing than RESP's, for tests of what a service may choose.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "protocol/service.hpp"

namespace tests {

/// A length of two bytes, the higher one first, then so many bytes: DNS over
/// TCP (RFC 1035, 4.2.2). Nothing may be longer than `longest`.
class TwoBytes final : public protocol::Framing {
 public:
  static constexpr std::size_t longest = 300;

  protocol::Parsed parse(std::span<const std::byte> bytes,
                         const protocol::Limits&, protocol::Scratch& scratch,
                         protocol::Progress&) const override {
    protocol::Parsed parsed;
    parsed.needed = 2;
    if (bytes.size() < 2) return parsed;
    const std::size_t size = std::to_integer<std::size_t>(bytes[0]) << 8 |
                             std::to_integer<std::size_t>(bytes[1]);
    parsed.needed = 2 + size;
    if (size > longest) {
      parsed.kind = protocol::Parsed::Kind::error;
      parsed.error = "too long";
    } else if (bytes.size() >= parsed.needed) {
      scratch.clear();
      scratch.add({reinterpret_cast<const char*>(bytes.data()) + 2, size});
      parsed.kind = protocol::Parsed::Kind::request;
      parsed.consumed = parsed.needed;
    }
    return parsed;
  }
  void refuse(const protocol::Parsed& parsed,
              protocol::Writer& writer) const override {
    writer.raw(framed(parsed.error));
  }
  static std::string framed(std::string_view text) {
    std::string frame{static_cast<char>(text.size() >> 8),
                      static_cast<char>(text.size() & 0xff)};
    return frame.append(text);
  }
};

inline constexpr TwoBytes two_bytes;

}  // namespace tests
