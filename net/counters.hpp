#pragma once
// Counters of the process, and of those that it forks: one cell per thread and
// name, written by that thread alone, added up by whoever asks.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace net {

inline constexpr unsigned counters_max = 192;

/// A thread's cells. Relaxed: a reader may be an event behind, never wrong.
struct Cells {
  std::atomic<std::uint64_t> count[counters_max];
  std::uint64_t at(unsigned counter) const {
    return count[counter].load(std::memory_order_relaxed);
  }
  /// Returns what it comes to.
  std::uint64_t add(unsigned counter, std::uint64_t n = 1) {
    const auto sum = at(counter) + n;
    count[counter].store(sum, std::memory_order_relaxed);
    return sum;
  }
};

/// The index of a name ("sys." and "recv"), new or known. Thread-safe; meant
/// for start-up: a process that was forked before does not know it. More than
/// counters_max: std::length_error.
unsigned counter(std::string_view prefix, std::string_view name);

/// This thread's cells. When the thread ends, what it has counted stays in
/// them, and the next thread goes on from there. (The pointer is
/// constant-initialised, so that asking costs one load.)
extern constinit thread_local Cells* own_cells;
Cells& attach_cells();
inline Cells& cells() {
  if (own_cells) [[likely]]
    return *own_cells;
  return attach_cells();
}
/// Returns what has been counted in this thread's cell so far.
inline std::uint64_t count(unsigned counter, std::uint64_t n = 1) {
  return cells().add(counter, n);
}

/// Cells for a thread or a process that has not begun yet. All lie in one
/// mapping, which processes share: a child that is killed loses nothing. For a
/// child the parent takes them before it forks (fork(2)), and gives them back
/// when it has reaped it (waitpid(2)); the child sets own_cells, before it
/// counts anything. Null if there are none left. Thread-safe, in the parent.
Cells* take_cells() noexcept;
void give_back_cells(Cells* cells);

/// The sum over all threads of all processes, ended ones included.
std::uint64_t total(unsigned counter);
/// Every counter whose name begins with `prefix`, prefix cut off, in order of
/// registration, with its sum.
std::vector<std::pair<std::string, std::uint64_t>> totals(
    std::string_view prefix);
/// How many have counted at once, at most: what a sum takes grows with them.
std::size_t counting_threads();

}  // namespace net
