#include "net/shared_memory.hpp"

#include <sys/mman.h>

#include <cerrno>

#include "net/error.hpp"

namespace net {

namespace {

void* map(std::size_t bytes) {
  // NORESERVE: the kernel counts pages when they are touched, and not before.
  void* const mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) fail(errno, "mmap");
  return mapping;
}

}  // namespace

SharedMemory::SharedMemory(std::size_t bytes)
    : bytes_(bytes), mapping_(map(bytes)) {}

SharedMemory::~SharedMemory() { munmap(mapping_, bytes_); }

RobustLock::RobustLock(std::pmr::memory_resource& memory)
    : memory_(&memory), mutex_(memory_.new_object<pthread_mutex_t>()) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  const int error = pthread_mutex_init(mutex_, &attributes);
  pthread_mutexattr_destroy(&attributes);
  if (error != 0) {
    memory_.delete_object(mutex_);
    fail(error, "pthread_mutex_init");
  }
}

RobustLock::~RobustLock() {
  pthread_mutex_destroy(mutex_);
  memory_.delete_object(mutex_);
}

bool RobustLock::lock() {
  const int error = pthread_mutex_lock(mutex_);
  if (error == 0) return false;
  if (error != EOWNERDEAD) fail(error, "pthread_mutex_lock");
  // From here on the mutex is ours as if its owner had released it. If we die
  // before unlock(), the next one is told again.
  pthread_mutex_consistent(mutex_);
  return true;
}

void RobustLock::unlock() noexcept { pthread_mutex_unlock(mutex_); }

}  // namespace net
