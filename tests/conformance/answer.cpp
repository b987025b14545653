#include "tests/conformance/answer.hpp"

#include <algorithm>
#include <cstdio>
#include <ostream>

namespace conformance {

namespace {

std::string escaped(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    char code[8];
    if (byte == '\r' || byte == '\n') {
      text += byte == '\r' ? "\\r" : "\\n";
      continue;
    }
    const bool plain = byte >= ' ' && byte <= '~' && byte != '\\';
    std::snprintf(code, sizeof code, plain ? "%c" : "\\x%02x",
                  static_cast<unsigned char>(byte));
    text += code;
  }
  return text;
}

std::string quoted(std::string_view bytes, std::size_t size) {
  return '"' + escaped(bytes) + (size > bytes.size() ? "\"..." : "\"");
}

/// What is shown of long bytes: some around the place that matters.
struct Window {
  std::size_t begin, place;
  static constexpr std::size_t before = 24, after = 48;

  explicit Window(std::size_t at)
      : begin(at > before ? at - before : 0), place(at) {}

  std::string show(std::string_view bytes) const {
    const std::size_t from = std::min(begin, bytes.size());
    const auto part = bytes.substr(from, place - from + after);
    return (from ? "..." : "") + quoted(part, bytes.size() - from) + "  (" +
           std::to_string(bytes.size()) + " bytes)";
  }
  /// The column below which a mark points at the place.
  std::size_t column(std::string_view bytes) const {
    return (begin ? 4 : 1) + escaped(bytes.substr(begin, place - begin)).size();
  }
};

std::string sent_line(const Excerpt& asked) {
  if (asked.size == 0) return "  sent      nothing\n";
  return "  sent      " + quoted(asked.beginning, asked.size) + "  (" +
         std::to_string(asked.size) + " bytes)\n";
}

}  // namespace

std::string printable(std::string_view bytes) {
  constexpr std::size_t shown = 300;
  return std::to_string(bytes.size()) + " bytes " +
         quoted(bytes.substr(0, shown), bytes.size());
}

void Excerpt::add(std::string_view bytes) {
  constexpr std::size_t kept = 120;
  size += bytes.size();
  beginning += bytes.substr(0, kept - std::min(kept, beginning.size()));
}

void PrintTo(const Answer& answer, std::ostream* out) {
  *out << printable(answer);
  if (answer.asked.size)
    *out << " to " << quoted(answer.asked.beginning, answer.asked.size);
}

testing::AssertionResult same(const char* expression, const Answer& came,
                              std::string_view expected) {
  if (came == expected) return testing::AssertionSuccess();
  const auto place = static_cast<std::size_t>(
      std::mismatch(came.begin(), came.end(), expected.begin(), expected.end())
          .first -
      came.begin());
  const Window window(place);
  return testing::AssertionFailure()
         << expression << '\n'
         << sent_line(came.asked) << "  came      " << window.show(came) << '\n'
         << std::string(12 + window.column(came), ' ') << "^ "
         << (place == came.size() ? "ends at byte " : "differs at byte ")
         << place << '\n'
         << "  expected  " << window.show(expected);
}

}  // namespace conformance
