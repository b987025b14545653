#include "net/probe.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>

#include "net/counters.hpp"

namespace net {
namespace {

/// Lines from the child: the calls, one by one, and in the end what it came to,
/// behind this mark.
constexpr char verdict_mark = '=';

// To the parent, which reads until we end. A pipe takes a line as a whole.
void write_line(int to, const std::string& line) {
  const std::string text = line + '\n';
  while (::write(to, text.data(), text.size()) < 0 && errno == EINTR) {
  }
}

std::string read_all(int from) {
  std::string text;
  std::array<char, 512> room;
  ssize_t n = 0;
  while ((n = ::read(from, room.data(), room.size())) > 0 ||
         (n < 0 && errno == EINTR))
    if (n > 0) text.append(room.data(), static_cast<std::size_t>(n));
  return text;
}

std::string ask(std::initializer_list<const Model*> models,
                const Options& options, int notes) try {
  Trial trial(notes);
  for (const bool counting : {true, false}) {
    trial.counting = counting;
    for (const Model* model : models) {
      if (!model->probe) continue;
      std::string why = model->probe(options, trial);
      if (!why.empty()) return why;
    }
  }
  return {};
} catch (const std::exception& error) {
  return error.what();
}

// Neither a core nor the parent's buffers are left behind: this end is nothing
// unusual. What is only tried is not counted (the cells are shared).
[[noreturn]] void be_child(std::initializer_list<const Model*> models,
                           const Options& options, int notes) {
  ::prctl(PR_SET_DUMPABLE, 0);
  static constinit Cells of_trials{};
  own_cells = &of_trials;
  write_line(notes, verdict_mark + ask(models, options, notes));
  ::_exit(0);
}

std::string in_words(int signal) {
  return std::string(" (") + ::strsignal(signal) + ")";
}

// Waits for its end: " (Bad system call)". Where SIGCHLD is ignored the kernel
// keeps no status (ECHILD), and there are no words.
std::string end_of(pid_t child) {
  int status = 0;
  pid_t ended = 0;
  while ((ended = ::waitpid(child, &status, 0)) < 0 && errno == EINTR) {
  }
  if (ended != child) return {};
  if (WIFSIGNALED(status)) return in_words(WTERMSIG(status));
  return " (exit code " + std::to_string(WEXITSTATUS(status)) + ")";
}

}  // namespace

void Trial::about_to(const char* call) const {
  if (notes_ >= 0) write_line(notes_, call);
}

std::string refusal(std::initializer_list<const Model*> models,
                    const Options& options) {
  if (std::ranges::all_of(models, [](auto* model) { return !model->probe; }))
    return {};
  std::array<int, 2> ends;
  // No descriptor or no process left: then it is asked here, unprotected.
  if (::pipe2(ends.data(), O_CLOEXEC) < 0) return ask(models, options, -1);
  const auto [notes, child_notes] = ends;
  const pid_t child = ::fork();
  if (child == 0) be_child(models, options, child_notes);
  // Not by way of Fd, which counts: these calls are none of a model's.
  ::close(child_notes);  // or the end would never come
  std::string said = child < 0 ? std::string() : read_all(notes);
  ::close(notes);
  if (child < 0) return ask(models, options, -1);
  const std::string by = end_of(child);
  if (said.ends_with('\n')) said.pop_back();
  const std::string last = said.substr(said.rfind('\n') + 1);
  if (last.starts_with(verdict_mark)) return last.substr(1);
  const bool filtered = by.empty() || by == in_words(SIGSYS);
  if (last.empty() || !filtered)
    return "cannot be tried here: who asked for " +
           (last.empty() ? "what this model needs" : last) + " has ended" + by;
  return last + " is answered by a signal here" + by +
         ": a filter (seccomp) has to allow it (container: --security-opt "
         "seccomp=unconfined), or run another model";
}

}  // namespace net
