#include "node/text.hpp"

#include <utility>

namespace node {

namespace {

// Takes one byte's worth off the pattern and says whether the byte fits.
bool matches_set(std::string_view& pattern, char byte) {
  const bool inverted = pattern.starts_with('^');
  if (inverted) pattern.remove_prefix(1);
  bool found = false;
  while (!pattern.empty() && pattern.front() != ']') {
    if (pattern.front() == '\\' && pattern.size() > 1) pattern.remove_prefix(1);
    char from = lower(pattern.front()), to = from;
    if (pattern.size() > 2 && pattern[1] == '-') {
      to = lower(pattern[2]);
      if (to < from) std::swap(from, to);
      pattern.remove_prefix(2);
    }
    pattern.remove_prefix(1);
    found = found || (from <= byte && byte <= to);
  }
  if (!pattern.empty()) pattern.remove_prefix(1);
  return found != inverted;
}

bool matches_one(std::string_view& pattern, char byte) {
  const char first = pattern.front();
  pattern.remove_prefix(1);
  if (first == '?') return true;
  if (first == '[') return matches_set(pattern, lower(byte));
  if (first != '\\' || pattern.empty()) return lower(first) == lower(byte);
  const char escaped = pattern.front();
  pattern.remove_prefix(1);
  return lower(escaped) == lower(byte);
}

}  // namespace

bool matches(std::string_view pattern, std::string_view text,
             std::size_t& steps) {
  bool starred = false;
  std::string_view behind_star, retried;  // where to go on when all else fails
  while (!text.empty()) {
    if (pattern.starts_with('*')) {
      pattern.remove_prefix(1);
      ++steps;
      starred = true;
      behind_star = pattern;
      retried = text;
      continue;
    }
    const std::size_t left = pattern.size();
    const bool fits = left != 0 && matches_one(pattern, text.front());
    steps += left - pattern.size();
    if (fits) {
      text.remove_prefix(1);
      continue;
    }
    if (!starred) return false;
    retried.remove_prefix(1);
    pattern = behind_star;
    text = retried;
  }
  for (; pattern.starts_with('*'); ++steps) pattern.remove_prefix(1);
  return pattern.empty();
}

Endpoint split(std::string_view address) {
  const auto colon = address.rfind(':');
  if (address.starts_with('/') || colon == address.npos) return {address, "0"};
  auto host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  return {host, address.substr(colon + 1)};
}

}  // namespace node
