#include "net/shared_memory.hpp"

#include <sys/mman.h>

#include <bit>
#include <cassert>
#include <cerrno>
#include <limits>
#include <new>
#include <system_error>

namespace net {

namespace {

constexpr unsigned power_min = 6;  // blocks of 64 bytes, a line of the cache
constexpr unsigned powers = std::numeric_limits<std::size_t>::digits;

unsigned power_for(std::size_t bytes) {
  const auto power = static_cast<unsigned>(std::bit_width(bytes - 1));
  return bytes == 0 || power < power_min ? power_min : power;
}

// A free block holds the address of the next one.
struct Free {
  Free* next;
};

// Killed between two instructions: the compiler's order is what has to hold.
template <class T>
void publish(std::atomic<T>& place, T value) {
  std::atomic_signal_fence(std::memory_order_seq_cst);
  place.store(value, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

}  // namespace

// At the beginning of the mapping.
struct alignas(1 << power_min) SharedMemory::Header {
  std::atomic<std::size_t> top{sizeof(Header)};  // behind it nothing was taken
  std::atomic<Free*> free[powers] = {};
};

SharedMemory::SharedMemory(std::size_t bytes) : bytes_(bytes + sizeof(Header)) {
  // NORESERVE: many addresses are asked for, so that free lists of all sizes
  // find room, and few of the pages will ever be touched.
  void* const mapping = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED)
    throw std::system_error(errno, std::system_category(), "mmap");
  header_ = new (mapping) Header;
}

SharedMemory::~SharedMemory() { munmap(header_, bytes_); }

void* SharedMemory::do_allocate(std::size_t bytes, std::size_t alignment) {
  if (bytes > bytes_ || alignment > std::size_t{1} << power_min)
    throw std::bad_alloc();
  const unsigned power = power_for(bytes);
  if (void* const block = take(power)) return block;
  const std::size_t top = header_->top.load(std::memory_order_relaxed);
  if (std::size_t{1} << power <= bytes_ - top) {
    publish(header_->top, top + (std::size_t{1} << power));
    return reinterpret_cast<std::byte*>(header_) + top;
  }
  // The mapping is used up, but a larger block may be free: its first part is
  // what we want, the halves behind it are free. They are never joined again.
  for (unsigned larger = power + 1; larger < powers; ++larger)
    if (void* const block = take(larger)) {
      while (larger-- > power)
        give(static_cast<std::byte*>(block) + (std::size_t{1} << larger),
             larger);
      return block;
    }
  throw std::bad_alloc();
}

void SharedMemory::do_deallocate(void* block, std::size_t bytes, std::size_t) {
  give(block, power_for(bytes));
}

// The first free block of this size, or null.
void* SharedMemory::take(unsigned power) {
  auto& first = header_->free[power];
  Free* const block = first.load(std::memory_order_relaxed);
  if (block) publish(first, block->next);
  return block;
}

void SharedMemory::give(void* block, unsigned power) {
  auto& first = header_->free[power];
  publish(first, new (block) Free{first.load(std::memory_order_relaxed)});
}

RobustLock::RobustLock(SharedMemory& memory) : memory_(memory) {
  std::pmr::polymorphic_allocator<> allocator(&memory_);
  mutex_ = allocator.new_object<pthread_mutex_t>();
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  const int error = pthread_mutex_init(mutex_, &attributes);
  pthread_mutexattr_destroy(&attributes);
  if (error != 0) {
    allocator.delete_object(mutex_);
    throw std::system_error(error, std::system_category(),
                            "pthread_mutex_init");
  }
}

RobustLock::~RobustLock() {
  pthread_mutex_destroy(mutex_);
  std::pmr::polymorphic_allocator<>(&memory_).delete_object(mutex_);
}

bool RobustLock::lock() {
  const int error = pthread_mutex_lock(mutex_);
  if (error == 0) return false;
  if (error != EOWNERDEAD)
    throw std::system_error(error, std::system_category(),
                            "pthread_mutex_lock");
  // From here on the mutex is ours as if its owner had released it. If we die
  // before unlock(), the next one is told again.
  pthread_mutex_consistent(mutex_);
  return true;
}

void RobustLock::unlock() noexcept { pthread_mutex_unlock(mutex_); }

}  // namespace net
