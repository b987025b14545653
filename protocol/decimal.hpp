#pragma once
// Counts and lengths as RESP writes them: decimal, without a locale, without a
// stream, without memory of their own; and the end of their lines.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace protocol {

/// How many digits the number takes.
constexpr std::size_t digits(std::uint64_t number) {
  std::size_t count = 1;
  for (; number >= 10; number /= 10) ++count;
  return count;
}

/// Writes the number in exactly digits(number) bytes, `count`, and returns what
/// is behind them.
constexpr char* write_decimal(char* at, std::uint64_t number,
                              std::size_t count) {
  char* const end = at + count;
  at = end;
  do *--at = static_cast<char>('0' + number % 10);
  while ((number /= 10) != 0);
  return end;
}
constexpr char* write_decimal(char* at, std::uint64_t number) {
  // Most are small, and a load writes three for each request.
  if (number < 10) {
    *at = static_cast<char>('0' + number);
    return at + 1;
  }
  return write_decimal(at, number, digits(number));
}

/// The end of a line, and of a bulk's bytes.
constexpr char* write_break(char* at) {
  *at++ = '\r';
  *at++ = '\n';
  return at;
}

/// The whole text as a number, or nothing: no blank, no '+', no leading zero,
/// no "-0", no overflow. As strict as Redis (string2ll in its util.c).
constexpr std::optional<std::int64_t> read_decimal(std::string_view text) {
  const bool negative = !text.empty() && text.front() == '-';
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > 19) return std::nullopt;
  if (text.front() == '0' && (negative || text.size() > 1)) return std::nullopt;
  std::uint64_t number = 0;  // 19 digits are below 2^64
  for (const char digit : text) {
    if (digit < '0' || digit > '9') return std::nullopt;
    number = number * 10 + static_cast<std::uint64_t>(digit - '0');
  }
  const std::uint64_t most = (std::uint64_t{1} << 63) - (negative ? 0 : 1);
  if (number > most) return std::nullopt;
  return static_cast<std::int64_t>(negative ? -number : number);
}

}  // namespace protocol
