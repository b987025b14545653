#pragma once
// Words as Redis compares them, and the words that several commands answer.

#include <cstddef>
#include <string>
#include <string_view>

#include "protocol/words.hpp"

namespace node {

inline constexpr std::string_view version = "1.0.0";
/// Whose words, types of answers and fields of INFO are ours: clients and
/// exporters look at it before they ask for more.
inline constexpr std::string_view redis_version = "7.0.15";

/// So long a name or a version may be that a client gives itself.
inline constexpr std::size_t client_name_max = 128;
/// So many names one request may ask for: of sections, settings or commands.
inline constexpr std::size_t names_max = 128;
/// So many keys one request may have: one of 170 000 held up all others for
/// half a second.
inline constexpr std::size_t keys_max = 10'000;
/// So long may all patterns of one request be together.
inline constexpr std::size_t patterns_max = 1024;

inline constexpr std::string_view syntax_error = "ERR syntax error";
inline constexpr std::string_view not_an_integer =
    "ERR value is not an integer or out of range";
inline constexpr std::string_view too_many_names =
    "ERR at most 128 names can be asked for at once";
inline constexpr std::string_view too_many_keys =
    "ERR at most 10000 keys can be asked for at once";
inline constexpr std::string_view not_served =
    "CLUSTERDOWN Hash slot not served";
inline constexpr std::string_view nobody_to_ask =
    "ERR this server cannot ask other nodes, it can only redirect to them";

using protocol::lower, protocol::same_word, protocol::shortened,
    protocol::upper;

/// Does the text match the pattern, but for the case of letters? `*` is any
/// bytes, `?` one byte, `[a-c]` one of these, `[^a]` another one, `\x` an x.
/// Adds to `steps` how many bytes of the pattern it has looked at: at most all
/// of them once for each byte of the text and once more, since only the last
/// `*` is ever retried.
bool matches(std::string_view pattern, std::string_view text,
             std::size_t& steps);

/// "127.0.0.1:7000" in two. An IPv6 address loses its brackets, since clients
/// take what stands before the last colon; a path has the port 0.
struct Endpoint {
  std::string_view host;
  std::string_view port;
};
Endpoint split(std::string_view address);

}  // namespace node
