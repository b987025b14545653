#pragma once
// Counts what is asked of operator new, so that "allocates nothing" can be
// asserted. Linked into the suites that say so (Makefile). The operators stand
// in a file of their own: inlined into a test, g++ 12 takes malloc and free for
// a mismatch.

#include <cstdint>

/// How often operator new was called in this process.
std::uint64_t allocations();
