#pragma once
// How often the threads of a process, and of its children, have gone to sleep,
// as the kernel counts it.

#include <cstdint>
#include <map>
#include <string>

namespace program {

struct Sleeper {
  std::string name;  // the thread's, as its program or its maker has named it
  std::uint64_t sleeps = 0;  // so far: it gave up its CPU to wait (proc(5))
};

/// The threads of a process of this machine, and of its children, by number;
/// none if there is no such process, or nobody tells of it.
std::map<int, Sleeper> sleepers_of(int process);

}  // namespace program
