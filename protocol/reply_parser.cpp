#include "protocol/reply_parser.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "protocol/decimal.hpp"

namespace protocol {
namespace {

using State = ReplyScanner::State;
using Type = Value::Type;

// One element without those that it holds.
struct Element {
  Type type = Type::null;
  std::string_view text;
  std::int64_t integer = 0;
  std::size_t elements = 0;  // that follow and belong to it
  std::size_t end = 0;       // behind it, without them
  std::string_view error;
};

// What a type's line says, and for bulks the bytes behind it, from element.end
// on; `bytes` may end before they do.
using Read = void(Element& element, std::string_view line,
                  std::string_view bytes);

constexpr std::string_view wrong_number = "not a number";
constexpr std::string_view wrong_length = "invalid length";

void read_text(Element& element, std::string_view line, std::string_view) {
  element.text = line;
}

void read_integer(Element& element, std::string_view line, std::string_view) {
  if (line.starts_with('+')) line.remove_prefix(1);
  const auto number = read_decimal(line);
  if (!number) element.error = wrong_number;
  element.integer = number.value_or(0);
}

void read_real(Element& element, std::string_view line, std::string_view) {
  double number = 0;
  const char* const begin = line.data();
  const char* const end = begin + line.size();
  // Out of a double's range is still a number, and kept as it came.
  const bool whole = std::from_chars(begin, end, number).ptr == end;
  if (line.empty() || !whole) element.error = wrong_number;
  element.text = line;
}

void read_big_number(Element& element, std::string_view line,
                     std::string_view) {
  element.text = line;
  if (line.starts_with('-') || line.starts_with('+')) line.remove_prefix(1);
  if (line.empty() || line.find_first_not_of("0123456789") != line.npos) {
    element.error = wrong_number;
  }
}

void read_boolean(Element& element, std::string_view line, std::string_view) {
  element.integer = line == "t";
  if (line != "t" && line != "f") element.error = "neither true nor false";
}

void read_null(Element& element, std::string_view line, std::string_view) {
  if (!line.empty()) element.error = "a null that says something";
}

// The length of a bulk, the size of a container. -1 is how RESP2 writes null.
std::size_t read_size(Element& element, std::string_view line, bool nullable) {
  const auto size = read_decimal(line);
  if (size == -1 && nullable) {
    element.type = Type::null;
  } else if (!size || *size < 0) {
    element.error = wrong_length;
  } else {
    return static_cast<std::size_t>(*size);
  }
  return 0;
}

void read_bulk(Element& element, std::string_view line,
               std::string_view bytes) {
  const std::size_t size = read_size(element, line, element.type == Type::bulk);
  if (element.type == Type::null || !element.error.empty()) return;
  const std::size_t begin = element.end;
  element.end = begin + size + 2;
  if (element.end > bytes.size()) return;
  if (bytes.substr(begin + size, 2) != "\r\n") {
    element.error = "a bulk that does not end where it should";
  }
  element.text = bytes.substr(begin, size);
}

void read_verbatim(Element& element, std::string_view line,
                   std::string_view bytes) {
  read_bulk(element, line, bytes);
  if (!element.error.empty() || element.end > bytes.size()) return;
  if (element.text.size() < 4 || element.text[3] != ':') {
    element.error = "a verbatim string without its kind";
    return;
  }
  element.text.remove_prefix(4);
}

void read_container(Element& element, std::string_view line, std::string_view) {
  element.elements = read_size(element, line, element.type == Type::array);
  if (element.type == Type::map) element.elements *= 2;
}

struct Kind {
  char letter;
  Type type;
  Read* read;
};
// The frequent ones first. Pushes and attributes are not among them: nobody has
// asked for one.
constexpr std::array<Kind, 13> kinds = {
    {{'$', Type::bulk, read_bulk},
     {'+', Type::simple, read_text},
     {':', Type::integer, read_integer},
     {'*', Type::array, read_container},
     {'-', Type::error, read_text},
     {'_', Type::null, read_null},
     {'%', Type::map, read_container},
     {'~', Type::set, read_container},
     {'#', Type::boolean, read_boolean},
     {',', Type::real, read_real},
     {'(', Type::big_number, read_big_number},
     {'!', Type::error, read_bulk},
     {'=', Type::verbatim, read_verbatim}}};

// A bulk as most of them are: whole, and short enough for a few digits.
struct ShortBulk {
  std::size_t begin = 0, size = 0;
  std::size_t end() const { return begin + size + 2; }
};

// The one at the front of `bytes`; its `begin` is 0 for whatever else is there,
// and for what is wrong: read_element finds out what. A load reads a million of
// these a second, twice each; to find and read "$2\r\nhi\r\n" costs it 183
// instructions, and 485 without this (by callgrind).
ShortBulk find_short_bulk(std::string_view bytes) {
  constexpr std::size_t digits_max = 6;
  if (bytes.size() < 6 || bytes[0] != '$' || bytes[1] == '0') return {};
  ShortBulk bulk;
  std::size_t at = 1;
  for (; at <= digits_max + 1 && at < bytes.size(); ++at) {
    const auto digit = static_cast<unsigned char>(bytes[at] - '0');
    if (digit > 9) break;
    bulk.size = bulk.size * 10 + digit;
  }
  const std::size_t end = at + 2 + bulk.size;
  if (at == 1 || at > digits_max + 1 || end + 2 > bytes.size()) return {};
  if (bytes[at] != '\r' || bytes[at + 1] != '\n') return {};
  if (bytes[end] != '\r' || bytes[end + 1] != '\n') return {};
  bulk.begin = at + 2;
  return bulk;
}

// The element at `at`, whose line ends before `line_end` (its '\n').
Element read_element(std::string_view bytes, std::size_t at,
                     std::size_t line_end) {
  Element element;
  element.end = line_end + 1;
  const std::string_view line = bytes.substr(at, line_end - at);
  if (line.size() < 2 || line.find('\r') != line.size() - 1) {
    element.error = "a line that does not end as a line does";
    return element;
  }
  const auto* const kind =
      std::ranges::find(kinds, line.front(), &Kind::letter);
  if (kind == kinds.end()) {
    element.error = "an unexpected type of reply";
    return element;
  }
  element.type = kind->type;
  kind->read(element, line.substr(1, line.size() - 2), bytes);
  return element;
}

}  // namespace

ReplyScanner::State ReplyScanner::fail(std::string_view why) {
  error_ = why;
  return State::error;
}

ReplyScanner::State ReplyScanner::scan(std::string_view bytes) {
  if (at_ != 0 && depth_ == 0) reset();
  while (true) {
    const ShortBulk bulk = find_short_bulk(bytes.substr(at_));
    if (bulk.begin != 0 && at_ + bulk.end() <= reply_max_) {
      at_ = searched_ = at_ + bulk.end();
      if (close()) return State::whole;
      continue;
    }
    const std::size_t line_end = bytes.find('\n', searched_);
    if (line_end == bytes.npos) {
      searched_ = bytes.size();
      if (bytes.size() > reply_max_) return fail("too large a reply");
      return State::incomplete;
    }
    const Element element = read_element(bytes, at_, line_end);
    if (!element.error.empty()) return fail(element.error);
    if (element.end > reply_max_) return fail("too large a reply");
    if (element.end > bytes.size()) return State::incomplete;
    at_ = searched_ = element.end;
    if (element.elements != 0) {
      if (open(element.elements) == State::error) return State::error;
    } else if (close()) {
      return State::whole;
    }
  }
}

// Elements are to follow.
ReplyScanner::State ReplyScanner::open(std::size_t elements) {
  if (depth_ == depth_max) return fail("too deep a reply");
  if (elements > elements_max - elements_) return fail("too many elements");
  elements_ += elements;
  open_[depth_++] = static_cast<std::uint32_t>(elements);
  return State::incomplete;
}

// An element is complete, and with it perhaps those that hold it; true if the
// whole reply is.
bool ReplyScanner::close() {
  while (depth_ != 0 && --open_[depth_ - 1] == 0) --depth_;
  return depth_ == 0;
}

std::size_t read_reply(std::string_view bytes, Value& value) {
  if (const ShortBulk bulk = find_short_bulk(bytes); bulk.begin != 0) {
    value.type = Type::bulk;
    value.text = bytes.substr(bulk.begin, bulk.size);
    value.integer = 0;
    value.elements.clear();
    return bulk.end();
  }
  const Element element = read_element(bytes, 0, bytes.find('\n'));
  value.type = element.type;
  value.text = element.text;
  value.integer = element.integer;
  value.elements.resize(element.elements);
  std::size_t size = element.end;
  for (Value& part : value.elements) {
    size += read_reply(bytes.substr(size), part);
  }
  return size;
}

}  // namespace protocol
