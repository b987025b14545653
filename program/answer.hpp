#pragma once
// A reply that stays, where a session only lends one.

#include <deque>
#include <string>
#include <string_view>

#include "protocol/value.hpp"

namespace program {

/// Owns the texts of its value. Move-only.
class Answer {
 public:
  explicit Answer(const protocol::Value& lent);
  Answer(Answer&&) = default;
  Answer& operator=(Answer&&) = default;

  const protocol::Value& value() const { return value_; }
  bool is_error() const { return value_.type == protocol::Value::Type::error; }
  /// simple, error, bulk ...: what it says; nothing for all else.
  std::string_view text() const { return value_.text; }

 private:
  protocol::Value value_;
  std::deque<std::string> texts_;  // stay where they are when it is moved
};

}  // namespace program
