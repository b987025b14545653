#pragma once
// Memory and a lock that forked children share with their parent: what a store
// needs that is used by many processes (mmap(2),
// pthread_mutexattr_setrobust(3)).

#include <pthread.h>

#include <cstddef>
#include <memory_resource>

#include "protocol/lock.hpp"

namespace net {

/// An anonymous shared mapping, made before the fork and at the same address in
/// every child. Pages are taken when they are first touched.
class SharedMemory {
 public:
  /// Throws std::system_error.
  explicit SharedMemory(std::size_t bytes);
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  /// Hands the mapping out, from its beginning to its end, and takes nothing
  /// back: for what is made before the fork and stays. Not thread-safe; throws
  /// std::bad_alloc when the mapping is used up.
  std::pmr::memory_resource& resource() { return resource_; }

 private:
  const std::size_t bytes_;
  void* const mapping_;
  std::pmr::monotonic_buffer_resource resource_{
      mapping_, bytes_, std::pmr::null_memory_resource()};
};

/// A robust mutex that lies in shared memory: when its owner is killed, the
/// next one gets it and is told so.
class RobustLock final : public protocol::Lock {
 public:
  /// `memory` outlives the lock. Throws std::system_error, std::bad_alloc.
  explicit RobustLock(std::pmr::memory_resource& memory);
  /// Only by the process that made it, after the children have ended.
  ~RobustLock();
  RobustLock(const RobustLock&) = delete;
  RobustLock& operator=(const RobustLock&) = delete;

  bool lock() override;
  void unlock() noexcept override;

 private:
  std::pmr::polymorphic_allocator<> memory_;
  pthread_mutex_t* mutex_;
};

}  // namespace net
