#pragma once
// What the service does, shown to somebody who sees it for the first time.

#include <string>

#include "program/caller.hpp"

namespace program {

/// Echoes, and counts the system calls that the server at `address` takes for
/// it and how often its threads sleep; then stores and looks keys up by way of
/// this node. Tells all this on the standard output, in 80 columns. Every
/// answer is checked: true if all were right. Throws NoAnswer.
bool demonstrate(Caller& caller, const std::string& address);

}  // namespace program
