#include "protocol/writer.hpp"

#include <algorithm>
#include <cstring>

#include "protocol/decimal.hpp"
#include "protocol/value.hpp"

namespace protocol {
namespace {

char* write_text(char* at, std::string_view text) {
  if (!text.empty()) std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

char* write_unbroken(char* at, std::string_view text) {
  const auto breaks = [](char byte) { return byte == '\r' || byte == '\n'; };
  return std::replace_copy_if(text.begin(), text.end(), at, breaks, ' ');
}

}  // namespace

void Writer::simple(std::string_view text) { line('+', text); }

void Writer::error(std::string_view text) { line('-', text); }

void Writer::integer(std::int64_t number) { line(':', number); }

void Writer::bulk(std::string_view bytes) { block('$', {}, bytes); }

void Writer::verbatim(std::string_view text) {
  if (version_ == 3) {
    block('=', "txt:", text);
  } else {
    bulk(text);
  }
}

void Writer::null() { sink_.append(version_ == 3 ? "_\r\n" : "$-1\r\n"); }

void Writer::array(std::size_t pieces) {
  line('*', static_cast<std::int64_t>(pieces));
}

void Writer::map(std::size_t pairs) {
  if (version_ == 3) {
    line('%', static_cast<std::int64_t>(pairs));
  } else {
    array(2 * pairs);
  }
}

void Writer::set(std::size_t pieces) {
  line(version_ == 3 ? '~' : '*', static_cast<std::int64_t>(pieces));
}

void Writer::value(const Value& value) {
  const std::size_t size = value.elements.size();
  switch (value.type) {
    case Value::Type::array:
      array(size);
      break;
    case Value::Type::map:
      map(size / 2);
      break;
    case Value::Type::set:
      set(size);
      break;
    default:
      return scalar(value);
  }
  for (const Value& element : value.elements) this->value(element);
}

// A value that holds no others. What RESP2 has no type for becomes the type
// that Redis makes of it: a boolean an integer, other numbers a bulk.
void Writer::scalar(const Value& value) {
  const bool modern = version_ == 3;
  switch (value.type) {
    case Value::Type::simple:
      return simple(value.text);
    case Value::Type::error:
      return error(value.text);
    case Value::Type::integer:
      return integer(value.integer);
    case Value::Type::null:
      return null();
    case Value::Type::verbatim:
      return verbatim(value.text);
    case Value::Type::boolean:
      if (!modern) return integer(value.integer);
      return sink_.append(value.integer != 0 ? "#t\r\n" : "#f\r\n");
    case Value::Type::real:
      return modern ? line(',', value.text) : bulk(value.text);
    case Value::Type::big_number:
      return modern ? line('(', value.text) : bulk(value.text);
    default:
      return bulk(value.text);
  }
}

void Writer::raw(std::string_view bytes) { sink_.append(bytes); }

void Writer::line(char type, std::int64_t number) {
  const bool negative = number < 0;
  // Negated without a sign: the least number has no positive counterpart.
  const std::uint64_t size = negative ? -static_cast<std::uint64_t>(number)
                                      : static_cast<std::uint64_t>(number);
  const std::size_t count = digits(size);
  char* at = sink_.extend(3 + (negative ? 1 : 0) + count);
  *at++ = type;
  if (negative) *at++ = '-';
  write_break(write_decimal(at, size, count));
}

// A line break within the text would end the line for the peer, and what is
// behind it would be the next answer: texts quote what peers have said.
void Writer::line(char type, std::string_view text) {
  if (text.size() + 3 <= Sink::extend_max) {
    char* const at = sink_.extend(text.size() + 3);
    *at = type;
    write_break(write_unbroken(at + 1, text));
    return;
  }
  sink_.append({&type, 1});
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, Sink::extend_max);
    write_unbroken(sink_.extend(piece.size()), piece);
    text.remove_prefix(piece.size());
  }
  sink_.append("\r\n");
}

void Writer::block(char type, std::string_view prefix, std::string_view bytes) {
  const std::size_t size = prefix.size() + bytes.size();
  const std::size_t count = digits(size);
  const std::size_t head = 3 + count + prefix.size();
  // What is small is written in its place at once; what is large is copied
  // once, into blocks of its size.
  const bool small = head + bytes.size() + 2 <= Sink::extend_max;
  char* at = sink_.extend(small ? head + bytes.size() + 2 : head);
  *at++ = type;
  at = write_text(write_break(write_decimal(at, size, count)), prefix);
  if (small) {
    write_break(write_text(at, bytes));
  } else {
    sink_.append(bytes);
    sink_.append("\r\n");
  }
}

// A bulk with room for its bytes.
char* Writer::whole_bulk(std::size_t size) {
  const std::size_t count = digits(size);
  char* at = sink_.extend(3 + count + size + 2);
  *at++ = '$';
  at = write_break(write_decimal(at, size, count));
  write_break(at + size);
  return at;
}

}  // namespace protocol
