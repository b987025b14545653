#pragma once
// Counts what is asked of operator new, so that "allocates nothing" can be
// asserted. A program that includes this has a file of its own for the
// operators, allocations.cpp, which includes count_allocations.hpp: inlined
// into a test, g++ 12 takes malloc and free for a mismatch.

#include <cstdint>

/// How often operator new was called in this process.
std::uint64_t allocations();
