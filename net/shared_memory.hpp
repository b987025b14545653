#pragma once
// Memory and a lock that forked children share with their parent: what a store
// needs that is used by many processes (mmap(2),
// pthread_mutexattr_setrobust(3)).

#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <memory_resource>

#include "protocol/lock.hpp"

namespace net {

/// An anonymous shared mapping, made before the fork and at the same address in
/// every child. Blocks are powers of two and are kept in free lists by size;
/// free lists and all lie in the mapping. Each change is one store of a
/// pointer, so a process that is killed in the middle loses at most the block
/// that it was about to take or to give back.
///
/// Not thread-safe: its user, a store, calls it under the store's lock. An
/// allocation throws std::bad_alloc when the mapping is used up, or if aligned
/// to more than 64 bytes.
class SharedMemory final : public std::pmr::memory_resource {
 public:
  /// Reserves `bytes` of addresses; pages are taken when they are first
  /// touched. Throws std::system_error.
  explicit SharedMemory(std::size_t bytes);
  ~SharedMemory() override;
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

 private:
  struct Header;

  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* block, std::size_t bytes,
                     std::size_t alignment) override;
  bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }
  void* take(unsigned power);
  void give(void* block, unsigned power);

  const std::size_t bytes_;
  Header* header_;
};

/// A robust mutex that lies in shared memory: when its owner is killed, the
/// next one gets it and is told so.
class RobustLock final : public protocol::Lock {
 public:
  /// `memory` outlives the lock. Throws std::system_error, std::bad_alloc.
  explicit RobustLock(SharedMemory& memory);
  /// Only by the process that made it, after the children have ended.
  ~RobustLock();
  RobustLock(const RobustLock&) = delete;
  RobustLock& operator=(const RobustLock&) = delete;

  bool lock() override;
  void unlock() noexcept override;

 private:
  SharedMemory& memory_;
  pthread_mutex_t* mutex_;
};

}  // namespace net
