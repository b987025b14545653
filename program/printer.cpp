#include "program/printer.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "protocol/words.hpp"

namespace program {
namespace {

using protocol::same_word;
using protocol::Value;
using Type = Value::Type;

void quote(std::string& out, char c) {
  static constexpr std::string_view special = "\\\"\n\r\t\a\b";
  static constexpr std::string_view letters = "\\\"nrtab";
  static constexpr std::string_view digits = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  if (const auto at = special.find(c); at != special.npos)
    (out += '\\') += letters[at];
  else if (c >= ' ' && c <= '~')
    out += c;
  else
    ((out += "\\x") += digits[byte >> 4]) += digits[byte & 15];
}

std::string quoted(std::string_view bytes) {
  std::string out = "\"";
  for (const char c : bytes) quote(out, c);
  return out + '"';
}

std::string number(const Value& value) { return std::to_string(value.integer); }

std::string word(const Value& value) {
  return value.integer ? "(true)" : "(false)";
}

const char* empty(Type type) {
  return type == Type::map   ? "(empty hash)"
         : type == Type::set ? "(empty set)"
                             : "(empty array)";
}

std::string formatted(const Value& value, const std::string& indent);

/// What a key stands for: on the key's line, if that is enough for it.
std::string mapped(const Value& value, const std::string& indent) {
  const std::string text = formatted(value, indent);
  const bool lines = !value.elements.empty() && text.find('\n') != text.npos;
  return lines ? " => \n" + indent + text : " => " + text;
}

/// "1) " before an array's elements, "1~ " in a set, "1# " in a map; behind the
/// first line each begins with `indent`.
std::string elements(const Value& value, const std::string& indent) {
  if (value.elements.empty()) return empty(value.type);
  const std::size_t step = value.type == Type::map ? 2 : 1;
  const char mark = step == 2 ? '#' : value.type == Type::set ? '~' : ')';
  const auto width = std::to_string(value.elements.size() / step).size();
  const std::string deeper = indent + std::string(width + 2, ' ');
  std::string out;
  for (std::size_t i = 0; i + step <= value.elements.size(); i += step) {
    const std::string index = std::to_string(i / step + 1);
    if (i > 0) out += '\n' + indent;
    out += std::string(width - index.size(), ' ') + index + mark + ' ' +
           formatted(value.elements[i], deeper);
    if (step == 2) out += mapped(value.elements[i + 1], deeper);
  }
  return out;
}

std::string formatted(const Value& value, const std::string& indent) {
  switch (value.type) {
    case Type::error:
      return "(error) " + std::string(value.text);
    case Type::integer:
      return "(integer) " + number(value);
    case Type::real:
      return "(double) " + std::string(value.text);
    case Type::bulk:
      return quoted(value.text);
    case Type::null:
      return "(nil)";
    case Type::boolean:
      return word(value);
    case Type::array:
    case Type::map:
    case Type::set:
      return elements(value, indent);
    default:
      return std::string(value.text);
  }
}

std::string raw(const Value& value) {
  if (value.type == Type::integer) return number(value);
  if (value.type == Type::boolean) return word(value);
  if (value.type == Type::error) return std::string(value.text) + '\n';
  std::string out(value.text);
  for (std::size_t i = 0; i < value.elements.size(); ++i) {
    // In a map a value follows its key on the line.
    const bool line = value.type != Type::map || i % 2 == 0;
    if (i > 0) out += line ? '\n' : ' ';
    out += raw(value.elements[i]);
  }
  return out;
}

}  // namespace

std::string print_formatted(const Value& value) {
  return formatted(value, "") + '\n';
}

std::string print_raw(const Value& value) { return raw(value) + '\n'; }

bool answers_with_text(const Command& command) {
  if (command.empty()) return false;
  if (same_word(command[0], "info")) return true;
  return command.size() == 2 && same_word(command[0], "cluster") &&
         (same_word(command[1], "nodes") || same_word(command[1], "info"));
}

}  // namespace program
