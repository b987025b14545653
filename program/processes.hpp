#pragma once
// What /proc tells of processes that fork.

#include <sys/types.h>

#include <string>
#include <vector>

namespace program {

/// "/proc/4711/stat"
std::string proc(pid_t process, const char* name);

/// The children that a process has now, whichever thread forked them; none
/// where the kernel does not tell (proc(5), children).
std::vector<pid_t> children_of(pid_t parent);

}  // namespace program
