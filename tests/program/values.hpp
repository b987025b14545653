#pragma once
// Values for tests, as short as they can be written.

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/value.hpp"

namespace values {

using protocol::Value;
using Type = Value::Type;

inline Value text(Type type, std::string_view bytes) {
  return {type, bytes, 0, {}};
}
inline Value simple(std::string_view bytes) {
  return text(Type::simple, bytes);
}
inline Value error(std::string_view bytes) { return text(Type::error, bytes); }
inline Value bulk(std::string_view bytes) { return text(Type::bulk, bytes); }
inline Value integer(std::int64_t number) {
  return {Type::integer, {}, number, {}};
}
inline Value boolean(bool value) { return {Type::boolean, {}, value, {}}; }
inline Value null() { return {}; }
inline Value array(std::vector<Value> elements) {
  return {Type::array, {}, 0, std::move(elements)};
}
inline Value map(std::vector<Value> elements) {
  return {Type::map, {}, 0, std::move(elements)};
}
inline Value set(std::vector<Value> elements) {
  return {Type::set, {}, 0, std::move(elements)};
}

}  // namespace values
