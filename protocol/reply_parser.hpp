#pragma once
// Replies are taken apart here, RESP2 and RESP3 (redis.io/docs/reference/
// protocol-spec), in two steps: the scanner finds where a reply ends, however
// finely it is chopped, and then the whole reply becomes a Value.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "protocol/value.hpp"

namespace protocol {

/// Finds the end of one reply after the other. Looks at each byte a bounded
/// number of times and has no memory of its own: a Value is built only of what
/// has come, however much was announced.
class ReplyScanner {
 public:
  enum class State { incomplete, whole, error };
  static constexpr std::size_t depth_max = 32;
  static constexpr std::size_t elements_max = 1 << 20;

  explicit ReplyScanner(std::size_t reply_max) : reply_max_(reply_max) {}

  /// `bytes` begin where the reply begins: those of the last call, and more.
  State scan(std::string_view bytes);
  /// whole: the bytes of the reply. The next call is for the next reply.
  std::size_t size() const { return at_; }
  /// error: why, in a few words.
  std::string_view error() const { return error_; }
  /// Forgets the reply that it is in.
  void reset() { at_ = searched_ = elements_ = depth_ = 0; }

 private:
  State fail(std::string_view why);
  State open(std::size_t elements);
  bool close();

  std::size_t reply_max_;
  std::size_t at_ = 0;        // the elements before are complete
  std::size_t searched_ = 0;  // no line ends before
  std::size_t elements_ = 0;  // announced in all
  std::size_t depth_ = 0;
  std::array<std::uint32_t, depth_max> open_;  // elements still to come
  std::string_view error_;
};

/// Takes apart a reply that a scanner has found whole at the front of `bytes`;
/// returns its size. The value's texts lie in `bytes`; its vectors keep their
/// memory from one reply to the next.
std::size_t read_reply(std::string_view bytes, Value& value);

}  // namespace protocol
