#pragma once
// A store's lock for the threads of one process.

#include <mutex>

#include "protocol/lock.hpp"

namespace node {

/// They die together, so no owner is ever lost.
class ThreadLock final : public protocol::Lock {
 public:
  bool lock() override {
    mutex_.lock();
    return false;
  }
  void unlock() noexcept override { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

}  // namespace node
