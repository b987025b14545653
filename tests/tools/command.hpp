#pragma once
// A shell command from start to end.

#include <cstdio>
#include <string>

namespace tests {

struct Finished {
  int status;        // as wait(2) tells it; 0: all went well
  std::string text;  // what it printed, errors included
};

/// Runs a command and waits for its end. The status is -1 and errno says why if
/// there was no process to be had.
inline Finished run(const std::string& command) {
  Finished finished{-1, ""};
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (!pipe) return finished;
  char buffer[4096];
  while (std::size_t got = std::fread(buffer, 1, sizeof buffer, pipe))
    finished.text.append(buffer, got);
  finished.status = ::pclose(pipe);
  return finished;
}

}  // namespace tests
