// # A server that is dearer than it was
//
// Loaded in front of the C library (LD_PRELOAD), it makes a server spend more
// CPU time on each answer, by a known factor: what a comparison should find.
//
// The factor is of what the thread has spent since its last answer, whatever a
// processor needs for that, so it is the same on every machine, at every rate.
// DEAR says which; 1.5 if it says nothing.

#include <dlfcn.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

std::int64_t spent_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

double factor() {
  const char* const said = std::getenv("DEAR");
  return said ? std::atof(said) : 1.5;
}

void spend_more() {
  static const double more = factor() - 1;
  thread_local std::int64_t since = 0;
  const std::int64_t now = spent_ns();
  const auto extra =
      static_cast<std::int64_t>(more * static_cast<double>(now - since));
  while (spent_ns() < now + extra) {
  }
  since = now + extra;
}

}  // namespace

extern "C" ssize_t send(int socket, const void* bytes, size_t size, int flags) {
  using Send = ssize_t(int, const void*, size_t, int);
  static Send* const next = reinterpret_cast<Send*>(::dlsym(RTLD_NEXT, "send"));
  spend_more();
  return next(socket, bytes, size, flags);
}
