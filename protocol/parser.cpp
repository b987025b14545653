#include "protocol/parser.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "protocol/decimal.hpp"

namespace protocol {
namespace {

using Kind = Parsed::Kind;

constexpr std::string_view inline_long = "too big inline request";
constexpr std::string_view frame_long = "too big request";

Parsed incomplete(std::size_t needed) { return {.needed = needed}; }

Parsed failed(std::string_view error) {
  return {.kind = Kind::error, .error = error};
}

Parsed taken(bool request, std::size_t consumed) {
  return {.kind = request ? Kind::request : Kind::nothing,
          .consumed = consumed};
}

// A line's text, from its type byte to its '\r', and what is behind it. As in
// Redis the byte after '\r' ends the line whatever it is, and so do the two
// bytes after a bulk: what one of the two accepts, the other does.
struct Line {
  enum class State { whole, incomplete, too_long };
  State state = State::incomplete;
  std::string_view text;
  std::size_t next = 0;
};

Line find_line(std::string_view bytes, std::size_t at, std::size_t line_max) {
  const std::string_view rest = bytes.substr(at, line_max + 1);
  const std::size_t size = rest.find('\r');
  if (size == rest.npos) {
    // Only a window of the limit's size is looked at, so that the verdict does
    // not depend on how much has come by now.
    if (rest.size() > line_max) return {Line::State::too_long, {}, 0};
    return {};
  }
  if (at + size + 1 == bytes.size()) return {};
  return {Line::State::whole, rest.substr(0, size), at + size + 2};
}

// The line at `at` if it is nothing but its type byte, one or two digits and
// its end, as most lines of honest peers are. For everything else, errors
// included, nothing is moved, and read_line looks anew. Inlined: there are as
// many of these lines as arguments. Without this an ECHO costs 1864
// instructions instead of 1500 (bench/instructions).
[[gnu::always_inline]] inline bool read_short(std::string_view bytes,
                                              std::size_t& at,
                                              std::size_t& count) {
  constexpr std::size_t size_max = 5;
  if (bytes.size() - at < size_max) return false;
  const char* const line = bytes.data() + at;
  const auto digit = [line](std::size_t place) {
    return static_cast<std::size_t>(static_cast<unsigned char>(line[place])) -
           '0';
  };
  if (digit(1) > 9) return false;
  if (line[2] == '\r') {
    count = digit(1);
    at += 4;
    return true;
  }
  if (digit(1) == 0 || digit(2) > 9 || line[3] != '\r') return false;
  count = 10 * digit(1) + digit(2);
  at += size_max;
  return true;
}

// What a line with a number may say, and the words if it does not.
struct Expected {
  char type;
  std::int64_t least;
  std::string_view too_long;
  std::string_view invalid;
};
constexpr Expected array_size{'*', std::numeric_limits<std::int64_t>::min(),
                              "too big mbulk count string",
                              "invalid multibulk length"};
constexpr Expected bulk_size{'$', 0, "too big bulk count string",
                             "invalid bulk length"};

// The line at `at`, whatever it says: moves `at` behind it and sets `count` (0
// for a negative number that is allowed), or says what stands in the way.
std::optional<Parsed> read_line(std::string_view bytes, std::size_t& at,
                                const Expected& expected, std::size_t line_max,
                                std::size_t& count) {
  const Line line = find_line(bytes, at, line_max);
  if (line.state == Line::State::too_long) return failed(expected.too_long);
  if (line.state == Line::State::incomplete) {
    return incomplete(bytes.size() + 1);
  }
  if (bytes[at] != expected.type) {
    Parsed parsed = failed("expected '$'");
    parsed.got = bytes[at];
    return parsed;
  }
  const auto number = read_decimal(line.text.substr(1));
  if (!number || *number < expected.least) return failed(expected.invalid);
  count = static_cast<std::size_t>(std::max<std::int64_t>(*number, 0));
  at = line.next;
  return std::nullopt;
}

// The bulk at `at`: moves `at` behind it, or says what stands in the way.
// Inlined like the above.
[[gnu::always_inline]] inline std::optional<Parsed> read_bulk(
    std::string_view bytes, std::size_t& at, const Limits& limits,
    std::string_view& argument) {
  std::size_t size = 0;
  const bool bulk = at < bytes.size() && bytes[at] == '$';
  if (!bulk || !read_short(bytes, at, size)) {
    const auto obstacle =
        read_line(bytes, at, bulk_size, limits.inline_max, size);
    if (obstacle) return obstacle;
  }
  if (size > limits.bulk_max) return failed(bulk_size.invalid);
  const std::size_t end = at + size + 2;
  if (end > limits.frame_max) return failed(frame_long);
  // The next look is worth its while when the bulk has come, not before: a
  // megabyte that comes byte by byte is looked at once.
  if (end > bytes.size()) return incomplete(end);
  argument = bytes.substr(at, size);
  at = end;
  return std::nullopt;
}

// What has been looked at is not looked at again until the frame is whole: who
// sends a million arguments byte by byte costs little more than who does not.
Parsed parse_array(std::string_view bytes, const Limits& limits,
                   Scratch& scratch, Progress& progress) {
  const bool collects = progress.at == 0;
  std::size_t at = progress.at;
  std::size_t left = progress.left;
  if (collects && !read_short(bytes, at, left)) {
    const auto obstacle =
        read_line(bytes, at, array_size, limits.inline_max, left);
    if (obstacle) return *obstacle;
  }
  if (left > limits.arguments_max) return failed(array_size.invalid);
  const bool request = left != 0;
  for (; left != 0; --left) {
    const std::size_t begin = at;
    std::string_view argument;
    const auto obstacle = read_bulk(bytes, at, limits, argument);
    if (obstacle) {
      progress = {static_cast<std::uint32_t>(begin),
                  static_cast<std::uint32_t>(left)};
      return *obstacle;
    }
    if (collects) scratch.add(argument);
  }
  if (collects) return taken(request, at);
  progress = {};
  return parse_array(bytes, limits, scratch, progress);
}

bool is_blank(char byte) {
  return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

// What a backslash in double quotes stands for; `rest` begins behind it and
// is not empty.
char read_escape(std::string_view& rest) {
  const char letter = rest.front();
  if (letter == 'x' && rest.size() >= 3) {
    unsigned byte = 0;
    const char* const end = rest.data() + 3;
    if (std::from_chars(rest.data() + 1, end, byte, 16).ptr == end) {
      rest.remove_prefix(3);
      return static_cast<char>(byte);
    }
  }
  rest.remove_prefix(1);
  constexpr std::string_view letters = "nrtba";
  const std::size_t which = letters.find(letter);
  return which == letters.npos ? letter : "\n\r\t\b\a"[which];
}

// The rest of a word behind its opening quote, written to `word`; false if the
// quote is not closed, or not where the word ends.
bool read_quoted(std::string_view& rest, char quote, char*& word) {
  while (!rest.empty()) {
    const char byte = rest.front();
    rest.remove_prefix(1);
    if (byte == quote) return rest.empty() || is_blank(rest.front());
    const bool escapes = byte == '\\' && !rest.empty();
    if (escapes && quote == '"') {
      *word++ = read_escape(rest);
    } else if (escapes && rest.front() == '\'') {
      *word++ = '\'';
      rest.remove_prefix(1);
    } else {
      *word++ = byte;
    }
  }
  return false;
}

// Splits a line into words, as redis-cli's user types them (sdssplitargs in
// Redis's sds.c), or says what is wrong with it. A word without quotes lies in
// the line; the others are written, their quotes resolved, where there is room
// for the whole line: none becomes longer by that.
std::string_view split(std::string_view line, const Limits& limits,
                       Scratch& scratch) {
  constexpr std::string_view ends =
      " \n\r\t\"'";  // \v and \f are not among them
  const std::size_t line_size = line.size();
  char* resolved = nullptr;
  while (true) {
    while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
    if (line.empty()) return {};
    if (scratch.arguments().size() == limits.arguments_max) return inline_long;
    const std::size_t size = std::min(line.find_first_of(ends), line.size());
    std::string_view word = line.substr(0, size);
    line.remove_prefix(size);
    if (!line.empty() && !is_blank(line.front())) {
      if (!resolved) resolved = scratch.text(line_size);
      char* const begin = resolved;
      resolved = std::ranges::copy(word, resolved).out;
      const char quote = line.front();
      line.remove_prefix(1);
      if (!read_quoted(line, quote, resolved))
        return "unbalanced quotes in request";
      word = {begin, resolved};
    }
    scratch.add(word);
  }
}

Parsed parse_inline(std::string_view bytes, const Limits& limits,
                    Scratch& scratch) {
  const std::string_view window = bytes.substr(0, limits.inline_max + 1);
  const std::size_t size = window.find('\n');
  if (size == window.npos) {
    if (window.size() > limits.inline_max) return failed(inline_long);
    return incomplete(bytes.size() + 1);
  }
  if (size + 1 > limits.frame_max) return failed(frame_long);
  std::string_view line = window.substr(0, size);
  if (line.ends_with('\r')) line.remove_suffix(1);
  const std::string_view error = split(line, limits, scratch);
  if (!error.empty()) return failed(error);
  return taken(!scratch.arguments().empty(), size + 1);
}

}  // namespace

Parsed parse_request(std::span<const std::byte> bytes, const Limits& limits,
                     Scratch& scratch, Progress& progress) {
  scratch.clear();
  if (bytes.empty()) return incomplete(1);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              bytes.size());
  if (text.front() == '*') return parse_array(text, limits, scratch, progress);
  return parse_inline(text, limits, scratch);
}

std::string protocol_error(const Parsed& parsed) {
  std::string text = "ERR Protocol error: ";
  text += parsed.error;
  if (parsed.got) {
    text += ", got '";
    text += *parsed.got;
    text += '\'';
  }
  return text;
}

}  // namespace protocol
