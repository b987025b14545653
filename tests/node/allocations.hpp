#pragma once

#include <cstdint>

namespace node {

/// How often operator new was called in this process.
std::uint64_t allocations();

}  // namespace node
