#include "program/sleeps.hpp"

#include <filesystem>
#include <fstream>
#include <limits>
#include <system_error>
#include <vector>

#include "program/processes.hpp"

namespace program {
namespace {

/// "Name:\tloop 0", then many lines, among them "voluntary_ctxt_switches:\t7".
Sleeper read(const std::filesystem::path& task) {
  Sleeper sleeper;
  std::ifstream status(task / "status");
  std::string field;
  while (std::getline(status, field, ':')) {
    status >> std::ws;
    if (field == "voluntary_ctxt_switches") status >> sleeper.sleeps;
    if (field == "Name")
      std::getline(status, sleeper.name);
    else
      status.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return sleeper;
}

}  // namespace

std::map<int, Sleeper> sleepers_of(int process) {
  std::map<int, Sleeper> sleepers;
  std::vector<pid_t> all = children_of(process);
  all.push_back(process);
  std::error_code gone;
  for (const pid_t one : all)
    for (const auto& task :
         std::filesystem::directory_iterator(proc(one, "task"), gone))
      sleepers[std::stoi(task.path().filename())] = read(task.path());
  return sleepers;
}

}  // namespace program
