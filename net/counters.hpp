#pragma once
// Counters of the process: one cell per thread and name, written by that
// thread alone, added up by whoever asks.

#include <algorithm>
#include <atomic>
#include <cerrno>
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
  void add(unsigned counter, std::uint64_t n = 1) {
    auto& cell = count[counter];
    cell.store(cell.load(std::memory_order_relaxed) + n,
               std::memory_order_relaxed);
  }
};

/// The index of a name ("sys." and "recv"), new or known. Thread-safe; meant
/// for start-up. More than counters_max: std::length_error.
unsigned counter(std::string_view prefix, std::string_view name);

/// This thread's cells; folded into the total when the thread ends. (The
/// pointer is constant-initialised, so that asking costs one load.)
extern constinit thread_local Cells* own_cells;
Cells& attach_cells();
inline Cells& cells() {
  if (own_cells) [[likely]]
    return *own_cells;
  return attach_cells();
}
inline void count(unsigned counter, std::uint64_t n = 1) {
  cells().add(counter, n);
}

/// The sum over all threads, ended ones included.
std::uint64_t total(unsigned counter);
/// Every counter whose name begins with `prefix`, prefix cut off, in order of
/// registration, with its sum.
std::vector<std::pair<std::string, std::uint64_t>> totals(
    std::string_view prefix);

/// The timeline: off unless trace::to() was called before the threads started.
namespace trace {
inline constexpr std::size_t events_max = 65'536;  // of each thread
extern constinit std::atomic<bool> on;
/// Nanoseconds of the monotonic clock.
std::uint64_t now();
/// One call of this thread, from `began` until now; of all that a thread
/// records its last events_max are kept.
void record(unsigned counter, std::uint64_t began, std::int64_t result);
/// Opens FILE, into which write() puts what all threads have recorded, in the
/// trace-event format. Throws std::system_error if it cannot be written to.
void to(const std::string& file);
/// At the end of the process; any thread. False: the file could not be written.
bool write();
}  // namespace trace

/// A name as a template argument.
template <std::size_t N>
struct Name {
  constexpr Name(const char (&text)[N]) { std::copy_n(text, N, value); }
  char value[N];
};

/// A system call that counts itself under "sys.<name>".
template <Name name, auto call>
struct Counted {
  template <class... Args>
  auto operator()(Args... args) const {
    cells().add(index);
    if (!trace::on.load(std::memory_order_relaxed)) [[likely]]
      return call(args...);
    const auto began = trace::now();
    const auto result = call(args...);
    const int error = errno;
    trace::record(index, began, static_cast<std::int64_t>(result));
    errno = error;
    return result;
  }
  static inline const unsigned index =
      counter("sys.", std::string_view(name.value));
};

}  // namespace net
