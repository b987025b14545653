#pragma once
// Counts what is asked of operator new, so that "allocates nothing" can be
// asserted. The operators stand in a file of their own: inlined into a test,
// g++ 12 takes malloc and free for a mismatch.

#include <cstdint>

/// How often this thread has allocated.
std::uint64_t allocations();
