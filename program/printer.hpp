#pragma once
// Replies as redis-cli 7.0 prints them.

#include <string>
#include <string_view>

#include "program/caller.hpp"
#include "protocol/value.hpp"

namespace program {

/// For people: quoted, numbered, with types; ends with a line's end.
std::string print_formatted(const protocol::Value& value);
/// For other programs: the bytes as they are, an element a line; ends with a
/// line's end, after an error with an empty line.
std::string print_raw(const protocol::Value& value);
/// INFO and its like answer with a text for people already: as it is, on a
/// terminal too.
bool answers_with_text(const Command& command);

}  // namespace program
