#pragma once
// What the service does, shown to somebody who sees it for the first time.

#include <string>

#include "program/caller.hpp"

namespace program {

/// Echoes, stores and looks keys up by way of the node at `address`, counts the
/// system calls that its server takes for a request, and tells all this on the
/// standard output. Every answer is checked: true if all were right. Throws
/// NoAnswer.
bool demonstrate(Caller& caller, const std::string& address);

}  // namespace program
