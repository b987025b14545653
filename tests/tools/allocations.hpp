#pragma once
// Counts what is asked of operator new, so that "allocates nothing" can be
// asserted, and refuses it, so that a want of memory can be had. Linked into
// the suites that say so (Makefile). The operators stand in a file of their
// own: inlined into a test, g++ 12 takes malloc and free for a mismatch.

#include <cstdint>

/// How often operator new was called in this process.
std::uint64_t allocations();

/// From here on operator new serves so many calls of this thread, refuses
/// `refusals` and then serves again.
void refuse_allocations(std::uint64_t served, std::uint64_t refusals);
/// While suspended none is refused, nor counted as served.
void suspend_refusals(bool whether);
/// Serves again; returns how many were refused.
std::uint64_t serve_allocations();
