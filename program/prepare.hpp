#pragma once
// What a program finds when it begins: whoever started it may have left it
// without standard streams, or deaf to the end of its children.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <system_error>

namespace program {

/// The first thing in every main(), before anything is opened. A standard
/// stream that is closed becomes /dev/null: else the next socket gets its
/// number, and what we say to people is sent to a peer. One that is open stays,
/// whatever it is: an inherited socket may be 0 (--listen-fd 0). And SIGCHLD is
/// ignored no more: where it is, children leave no word of how they ended.
/// Throws std::system_error.
inline void prepare() {
  // open(2) takes the lowest number that is free.
  for (int fd = 0; fd <= 2; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) < 0)
      throw std::system_error(errno, std::generic_category(), "/dev/null");
  ::signal(SIGCHLD, SIG_DFL);
}

/// An inherited descriptor among the standard streams (--listen-fd 0), under a
/// number of its own; in its place comes /dev/null. For it is closed some time,
/// and then a peer would get that number. Throws std::system_error.
inline int keep_off_streams(int fd) {
  if (fd < 0 || fd > 2) return fd;
  const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (moved < 0 || nothing < 0 || ::dup2(nothing, fd) < 0)
    throw std::system_error(errno, std::generic_category(), "--listen-fd");
  ::close(nothing);
  return moved;
}

}  // namespace program
