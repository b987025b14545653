#pragma once
// A reply as a client sees it: RESP2 and RESP3, every type.

#include <cstdint>
#include <string_view>
#include <vector>

namespace protocol {

struct Value {
  enum class Type {
    simple,
    error,
    integer,
    bulk,
    null,  // RESP2
    array,
    map,
    set,
    boolean,
    real,
    big_number,
    verbatim  // RESP3
  };
  Type type = Type::null;
  /// simple, error, bulk, verbatim (without its "txt:"), real, big_number: the
  /// bytes as they came, borrowed from whoever lent the value.
  std::string_view text;
  std::int64_t integer = 0;     // integer; boolean: 0 or 1
  std::vector<Value> elements;  // array, set; map: key, value, key, value ...
};

}  // namespace protocol
