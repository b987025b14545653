#pragma once
// Words as Redis compares them, and the words that several commands answer.

#include <cstddef>
#include <string>
#include <string_view>

namespace node {

inline constexpr std::string_view version = "1.0.0";
/// Whose words, types of answers and fields of INFO are ours: clients and
/// exporters look at it before they ask for more.
inline constexpr std::string_view redis_version = "7.0.15";

/// So long a name or a version may be that a client gives itself.
inline constexpr std::size_t client_name_max = 128;
/// So many names one request may ask for: of sections, settings or commands.
inline constexpr std::size_t names_max = 128;
/// So long may all patterns of one request be together.
inline constexpr std::size_t patterns_max = 1024;

inline constexpr std::string_view syntax_error = "ERR syntax error";
inline constexpr std::string_view not_an_integer =
    "ERR value is not an integer or out of range";
inline constexpr std::string_view too_many_names =
    "ERR at most 128 names can be asked for at once";
inline constexpr std::string_view not_served =
    "CLUSTERDOWN Hash slot not served";
inline constexpr std::string_view nobody_to_ask =
    "ERR this server cannot ask other nodes, it can only redirect to them";

/// A letter of ASCII in lower case; any other byte as it is.
constexpr char lower(char letter) {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter | 0x20)
                                        : letter;
}

/// As Redis prints what a peer has said: at most so many bytes, and none behind
/// a zero.
inline std::string_view shortened(std::string_view text,
                                  std::size_t most = 128) {
  text = text.substr(0, most);
  return text.substr(0, text.find('\0'));
}

/// In capitals, as Redis prints names.
std::string upper(std::string_view text);

/// Equal but for the case of letters?
constexpr bool same_word(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

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
