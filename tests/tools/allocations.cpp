#include "tests/tools/allocations.hpp"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

std::atomic<std::uint64_t> count{0};

// What this thread is still served, then refused; nothing is refused at first.
thread_local std::uint64_t to_serve = 0, to_refuse = 0, refused = 0;
thread_local bool suspended = false;

bool refuses() {
  if (suspended || to_refuse == 0) return false;
  if (to_serve != 0) {
    --to_serve;
    return false;
  }
  --to_refuse;
  ++refused;
  return true;
}

void* allocate(std::size_t size, std::size_t alignment) {
  count.fetch_add(1, std::memory_order_relaxed);
  if (refuses()) throw std::bad_alloc();
  const std::size_t rounded = (size + alignment - 1) / alignment * alignment;
  if (void* const memory = std::aligned_alloc(alignment, rounded))
    return memory;
  throw std::bad_alloc();
}

}  // namespace

void refuse_allocations(std::uint64_t served, std::uint64_t refusals) {
  to_serve = served;
  to_refuse = refusals;
  refused = 0;
}

void suspend_refusals(bool whether) { suspended = whether; }

std::uint64_t serve_allocations() {
  suspended = false;
  to_refuse = 0;
  return refused;
}

std::uint64_t allocations() { return count.load(std::memory_order_relaxed); }

void* operator new(std::size_t size) {
  return allocate(size == 0 ? 1 : size, alignof(std::max_align_t));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size == 0 ? 1 : size, static_cast<std::size_t>(alignment));
}
// A sanitizer has one of its own, whose memory is not for our delete.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept try {
  return ::operator new(size);
} catch (const std::bad_alloc&) {
  return nullptr;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
