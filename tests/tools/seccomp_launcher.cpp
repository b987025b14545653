// Runs a program that may not use io_uring, as in many containers:
//   seccomp_launcher EPERM|ENOSYS program argument...
// io_uring_setup(2) fails with that errno; everything else is as ever. Needs no
// root, since the program gives up the right to gain privileges first.

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
#include <string_view>

namespace {

#if defined(__x86_64__)
constexpr unsigned architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr unsigned architecture = AUDIT_ARCH_AARCH64;
#else
#error "which AUDIT_ARCH_ has this machine?"
#endif

constexpr unsigned allow = SECCOMP_RET_ALLOW;

// The filter lets calls of another architecture pass: their numbers mean
// something else, and nothing here is about security.
bool refuse_io_uring_setup(unsigned error) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, architecture, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA)),
      BPF_STMT(BPF_RET | BPF_K, allow),
  };
  const sock_fprog program{sizeof code / sizeof *code, code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

int error_named(std::string_view name) {
  if (name == "EPERM") return EPERM;
  if (name == "ENOSYS") return ENOSYS;
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const int error = count > 2 ? error_named(arguments[1]) : 0;
  if (!error) {
    std::fprintf(stderr, "usage: %s EPERM|ENOSYS program argument...\n",
                 arguments[0]);
    return 2;
  }
  if (!refuse_io_uring_setup(static_cast<unsigned>(error))) {
    std::fprintf(stderr, "prctl: %s\n", std::strerror(errno));
    return 1;
  }
  execvp(arguments[2], arguments + 2);
  std::fprintf(stderr, "%s: %s\n", arguments[2], std::strerror(errno));
  return 127;
}
