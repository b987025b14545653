// Runs a program that may not make some system calls, as in many containers:
//   seccomp_launcher HOW[:CALL,...] program argument...
// HOW is the errno that the calls fail with, EPERM or ENOSYS, or what happens
// to whoever makes one: KILL (the process ends), TRAP (SIGSYS). Without CALLs
// it is io_uring_setup. Everything else is as ever. Needs no root, since the
// program gives up the right to gain privileges first.

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace {

#if defined(__x86_64__)
constexpr unsigned architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned architecture = AUDIT_ARCH_AARCH64;
#else
#error "which AUDIT_ARCH_ has this machine?"
#endif

constexpr unsigned allow = SECCOMP_RET_ALLOW;

const std::map<std::string, unsigned> answers = {
    {"EPERM", SECCOMP_RET_ERRNO | EPERM},
    {"ENOSYS", SECCOMP_RET_ERRNO | ENOSYS},
    {"KILL", SECCOMP_RET_KILL_PROCESS},
    {"TRAP", SECCOMP_RET_TRAP}};

const std::map<std::string, unsigned> calls = {
    {"epoll_pwait2", SYS_epoll_pwait2},
    {"io_setup", SYS_io_setup},
    {"io_submit", SYS_io_submit},
    {"io_getevents", SYS_io_getevents},
    {"io_cancel", SYS_io_cancel},
    {"io_uring_setup", SYS_io_uring_setup},
    {"io_uring_enter", SYS_io_uring_enter},
    {"io_uring_register", SYS_io_uring_register}};

struct Filter {
  unsigned answer = allow;
  std::vector<unsigned> numbers;
};

/// "EPERM:epoll_pwait2,io_uring_setup"; no numbers if it is not understood.
Filter parse(const std::string& text) {
  std::istringstream words(text);
  std::string how, call;
  std::getline(words, how, ':');
  if (!answers.contains(how)) return {};
  Filter filter{answers.at(how), {}};
  while (std::getline(words, call, ',')) {
    if (!calls.contains(call)) return {};
    filter.numbers.push_back(calls.at(call));
  }
  if (filter.numbers.empty())
    filter.numbers.push_back(calls.at("io_uring_setup"));
  return filter;
}

// The filter lets calls of another architecture pass: their numbers mean
// something else, and nothing here is about security.
bool install(const Filter& filter) {
  std::vector<sock_filter> code = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, allow),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  for (const unsigned number : filter.numbers) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, filter.answer));
  }
  code.push_back(BPF_STMT(BPF_RET | BPF_K, allow));
  const sock_fprog program{static_cast<unsigned short>(code.size()),
                           code.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

int main(int count, char** arguments) {
  const Filter filter = count > 2 ? parse(arguments[1]) : Filter{};
  if (filter.numbers.empty()) {
    std::fprintf(stderr,
                 "usage: %s EPERM|ENOSYS|KILL|TRAP[:CALL,...] program "
                 "argument...\ncalls:",
                 arguments[0]);
    for (const auto& [name, number] : calls)
      std::fprintf(stderr, " %s", name.c_str());
    std::fputc('\n', stderr);
    return 2;
  }
  if (!install(filter)) {
    std::fprintf(stderr, "prctl: %s\n", std::strerror(errno));
    return 1;
  }
  execvp(arguments[2], arguments + 2);
  std::fprintf(stderr, "%s: %s\n", arguments[2], std::strerror(errno));
  return 127;
}
