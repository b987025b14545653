#include "tests/conformance/tracer.hpp"

#include <signal.h>

#include <sstream>

namespace conformance {

namespace {

std::string find_obstacle() {
  const std::string strace = find_tool("strace");
  if (strace.empty()) return "strace is not installed";
  Process sleeper({"/bin/sleep", "1000"});
  Process tracer(
      {strace, "-o", "/dev/null", "-p", std::to_string(sleeper.pid())});
  if (eventually([&] { return sleeper.traced() || tracer.ended(); }) &&
      !tracer.ended())
    return "";
  return "strace cannot attach here: " + tracer.errors();
}

}  // namespace

const std::string interruptible =
    "accept4,recvfrom,recvmsg,sendto,sendmsg,read,write,poll,ppoll,select,"
    "pselect6,epoll_wait,epoll_pwait,epoll_pwait2,io_uring_enter,"
    "io_getevents,io_pgetevents,rt_sigtimedwait";

const std::string& Tracer::obstacle() {
  static const std::string found = find_obstacle();
  return found;
}

Tracer::Tracer(Server& server, Arguments options) : server_(server.process()) {
  Arguments command{find_tool("strace"), "-f", "-p",
                    std::to_string(server.process().pid())};
  for (const pid_t child : server.process().children())
    command.insert(command.end(), {"-p", std::to_string(child)});
  command.insert(command.end(), options.begin(), options.end());
  strace_ = std::make_unique<Process>(command);
  if (!eventually([&] { return server.process().traced(); }))
    throw Trouble("strace does not attach: " + strace_->errors());
}

// A call that strace is about to break when it detaches has lost its number
// and fails with ENOSYS. So it goes only when the server has been asleep for a
// while, in calls that were let through. (Of one that never sleeps it is the
// call by which it asks whether anybody has come, if nobody is left.)
std::string Tracer::finish(bool sleeps) {
  int looks = 0;
  if (sleeps)
    eventually(
        [&] { return (looks = server_.asleep() ? looks + 1 : 0) >= 20; });
  strace_->signal(SIGINT);
  strace_->wait();
  return strace_->errors();
}

std::map<std::string, std::size_t> counts_of(const std::string& table) {
  std::map<std::string, std::size_t> counts;
  for (const auto& line : lines_of(table)) {
    // "% time  seconds  usecs/call  calls  [errors]  syscall"
    std::istringstream words(line);
    double share = 0, seconds = 0;
    std::size_t each = 0, calls = 0;
    std::string word, name;
    if (!(words >> share >> seconds >> each >> calls)) continue;
    while (words >> word) name = word;
    counts[name] = calls;
  }
  return counts;
}

}  // namespace conformance
