#pragma once
// Words of a peer, as Redis compares and prints them.

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace protocol {

/// Every byte, letters of ASCII in lower case.
inline constexpr auto lower_of = [] {
  std::array<char, 256> result{};
  for (std::size_t byte = 0; byte < result.size(); ++byte)
    result[byte] = static_cast<char>(byte);
  for (char letter = 'a'; letter <= 'z'; ++letter)
    result[static_cast<unsigned char>(letter - 'a' + 'A')] = letter;
  return result;
}();

/// A letter of ASCII in lower case; any other byte as it is. By a table, since
/// the name of every command is read by it.
constexpr char lower(char letter) {
  return lower_of[static_cast<unsigned char>(letter)];
}

/// In capitals, as Redis prints names.
inline std::string upper(std::string_view text) {
  std::string result(text);  // GCOVR_EXCL_BR_LINE: bad_alloc
  for (char& letter : result)
    if (letter >= 'a' && letter <= 'z')
      letter = static_cast<char>(letter - 'a' + 'A');
  return result;
}

/// Equal but for the case of letters?
constexpr bool same_word(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (lower(a[i]) != lower(b[i])) return false;
  return true;
}

/// As Redis prints what a peer has said: at most so many bytes, and none behind
/// a zero.
inline std::string_view shortened(std::string_view text,
                                  std::size_t most = 128) {
  text = text.substr(0, most);
  return text.substr(0, text.find('\0'));
}

}  // namespace protocol
