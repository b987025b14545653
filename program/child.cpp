#include "program/child.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "net/clock.hpp"
#include "net/error.hpp"

namespace program {
namespace {

constexpr int not_started_code = 127;  // as a shell says it

}  // namespace

Signals::Signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGCHLD})
    ::sigaddset(&set, signal);
  ::pthread_sigmask(SIG_BLOCK, &set, &before_);
  constexpr int flags = SFD_CLOEXEC | SFD_NONBLOCK;
  fd_ = net::Fd(net::check(::signalfd(-1, &set, flags), "signalfd"));
}

Signals::~Signals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

bool Signals::wait(int fd, protocol::Nanoseconds due) {
  std::array<pollfd, 2> fds{{{fd_.get(), POLLIN, 0}, {fd, POLLIN, 0}}};
  const bool forever = due == protocol::never;
  const timespec left = net::to_timespec(
      forever ? 0 : std::max<protocol::Nanoseconds>(due - net::now(), 0));
  const int n =
      ::ppoll(fds.data(), fds.size(), forever ? nullptr : &left, nullptr);
  if (n < 0 && errno != EINTR) net::fail(errno, "ppoll");
  signalfd_siginfo signal;
  while (::read(fd_.get(), &signal, sizeof signal) == sizeof signal)
    interrupted_ = interrupted_ || signal.ssi_signo != SIGCHLD;
  return n != 0;
}

Child::Child(const Arguments& command, const Inherited& inherited) {
  const pid_t parent = ::getpid();
  pid_ = net::check(::fork(), "fork");
  if (pid_ == 0) become(command, inherited, parent);
}

Child::~Child() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Child::signal(int number) const {
  if (pid_ >= 0) ::kill(pid_, number);
}

bool Child::ended() {
  if (pid_ < 0) return true;
  int status = 0;
  const pid_t found = ::waitpid(pid_, &status, WNOHANG);
  // Somebody else was told of its end: then nobody knows how it was.
  if (found < 0) status = SIGKILL;
  if (found == 0) return false;
  pid_ = -1;
  code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return true;
}

std::optional<int> Child::wait(Signals& signals, protocol::Nanoseconds due,
                               bool patient) {
  while (!ended())
    if ((signals.interrupted() && !patient) || !signals.wait(-1, due))
      return std::nullopt;
  return code_;
}

void Child::become(const Arguments& command, const Inherited& inherited,
                   pid_t parent) {
  // Who is left alone by a parent that was killed ends too.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(not_started_code);
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  if (inherited.socket >= 0) ::fcntl(inherited.socket, F_SETFD, 0);
  if (inherited.output >= 0) ::dup2(inherited.output, STDOUT_FILENO);
  if (inherited.errors >= 0) ::dup2(inherited.errors, STDERR_FILENO);
  std::vector<char*> words;
  for (const std::string& word : command)
    words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::execvp(words[0], words.data());
  ::dprintf(STDERR_FILENO, "%s: %s\n", words[0], std::strerror(errno));
  ::_exit(not_started_code);
}

}  // namespace program
