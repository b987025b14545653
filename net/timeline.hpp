#pragma once
// The timeline: when each thread made which system call, for how long that
// lasted and the thread slept in it, in a file that trace viewers read.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

/// Off unless to() was called before the threads started. A call that counts
/// itself (net/sys.hpp) records itself; the rest is for models whose calls hand
/// requests over to the kernel. Each thread records for itself, without a lock.
/// Names are literals, or live as long. Times are nanoseconds of the monotonic
/// clock, which is the same in all processes.
namespace net::trace {

inline constexpr std::size_t events_max = 65'536;  // of each thread
inline constexpr std::size_t ended_max = 256;      // threads that have ended
extern constinit std::atomic<bool> on;

/// Now, when a call of this thread begins.
std::int64_t begin();
/// It has ended. `result` is as the kernel gives it, an error negative; `fd` is
/// the descriptor that it was made on, -1 if it takes none. Of all that a
/// thread records, its last events_max are kept; of all the threads that have
/// ended, the last ended_max.
void end(const char* name, int fd, std::int64_t began, std::int64_t result);

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
/// In a child that has been forked: what its parent has recorded is not its
/// own. At its end it appends what it has recorded itself to the file, up to 64
/// MiB in all (what comes later is left out). The parent's write() comes after
/// the last child's and closes the list.
void begin_child();
void end_child();
/// At the end of the process; any thread. True if there is no trace; false: the
/// file could not be written.
bool write();

}  // namespace net::trace
