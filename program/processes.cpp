#include "program/processes.hpp"

#include <filesystem>
#include <fstream>
#include <system_error>

namespace program {

std::string proc(pid_t process, const char* name) {
  return "/proc/" + std::to_string(process) + "/" + name;
}

std::vector<pid_t> children_of(pid_t parent) {
  std::vector<pid_t> found;
  std::error_code gone;
  for (const auto& thread :
       std::filesystem::directory_iterator(proc(parent, "task"), gone)) {
    std::ifstream pids(thread.path() / "children");
    for (pid_t pid; pids >> pid;) found.push_back(pid);
  }
  return found;
}

}  // namespace program
