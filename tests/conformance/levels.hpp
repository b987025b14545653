#pragma once
// How much of the contract is asked for: each test belongs to a level, and a
// program is held to one level and all below it.

#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace conformance {

enum class Level { echo, store, limits, ring };

inline constexpr std::array level_names{"echo", "store", "limits", "ring"};
std::string word_of(Level level);
std::optional<Level> level_named(std::string_view name);

/// What a test belongs to, and what it holds a program to: a sentence, and
/// where docs/contract.md says more.
struct Demand {
  std::string_view tests;  // "Suite", or "Suite.Test", which goes before
  Level level;
  std::string_view heading, rule;
};

/// By the names of GoogleTest: "Servers/Framing", "OneByteAtATime/mine". No
/// demand if the table has none.
const Demand* demand_on(std::string_view suite, std::string_view test);

}  // namespace conformance
