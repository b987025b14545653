#pragma once
// A descriptor that is closed once, by whoever owns it.

#include <utility>

#include "net/sys.hpp"

namespace net {

/// Owns a descriptor from the expression that made it; -1 is none. Move-only.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    Fd old(std::exchange(fd_, std::exchange(other.fd_, -1)));
    return *this;
  }
  // Linux frees the number before close(2) can report anything, EINTR
  // included: to close it again would close somebody else's.
  ~Fd() {
    if (fd_ >= 0) sys::close(fd_);
  }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace net
