#pragma once
// Requests are taken apart here: RESP arrays of bulk strings, and inline
// commands (redis.io/docs/reference/protocol-spec).

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/limits.hpp"
#include "protocol/scratch.hpp"

namespace protocol {

/// What stands at the front of the bytes.
struct Parsed {
  enum class Kind { incomplete, request, nothing, error };
  Kind kind = Kind::incomplete;
  /// request, nothing (an empty line, `*0`): so many bytes are done with.
  std::size_t consumed = 0;
  /// incomplete: with fewer bytes than this another look is in vain. It grows
  /// with what has come and never beyond the next thing that can end.
  std::size_t needed = 0;
  /// error: what is wrong, in Redis's own words (networking.c), so that clients
  /// that match on them find them: "invalid multibulk length", "expected '$'",
  /// "invalid bulk length", "too big mbulk count string", "too big bulk count
  /// string", "too big inline request", "unbalanced quotes in request"; for a
  /// frame above frame_max, which Redis does not limit, "too big request". The
  /// conversation cannot go on: nobody knows where the next request begins.
  std::string_view error{};
  /// error "expected '$'": the byte that stands there.
  std::optional<char> got{};
};

/// How far a frame that is not whole has been looked at; it fits into a block.
struct Progress {
  std::uint32_t at = 0;    // its bytes before are known; 0: none
  std::uint32_t left = 0;  // arguments that are still to come
};

/// Looks at one request. On `request`, `scratch` has its arguments (at least
/// one), which lie in `bytes` or in the scratch and are valid as long as both.
/// On `incomplete`, `progress` says where the next look begins, if `bytes` then
/// are the same and more; otherwise it is as if new. Throws std::bad_alloc.
Parsed parse_request(std::span<const std::byte> bytes, const Limits& limits,
                     Scratch& scratch, Progress& progress);

/// The whole answer to an error: "ERR Protocol error: expected '$', got 'f'".
std::string protocol_error(const Parsed& parsed);

}  // namespace protocol
