#pragma once
// Counters of the process: one cell per thread and name, written by that
// thread alone, added up by whoever asks.

#include <sys/types.h>  // fd_set

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace net {

inline constexpr unsigned counters_max = 192;

/// A thread's cells. Relaxed: a reader may be an event behind, never wrong.
struct Cells {
  std::atomic<std::uint64_t> count[counters_max];
  /// Returns what it comes to.
  std::uint64_t add(unsigned counter, std::uint64_t n = 1) {
    auto& cell = count[counter];
    const auto sum = cell.load(std::memory_order_relaxed) + n;
    cell.store(sum, std::memory_order_relaxed);
    return sum;
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
/// Returns what this thread has counted there so far.
inline std::uint64_t count(unsigned counter, std::uint64_t n = 1) {
  return cells().add(counter, n);
}

/// The sum over all threads, ended ones included.
std::uint64_t total(unsigned counter);
/// Every counter whose name begins with `prefix`, prefix cut off, in order of
/// registration, with its sum.
std::vector<std::pair<std::string, std::uint64_t>> totals(
    std::string_view prefix);
/// How many threads count: what a sum takes grows with them.
std::size_t counting_threads();

/// The timeline: off unless trace::to() was called before the threads started.
/// Names are literals, or live as long. Times are nanoseconds of the monotonic
/// clock, which is the same in all processes.
namespace trace {
inline constexpr std::size_t events_max = 65'536;  // of each thread
inline constexpr std::size_t ended_max = 256;      // threads that have ended
extern constinit std::atomic<bool> on;
/// Now, when a call of this thread begins.
std::uint64_t begin();
/// It has ended. `result` is as the kernel gives it, an error negative; `fd` is
/// the descriptor that it was made on, -1 if it takes none. Of all that a
/// thread records, its last events_max are kept; of all the threads that have
/// ended, the last ended_max.
void end(const char* name, int fd, std::uint64_t began, std::int64_t result);
/// A request that the call which has begun hands over to the kernel: it lasts
/// until done() with the same `id`, while this thread goes on.
void ask(const char* name, std::uint64_t id, int fd);
/// The call has returned this, which is passed on: so that is when it ended,
/// and when what was done meanwhile was seen. Only where there is something to
/// tell before its end().
int returned(int result);
/// Its result has been seen, in the call that has begun: before, or once it has
/// returned. `more`: others will come.
void done(std::uint64_t id, std::int64_t result, bool more);
/// Opens FILE, into which write() puts what all threads have recorded, in the
/// trace-event format. Throws std::system_error if it cannot be written to.
void to(const std::string& file);
/// At the end of the process; any thread. True if there is no trace; false: the
/// file could not be written.
bool write();
}  // namespace trace

/// A name as a template argument.
template <std::size_t N>
struct Name {
  constexpr Name(const char (&text)[N]) { std::copy_n(text, N, value); }
  char value[N];
};

/// The descriptor on which a call is made: its first argument, unless that is a
/// set of flags (alone) or a number of them (select(2)).
template <class... Args>
int descriptor(Args...) {
  return -1;
}
template <class Second, class... Args>
int descriptor(int first, Second, Args...) {
  return std::is_same_v<Second, fd_set*> ? -1 : first;
}

/// A system call that counts itself under "sys.<name>". In a trace it is made
/// by `traced`, which may record more than the call itself.
template <Name name, auto call, auto traced = call>
struct Counted {
  template <class... Args>
  auto operator()(Args... args) const {
    cells().add(index);
    if (!trace::on.load(std::memory_order_relaxed)) [[likely]]
      return call(args...);
    return follow(args...);
  }
  // Out of the way of those that are not traced.
  template <class... Args>
  [[gnu::cold, gnu::noinline]] static auto follow(Args... args) {
    const auto began = trace::begin();
    const auto result = traced(args...);
    const int error = errno;
    trace::end(name.value, descriptor(args...), began,
               result == -1 ? -error : static_cast<std::int64_t>(result));
    errno = error;
    return result;
  }
  static inline const unsigned index =
      counter("sys.", std::string_view(name.value));
};

}  // namespace net
