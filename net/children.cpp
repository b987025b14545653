#include "net/children.hpp"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <utility>

#include "net/clock.hpp"
#include "net/sys.hpp"

namespace net {
namespace {

constexpr pid_t nobody_yet = 0;  // no process has this number

const unsigned share_counter = counter("buffers.", "own");
const unsigned reset_counter = counter("net.", "reset");
const unsigned killed_counter = counter("model.", "killed_children");

/// What is free at the end of a process's heap stays in it by default up to 128
/// KiB, which is little; here it would be that much for every peer.
void give_memory_back() {
  constexpr int least = 16 << 10;
  ::mallopt(M_TRIM_THRESHOLD, least);
  ::mallopt(M_MMAP_THRESHOLD, least);
  ::mallopt(M_TOP_PAD, 0);
}

}  // namespace

// If a signal came between fork(2) and the child's own arrangements, its
// handler would find those of the parent: it would be called back from where
// the parent sleeps, and sleep on itself.
pid_t Children::fork(Seat seat) {
  Child& child = children_[nobody_yet];
  child.seat = std::move(seat);
  child.cells = take_cells();
  if (child.cells) child.resets = child.cells->at(reset_counter);
  const pid_t parent = ::getpid();
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = child.cells ? sys::fork() : -1;
  if (pid == 0) {
    begin(*child.cells, parent);
    return pid;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  auto node = children_.extract(nobody_yet);
  if (pid < 0) {
    if (node.mapped().cells) give_back_cells(node.mapped().cells);
    return pid;
  }
  node.key() = pid;
  children_.insert(std::move(node));
  return pid;
}

// A child does not outlive the thread that forked it. It asks for that itself,
// and if the parent has died before, nothing would tell it so: so it asks for
// its parent afterwards. (Whatever goes wrong in a child is its end: an
// exception would find the parent's handlers, and there would be two parents.)
void Children::begin(Cells& cells, pid_t parent) noexcept {
  own_cells = &cells;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);
  budget_.share_at(cells.count[share_counter]);
  ::pthread_setname_np(::pthread_self(), "child");
  give_memory_back();
  trace::begin_child();
}

void Children::reap() {
  int status = 0;
  pid_t pid;
  while ((pid = sys::waitpid(-1, &status, WNOHANG)) > 0) {
    const auto child = children_.find(pid);
    if (child == children_.end()) continue;  // of who was here before exec
    bury(child->second, WIFSIGNALED(status));
    children_.erase(child);
  }
}

void Children::bury(const Child& child, bool killed) {
  if (killed) count(killed_counter);
  // It may have come to that itself in the last moment.
  if (killed && killing_ && child.cells->at(reset_counter) == child.resets)
    count(reset_counter);
  budget_.give(child.cells->count[share_counter].exchange(0));
  give_back_cells(child.cells);
}

void Children::call(int signal) const {
  for (const auto& [pid, _] : children_) ::tgkill(pid, pid, signal);
}

void Children::kill() {
  killing_ = true;
  for (const auto& [pid, _] : children_) ::kill(pid, SIGKILL);
}

void Children::wait(std::chrono::nanoseconds time) {
  sigset_t ended;
  ::sigemptyset(&ended);
  ::sigaddset(&ended, SIGCHLD);
  const timespec most = to_timespec(std::max(time.count(), 0L));
  ::sigtimedwait(&ended, nullptr, &most);
}

}  // namespace net
